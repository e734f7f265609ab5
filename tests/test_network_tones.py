"""Single tones: what is measured of sounds whose tones are known, and the tones that are made of it again."""

import math

import numpy as np
import pytest
import torch

from ravecodec.network.config import NetworkConfig, load_preset
from ravecodec.network.phase import SEGMENT, SETTLE, history
from ravecodec.network.tones import HIGHEST, LOWEST, Tones
from ravecodec.network.vae import RaveNet
from ravecodec.training.calibrate import Statistics, choose_basis

RATE, HOP, FRAMES = 48000, 2048, 24
INNER = slice(4, -4)


@pytest.fixture(scope="module")
def tones() -> Tones:
    return Tones(12, HOP, RATE)


def noise(level: float, seed: int = 0, frames: int = FRAMES) -> torch.Tensor:
    return level * torch.randn(1, 1, frames * HOP, generator=torch.Generator().manual_seed(seed))


def tone(hertz: float, level: float = 0.1, frames: int = FRAMES) -> torch.Tensor:
    at = torch.arange(frames * HOP, dtype=torch.float64) / RATE
    return (level * torch.cos(2 * math.pi * hertz * at)).float()[None, None]


def measured(tones: Tones, sound: torch.Tensor, f0: float = 180.0, voicing: float = 0.0) -> torch.Tensor:
    shape = 1, 1, sound.shape[2] // HOP
    return tones.measure(sound, torch.full(shape, f0), torch.full(shape, voicing))


def latents_of(tones: Tones, hertz: float, frames: int, strength: float = 1.0) -> torch.Tensor:
    x = torch.cat([torch.zeros(1, tones.bands, frames), -torch.ones(1, tones.bands, frames)], 1)
    band = band_of(tones, hertz)
    x[:, band] = (hertz - tones.centres[band]) / tones.halves[band]
    x[:, tones.bands + band] = 2 * strength - 1
    return x


def band_of(tones: Tones, hertz: float) -> int:
    return int((hertz >= tones.centres + tones.halves).sum())


@pytest.mark.parametrize("hertz", [1555.5, 2345.6, 4001.0, 7700.3])
@pytest.mark.parametrize("hiss", [0.0, 0.003])
def test_a_tone_is_found_and_nothing_else(tones: Tones, hertz: float, hiss: float) -> None:
    found, strength = tones.curves(measured(tones, tone(hertz) + noise(hiss)))
    band = band_of(tones, hertz)
    assert (found[0, band, INNER] - hertz).abs().max() < 1.0
    assert strength[0, band, INNER].min() > 0.75
    others = torch.cat([strength[0, :band], strength[0, band + 1 :]])
    assert (others[:, INNER] > 0).float().mean() < 0.05


def test_tones_of_several_bands_are_found_together(tones: Tones) -> None:
    hertz = [1800.0, 2500.0, 3333.0, 6000.0]
    found, strength = tones.curves(measured(tones, sum(tone(f) for f in hertz) + noise(1e-3)))  # type: ignore[arg-type]
    for f in hertz:
        band = band_of(tones, f)
        assert (found[0, band, INNER] - f).abs().max() < 2 and strength[0, band, INNER].min() > 0.7


@pytest.mark.parametrize("pair", [(2360.0, 2520.0), (2520.0, 2360.0)])
def test_of_two_tones_in_a_band_the_louder_is_taken(tones: Tones, pair: tuple[float, float]) -> None:
    assert band_of(tones, pair[0]) == band_of(tones, pair[1])
    band = band_of(tones, pair[0])
    found, strength = tones.curves(measured(tones, tone(pair[0], 0.01) + tone(pair[1], 0.3)))
    assert (found[0, band, INNER] - pair[1]).abs().max() < 2 and strength[0, band, INNER].min() > 0.7


def test_a_slide_is_followed(tones: Tones) -> None:
    seconds = torch.arange(FRAMES * HOP, dtype=torch.float64) / RATE
    hertz = 2050 + 60 * torch.sin(2 * math.pi * 0.7 * seconds)
    x = (0.1 * torch.cos(2 * math.pi * (hertz / RATE).cumsum(0))).float()[None, None]
    found, strength = tones.curves(measured(tones, x))
    band = band_of(tones, 2050)
    assert strength[0, band, INNER].min() > 0.5
    assert (found[0, band] - hertz[HOP // 2 :: HOP])[INNER].abs().max() < 8


@pytest.mark.parametrize("kind", ["silence", "noise", "clicks", "wall", "rounded"])
def test_what_has_no_tone_leaves_the_latents_at_rest(tones: Tones, kind: str) -> None:
    x = torch.zeros(1, 1, 100 * HOP)
    if kind == "noise":
        x = noise(0.1, frames=100)
    if kind == "clicks":
        x[..., ::7001] = 0.5
    if kind == "wall":  # as where sound of 11.025 kHz was brought to 48
        spectrum = torch.fft.rfft(noise(0.1, frames=100))
        spectrum[..., int(5300 / RATE * x.shape[2]) :] *= 1e-5
        x = torch.fft.irfft(spectrum)
    if kind == "rounded":
        x = torch.round(tone(440.0, frames=100) * 32767) / 32767
    latents = measured(tones, x)
    place, strength = latents.split(tones.bands, 1)
    assert (strength == -1).float().mean() > 0.97
    assert (place[strength == -1] == 0).all()


def test_what_leaps_from_frame_to_frame_is_no_tone(tones: Tones) -> None:
    hertz = torch.tensor([2200.0, 2310.0] * (FRAMES // 2), dtype=torch.float64).repeat_interleave(HOP)
    assert band_of(tones, 2200.0) == band_of(tones, 2310.0)
    x = (0.1 * torch.cos(2 * math.pi * (hertz / RATE).cumsum(0))).float()[None, None] + noise(0.01)
    band = band_of(tones, 2200.0)
    assert (measured(tones, x)[0, tones.bands + band] > -1).float().mean() < 0.2


def test_loudness_does_not_matter(tones: Tones) -> None:
    x = tone(2345.6) + noise(0.01)
    torch.testing.assert_close(measured(tones, x), measured(tones, 0.05 * x), atol=1e-3, rtol=0)


def test_what_the_pulses_make_is_left_to_them(tones: Tones) -> None:
    x = sum(tone(200.0 * k, 0.02) for k in range(8, 40))
    assert isinstance(x, torch.Tensor)
    free, voiced = measured(tones, x), measured(tones, x, f0=200.0, voicing=1.0)
    assert (free[:, tones.bands :, INNER] > -1).any()
    assert (voiced[:, tones.bands :, INNER] == -1).all()
    elsewhere = measured(tones, tone(2300.0), f0=200.0, voicing=1.0)  # between two multiples
    assert elsewhere[0, tones.bands + band_of(tones, 2300.0), INNER].min() > 0.5


def test_where_a_stream_was_cut_does_not_matter(tones: Tones) -> None:
    x = tone(2345.6) + tone(3456.7, 0.02) + noise(0.02)
    whole = measured(tones, x)
    part = measured(tones, x[..., 5 * HOP :])
    torch.testing.assert_close(part[..., 4:], whole[..., 9:], atol=1e-4, rtol=0)


@pytest.mark.parametrize("hertz", [1600.0, 3010.0, 7500.0])
def test_a_tone_has_its_frequency_and_its_share_of_the_power(tones: Tones, hertz: float) -> None:
    latents = latents_of(tones, hertz, FRAMES, 0.5)
    power = torch.full((1, tones.bands, 4 * FRAMES), 0.04)
    y = tones.sound(latents, power, 0, 0)[0, 0, 2 * HOP : -2 * HOP].double()
    assert y.square().mean() == pytest.approx(0.04 * 0.75, rel=0.01)
    spectrum = torch.fft.rfft(y * torch.hann_window(len(y), dtype=torch.float64)).abs()
    at = torch.fft.rfftfreq(len(y), 1 / RATE, dtype=torch.float64)
    assert (at[spectrum.argmax()] - hertz).abs() < 2
    assert spectrum[(at - hertz).abs() > 10].max() < 1e-3 * spectrum.max()


def test_levels_are_followed_without_steps(tones: Tones) -> None:
    power = torch.linspace(0, 1, 4 * FRAMES).square().expand(1, tones.bands, -1)
    y = tones.sound(latents_of(tones, 3000.0, FRAMES), power, 0, 0)[0, 0].double()
    wanted = math.sqrt(2) * torch.linspace(0, 1, FRAMES * HOP, dtype=torch.float64)
    peaks = y.abs().view(-1, 64).amax(1)
    assert (peaks - wanted.view(-1, 64).amax(1))[64:-64].abs().max() < 0.02


def test_one_tone_fades_into_another(tones: Tones) -> None:
    latents = latents_of(tones, float(tones.centres[5]), 24)
    latents[:, 5, :12], latents[:, 5, 12:] = -0.6, 0.6
    y = tones.sound(latents, torch.full((1, tones.bands, 4 * FRAMES), 0.5), 0, 0)[0, 0]
    assert y.abs().max() < 1.05
    # It does not glide: halfway between the two there is little.
    middle = y[11 * HOP : 13 * HOP] * torch.hann_window(2 * HOP)
    spectrum = torch.fft.rfft(middle, 8 * HOP).abs()
    at = torch.fft.rfftfreq(8 * HOP, 1 / RATE)
    assert spectrum[(at - tones.centres[5]).abs() < 8].max() < 0.35 * spectrum.max()


def test_no_strength_no_tone(tones: Tones) -> None:
    power = torch.ones(1, tones.bands, 32)
    assert tones.sound(latents_of(tones, 3000.0, 8, 0.0), power, 0, 0).abs().max() == 0
    assert tones.damping(torch.zeros(1, tones.bands, 8)).abs().max() == 0


def test_the_noise_makes_room(tones: Tones) -> None:
    strength = torch.zeros(1, tones.bands, 8)
    strength[:, 3], strength[:, 5] = 0.5, 1.0
    damping = tones.damping(strength)[0, :, 16]
    at = torch.arange(513) * (RATE / 1024)
    assert damping[(at < LOWEST) | (at > HIGHEST)].abs().max() == 0
    halved = damping[tones.inside[3] > 0]
    torch.testing.assert_close(halved, torch.full_like(halved, math.log(0.5)))
    assert damping.min() > -2  # never all of it


def test_the_phase_does_not_depend_on_where_reading_began(tones: Tones) -> None:
    dice = torch.Generator().manual_seed(1)
    frames = 4 * SEGMENT
    latents = torch.rand(1, tones.latents, frames, generator=dice) * 2 - 1
    latents = torch.cat([torch.zeros(1, tones.latents, SEGMENT), latents], 2)  # as a reader sees the time before a file
    power = torch.rand(1, tones.bands, 4 * frames, generator=dice)
    whole = tones.sound(latents, power, -SEGMENT, 0)
    for start in (0, 1, SETTLE, SETTLE + 1, SEGMENT, SEGMENT + 1, SEGMENT + SETTLE, 2 * SEGMENT + SETTLE + 1, 200):
        first = history(start)
        part = tones.sound(latents[..., SEGMENT + first :], power[..., 4 * start :], first, start)
        edge = HOP if start else 0  # the frame before a later start is not given: a block has its preroll
        assert (part - whole[..., start * HOP :])[..., edge:].abs().max() < 1e-4, start


def test_what_stands_before_a_file_is_not_heard(tones: Tones) -> None:
    latents, power = latents_of(tones, 3000.0, 8), torch.full((1, tones.bands, 32), 0.5)
    other = torch.rand(1, tones.latents, 4, generator=torch.Generator().manual_seed(2)) * 2 - 1
    before = torch.full((1, tones.bands, 16), 0.5)
    whole = tones.sound(torch.cat([other, latents], 2), torch.cat([before, power], 2), -4, -4)[..., 4 * HOP :]
    torch.testing.assert_close(whole, tones.sound(latents, power, 0, 0), atol=1e-5, rtol=0)


def test_the_latents_of_tones_are_measured_and_not_learned() -> None:
    torch.manual_seed(0)
    net = RaveNet(load_preset("tiny")).eval()
    x = tone(2345.6) + noise(0.01)
    with torch.inference_mode():
        posterior = net.encode(x)
    assert net.tones is not None and net.pitch is not None
    assert len(net.kinds[1]) == 1 and net.kinds[8] == range(net.tune.start - 1, net.tune.start)
    f0, voicing = net.pitch.by_frame(posterior.mean[:, net.tune])
    torch.testing.assert_close(posterior.mean[:, net.single], net.tones.measure(x, f0, voicing))
    torch.testing.assert_close(posterior.scale[:, net.single], net.tones.noise.expand(1, -1, FRAMES))


def test_a_network_with_tones_rings_where_one_without_hisses() -> None:
    """Nothing trained: the tone of a sound comes back at its frequency, and stands out of the noise around it."""
    torch.manual_seed(0)
    net = RaveNet(load_preset("tiny")).eval()
    net.adapt(noise(0.1))
    hertz = 4345.6
    with torch.inference_mode():
        y = net.decode(net.encode(tone(hertz) + noise(0.003)).mean)[0, 0, INNER.start * HOP : INNER.stop * HOP].double()
    spectrum = torch.fft.rfft(y * torch.hann_window(len(y), dtype=torch.float64)).abs().square()
    at = torch.fft.rfftfreq(len(y), 1 / RATE, dtype=torch.float64)
    near = spectrum[(at - hertz).abs() < 15].sum()
    assert near > 4 * spectrum[((at - hertz).abs() < 150) & ((at - hertz).abs() > 15)].sum()


def test_no_tone_is_exactly_that_at_every_step_and_when_nothing_is_sent() -> None:
    torch.manual_seed(0)
    net = RaveNet(load_preset("tiny")).eval()
    dice = np.random.default_rng(0)
    means = dice.standard_normal((200, net.config.latents)).astype(np.float32)
    basis = choose_basis(net, Statistics(means, np.full(net.config.latents, 0.01)), "none")[1]
    assert net.tones is not None
    rest = net.tones.rest[:, 0].numpy()
    latents = basis.mean[:, None].copy()
    np.testing.assert_array_equal(latents[net.single, 0], rest)
    for q in (-16, 0, 24):
        codes = np.rint(basis.rotate(latents, len(means[0])) / basis.steps(q)[:, None])
        np.testing.assert_array_equal(basis.restore(codes * basis.steps(q)[:, None])[net.single, 0], rest)
    np.testing.assert_array_equal(basis.restore(np.zeros((3, 1)))[net.single, 0], rest)
    # Finely placed, but of no use before there is an envelope.
    order = basis.vectors.argmax(1)
    assert min(np.flatnonzero((order >= net.single.start) & (order < net.single.stop))) > 100


def test_tones_need_a_pitch() -> None:
    plain = load_preset("tiny").to_dict() | {"pitch": False, "second_pitch": False, "scatter_unvoiced": 0}
    with pytest.raises(ValueError, match="need pitch"):
        NetworkConfig.from_dict(plain)


def test_too_few_latents_and_too_short_a_hop_are_refused() -> None:
    plain = load_preset("tiny").to_dict()
    with pytest.raises(ValueError, match="16 latents are too few"):
        NetworkConfig.from_dict(plain | {"latents": 16})
    with pytest.raises(ValueError, match="hop of at least 512"):
        NetworkConfig.from_dict(plain | {"ratios": [4, 2, 1, 1]})
