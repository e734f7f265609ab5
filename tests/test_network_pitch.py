"""Pitch: what is measured of sounds whose pitch is known, and the partials that are made of it again."""

import math

import numpy as np
import pytest
import torch

from bitstream import Tables
from ravecodec.network.config import NetworkConfig, load_preset
from ravecodec.network.phase import SEGMENT, SETTLE, history
from ravecodec.network.pitch import LATENTS, MIDDLE, Pitch
from ravecodec.network.pulses import TOP, pulse_train
from ravecodec.network.vae import RaveNet
from ravecodec.quantiser import Quantiser
from ravecodec.training.calibrate import Statistics, choose_basis

RATE, HOP, FRAMES = 48000, 2048, 24


@pytest.fixture(scope="module", params=[False, True], ids=["slots", "detail"])
def pitch(request: pytest.FixtureRequest) -> Pitch:
    return Pitch(HOP, RATE, request.param)


def voice(hertz: torch.Tensor, partials: int = 20, tilt: float = 1.0) -> torch.Tensor:
    """Partials of a gliding F0 [n] that fall with their number, [1, 1, n]."""
    angle = 2 * math.pi * (hertz.double() / RATE).cumsum(0)
    return (0.05 * sum(k**-tilt * torch.cos(k * angle + k * k) for k in range(1, partials + 1))).float()[None, None]


def steady(hertz: float, frames: int = FRAMES) -> torch.Tensor:
    return torch.full((frames * HOP,), hertz)


def latents_of(pitch: Pitch, hertz: float, frames: int, voicing: float = 1.0) -> torch.Tensor:
    x = torch.full((1, pitch.latents, frames), 2 * voicing - 1)
    x[:, :2] = 2 * math.log2(hertz / MIDDLE)
    x[:, LATENTS:] = 0
    return x


@pytest.mark.parametrize("hertz", [80.0, 110.0, 180.0, 333.3, 580.0])
@pytest.mark.parametrize("tilt", [0.0, 1.0, 2.0])
def test_the_pitch_of_partials_is_found(pitch: Pitch, hertz: float, tilt: float) -> None:
    found, voicing = pitch.curves(pitch.measure(voice(steady(hertz), tilt=tilt)))
    assert voicing[0, 4:-4].min() > 0.8
    inner = slice(2 * pitch.parts, -2 * pitch.parts)
    assert (1200 * torch.log2(found[0, inner] / hertz)).abs().max() < 5  # cents


@pytest.mark.parametrize("rate", [32000, 44100])
def test_pitch_is_found_at_other_rates(rate: int) -> None:
    """What lies above it is not folded down on it where every other sample is enough."""
    pitch = Pitch(HOP, rate)
    assert pitch.halved == (rate == 44100)
    seconds = torch.arange(FRAMES * HOP, dtype=torch.float64) / rate
    x = 0.05 * sum(torch.cos(2 * math.pi * 210 * k * seconds) for k in range(1, 20))
    x += 0.2 * torch.cos(2 * math.pi * 0.49 * rate * seconds)
    found, voicing = pitch.curves(pitch.measure(x.float()[None, None]))
    assert voicing[0, 4:-4].min() > 0.8
    assert (1200 * torch.log2(found[0, 4:-4] / 210)).abs().max() < 5  # cents


def test_spectra_of_like_pitch_are_placed_together_as_one_by_one(pitch: Pitch) -> None:
    dice = torch.Generator().manual_seed(0)
    spectra = torch.rand((2, 300, len(pitch.fine_taper)), generator=dice)
    near = torch.randint(7, pitch.fine_cosines.shape[1] - 8, (2, 300), generator=dice)
    wanted = (spectra @ pitch.fine_cosines).gather(-1, near[..., None] + torch.arange(-7, 8))
    torch.testing.assert_close(pitch._beside(spectra, near), wanted)
    with torch.inference_mode():
        torch.testing.assert_close(pitch._beside(spectra, near), wanted, rtol=1e-4, atol=1e-3)


def test_a_glide_is_followed(pitch: Pitch) -> None:
    seconds = torch.arange(FRAMES * HOP) / RATE
    hertz = 200 * 2 ** (0.25 * torch.sin(2 * math.pi * 1.5 * seconds))
    found, _ = pitch.curves(pitch.measure(voice(hertz)))
    wanted = hertz[HOP // (2 * pitch.parts) :: HOP // pitch.parts]
    assert (1200 * torch.log2(found[0] / wanted)).abs()[2 * pitch.parts : -2 * pitch.parts].max() < 5
    # Between the values that are sent the pitch goes in straight lines: with more of them it stays nearer.
    line = torch.nn.functional.interpolate(found[None], hertz.shape[0], mode="linear")[0, 0]
    astray = (1200 * torch.log2(line / hertz)).abs()[2 * HOP : -2 * HOP].max()
    assert astray < (2 if pitch.parts > 2 else 5)


def test_a_missing_fundamental_is_heard(pitch: Pitch) -> None:
    angle = 2 * math.pi * 150 * torch.arange(FRAMES * HOP, dtype=torch.float64) / RATE
    x = 0.05 * sum(torch.cos(k * angle) for k in range(2, 9)).float()[None, None]
    found, _ = pitch.curves(pitch.measure(x))
    assert (found[0, 4:-4] / 150 - 1).abs().max() < 0.01


def test_a_melody_is_found_above_a_louder_chord(pitch: Pitch) -> None:
    chord = sum(voice(steady(hertz), partials=2) for hertz in (98.0, 123.5, 155.6))
    melody = 0.5 * voice(steady(445.0), tilt=0.5)
    assert chord.square().mean() > 4 * melody.square().mean()
    found, voicing = pitch.curves(pitch.measure(chord + melody))
    inner = slice(2 * pitch.parts, -2 * pitch.parts)
    assert (1200 * torch.log2(found[0, inner] / 445)).abs().max() < 5  # cents
    assert voicing[0, 4:-4].min() > 0.8


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_where_there_is_no_pitch_the_latents_rest(pitch: Pitch, kind: str) -> None:
    x = torch.zeros(1, 1, FRAMES * HOP)
    if kind == "noise":
        x = 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    latents = pitch.measure(x)
    still = latents[:, 2:LATENTS] == -1
    assert still.float().mean() > 0.9 if kind == "noise" else still.all()
    for part in (latents[:, :2], latents[:, LATENTS:]):
        assert (part[still[:, : part.shape[1]]] == 0).all()


def test_loudness_does_not_matter(pitch: Pitch) -> None:
    x = voice(steady(210.0))
    torch.testing.assert_close(pitch.measure(x), pitch.measure(0.05 * x), atol=2e-2, rtol=0)


def with_a_pause(hertz: torch.Tensor) -> torch.Tensor:
    """A voice that is silent for a while, and hisses then, [1, 1, n]."""
    x = voice(hertz)
    hiss = 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    n = x.shape[-1]
    x[..., n // 3 : n // 2] = hiss[..., n // 3 : n // 2]
    return x


def test_where_there_is_no_pitch_it_is_sent_as_a_line_and_taken_out_again(pitch: Pitch) -> None:
    seconds = torch.arange(FRAMES * HOP) / RATE
    measured = pitch.measure(with_a_pause(150 * 2 ** (0.3 * seconds)))
    sent = pitch.held(measured[0].numpy())
    assert sent.shape == measured[0].shape and sent.dtype == np.float32
    torch.testing.assert_close(pitch.resting(torch.from_numpy(sent)[None]), measured, rtol=0, atol=0)
    # The line goes on where the glide went on unheard.
    slots = sent[:2].T.ravel()
    assert np.abs(np.diff(slots[4:-4])).max() < 0.05 < np.abs(np.diff(measured[0, :2].T.flatten())).max()
    unheard = pitch.rest.expand(-1, 5).numpy()
    np.testing.assert_array_equal(pitch.held(unheard), unheard)


@pytest.mark.parametrize("rotation", ["all", "kinds", "none"])
def test_no_pitch_is_exactly_that_at_every_step(rotation: str) -> None:
    torch.manual_seed(0)
    net = RaveNet(load_preset("tiny")).eval()
    means = np.random.default_rng(0).standard_normal((300, net.config.latents)).astype(np.float32)
    basis = choose_basis(net, Statistics(means, np.full(net.config.latents, 0.01)), rotation)[1]
    assert net.pitch is not None
    latents = means.T.copy()
    latents[net.tune] = net.pitch.rest
    for q in (-16, -3, 4, 24):
        codes = np.rint(basis.rotate(latents, len(latents)) / basis.steps(q)[:, None])
        found = torch.from_numpy((basis.restore(codes * basis.steps(q)[:, None])).astype(np.float32))[None]
        resting = net.pitch.resting(found[:, net.tune])
        torch.testing.assert_close(resting, net.pitch.rest.expand(1, -1, 300), rtol=0, atol=0)
    # What switches something on comes before it, as an encoder has to know.
    switches = basis.switches(net.switches)
    switched = np.flatnonzero(switches >= 0)
    assert len(switched) == np.count_nonzero(net.switches >= 0) and (switches[switched] < switched).all()


@pytest.mark.parametrize("rotation", ["all", "kinds", "none"])
def test_what_is_all_voiced_stays_so_whatever_the_step(rotation: str) -> None:
    """Rounded to the nearest integer, what no step ends at would come out as voiced in part."""
    torch.manual_seed(0)
    net = RaveNet(load_preset("tiny")).eval()
    count = net.config.latents
    means = np.random.default_rng(0).standard_normal((300, count)).astype(np.float32)
    basis = choose_basis(net, Statistics(means, np.full(count, 0.01)), rotation)[1]
    assert net.pitch is not None
    voicing = np.arange(count)[net.tune][2:4]
    latents = means.T.copy()
    latents[voicing, :150], latents[voicing, 150:] = 1.0, 0.2
    tables = Tables.fit({0: np.zeros((9, count), int)})
    least, plain = [], []
    for q in range(-16, 25):
        steps = basis.steps(q)[:, None]
        for ceiling, found in ((net.ceiling, least), (None, plain)):
            quantiser = Quantiser(basis, tables, ceiling=ceiling)
            codes = quantiser.integers([quantiser.rotated(latents[None])], q, count)[0][0].T
            heard = net.pitch.resting(torch.from_numpy(basis.restore(codes * steps)[None, net.tune]))[:, 2:4]
            found.append(float(heard[..., :150].min()))
            assert heard.max() <= 1
            if q <= 0:  # elsewhere it is as near as before
                assert (heard[..., 150:] - 0.2).abs().max() < 0.51 * float((steps[:, 0] * basis.unit).max())
    assert min(least) > 0.9 > 0.6 > min(plain)


def test_a_line_of_pitch_makes_no_other_sound() -> None:
    torch.manual_seed(0)
    # A second pitch would pause elsewhere.
    net = RaveNet(NetworkConfig.from_dict(load_preset("tiny").to_dict() | {"second_pitch": False})).eval()
    with torch.inference_mode():
        means = net.encode(x := with_a_pause(steady(150.0))).mean
        sent = torch.from_numpy(net.held(means.numpy()))
        assert (sent != means).any()
        first, second = net.decode(means), net.decode(sent)
    # Behind the pause partials may have another phase: up to then nothing is to change.
    before = slice(0, x.shape[-1] // 2 - 2 * HOP)
    assert (first - second)[..., before].abs().max() < 0.01 * first.abs().max()


@pytest.mark.parametrize("hertz", [70.0, 200.0, 555.5])
def test_pulses_are_partials_of_one_level_up_to_the_top(pitch: Pitch, hertz: float) -> None:
    frames = 30
    y = pulse_train(pitch, latents_of(pitch, hertz, frames), HOP, 0, 0)[0, 0, 4 * HOP : -4 * HOP].double().numpy()
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)))) / len(y) * 4
    at = np.fft.rfftfreq(len(y), 1 / RATE)
    count = int(TOP / hertz)
    peaks = [spectrum[np.abs(at - k * hertz) < 4].max() for k in range(1, count)]
    np.testing.assert_allclose(peaks, 2 * math.sqrt(hertz / RATE), rtol=0.2)
    between = [spectrum[np.abs(at - (k + 0.5) * hertz) < 0.2 * hertz].max() for k in range(1, count - 1)]
    assert max(between) < 0.05 * min(peaks)
    # Like white noise of unit power, as far as it reaches.
    assert np.mean(y**2) == pytest.approx(2 * TOP / RATE, rel=0.05)


def test_no_voicing_no_pulses(pitch: Pitch) -> None:
    assert pulse_train(pitch, latents_of(pitch, 200, 8, 0.0), HOP, 0, 0).abs().max() == 0


def test_the_phase_does_not_depend_on_where_reading_began(pitch: Pitch) -> None:
    dice = torch.Generator().manual_seed(1)
    frames = 4 * SEGMENT
    latents = torch.ones(1, pitch.latents, frames)
    latents[:, :2] = 0.4 * torch.randn(1, 2, frames, generator=dice)
    latents[:, LATENTS:] = 0.1 * torch.randn(1, pitch.latents - LATENTS, frames, generator=dice)
    latents = torch.cat([torch.zeros(1, pitch.latents, SEGMENT), latents], 2)  # as a reader sees the time before a file
    whole = pulse_train(pitch, latents, HOP, -SEGMENT, 0)
    for start in (0, 1, SETTLE, SETTLE + 1, SEGMENT, SEGMENT + 1, SEGMENT + SETTLE, 2 * SEGMENT + SETTLE + 1, 200):
        first = history(start)
        assert start - first <= SEGMENT + SETTLE
        part = pulse_train(pitch, latents[..., SEGMENT + first :], HOP, first, start)
        assert (part - whole[..., start * HOP :]).abs().max() < 1e-4, start


def test_a_new_start_of_the_phase_is_not_heard(pitch: Pitch) -> None:
    """Across starts a steady tone stays one tone: no jump of its phase, and less than 10 cents of drift."""
    frames = 3 * SEGMENT
    y = pulse_train(pitch, latents_of(pitch, 201.3, frames), HOP, 0, 0)[0, 0]
    tone = torch.fft.rfft(y)
    at = torch.fft.rfftfreq(len(y), 1 / RATE)
    tone = torch.where((at > 150) & (at < 250), tone, torch.zeros_like(tone))
    tone = torch.cat([2 * tone, torch.zeros(len(y) - len(tone))])
    angle = torch.fft.ifft(tone).angle()
    turn = torch.remainder(angle[1:] - angle[:-1] + math.pi, 2 * math.pi) - math.pi
    hertz = (turn * RATE / (2 * math.pi)).view(1, 1, -1)
    hertz = torch.nn.functional.avg_pool1d(hertz, 960, 480)[0, 0, 8:-8]
    assert (1200 * torch.log2(hertz / 201.3)).abs().max() < 10


def test_the_pitch_latents_are_measured_and_not_learned() -> None:
    torch.manual_seed(0)
    net = RaveNet(load_preset("tiny")).eval()
    x = voice(steady(150.0))
    with torch.inference_mode():
        posterior = net.encode(x)
    assert net.pitch is not None
    torch.testing.assert_close(posterior.mean[:, net.tune], net.pitch.measure(x))
    torch.testing.assert_close(posterior.scale[:, net.tune], net.pitch.noise.expand(1, -1, FRAMES))


def test_the_waveform_that_was_sent_holds_no_pulses() -> None:
    torch.manual_seed(0)
    net = RaveNet(load_preset("tiny")).eval()
    latents = torch.randn(1, net.config.latents, 8)
    noise = torch.zeros(1, net.config.bands, 8 * net.config.decimation)
    with torch.inference_mode():
        voiced, sent = net.render(latents, noise)
        latents[:, net.tune] = -latents[:, net.tune]
        # The features change with the latents: only the source is to be another.
        pulses = net.pqmf(torch.randn(1, 1, 8 * HOP))
        first, second = (net.decode_bands(latents, noise, p) for p in (pulses, 2 * pulses))
    assert voiced.shape == (1, 1, 8 * HOP) and sent.shape == (1, 1, 8 * net.config.decimation)
    assert (first[0] - second[0]).abs().max() > 1e-3
    torch.testing.assert_close(first[1], second[1])


def test_a_pitch_without_an_envelope_is_refused() -> None:
    without = {"envelope": 0, "envelope_detail": 0, "envelope_refiner": 0, "envelope_rise": False}
    with pytest.raises(ValueError, match="pitch needs an envelope"):
        NetworkConfig.from_dict(load_preset("tiny").to_dict() | without)
