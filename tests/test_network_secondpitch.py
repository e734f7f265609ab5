"""A second pitch: what is measured of two voices and of one, and that partials are made of it, too."""

import math

import numpy as np
import pytest
import torch

from ravecodec.network.config import NetworkConfig, load_preset
from ravecodec.network.pitch import MIDDLE, OCTAVES, Pitch
from ravecodec.network.secondpitch import SecondPitch, _lasting, second_pitch_reach
from ravecodec.network.vae import RaveNet
from ravecodec.training.calibrate import Statistics, choose_basis

RATE, HOP, FRAMES = 48000, 2048, 24


@pytest.fixture(scope="module")
def pitch() -> Pitch:
    return Pitch(HOP, RATE, True)


@pytest.fixture(scope="module")
def second() -> SecondPitch:
    return SecondPitch(HOP, RATE)


def voice(hertz: torch.Tensor | float, tilt: float = 0.7) -> torch.Tensor:
    """Thirty partials of an F0 [n], or of a steady one, that fall with their number, [1, 1, n]."""
    curve = hertz if isinstance(hertz, torch.Tensor) else torch.full((FRAMES * HOP,), hertz)
    angle = 2 * math.pi * (curve.double() / RATE).cumsum(0)
    return (0.02 * sum(k**-tilt * torch.cos(k * angle + k * k) for k in range(1, 31))).float()[None, None]


def both(pitch: Pitch, second: SecondPitch, sound: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """F0 of the first in Hz, of every slot, and the latents of the second."""
    hertz, voicing = pitch.by_slot(pitch.measure(sound))
    return hertz, second.measure(sound, hertz, voicing)


@pytest.mark.parametrize("notes", [(220.0, 277.2), (150.0, 400.0), (330.0, 247.5), (110.0, 293.7)])
def test_two_voices_are_told_apart(pitch: Pitch, second: SecondPitch, notes: tuple[float, float]) -> None:
    first, latents = both(pitch, second, voice(notes[0]) + 0.6 * voice(notes[1]))
    found = MIDDLE * torch.exp2(latents[0, 0, 3:-3] * OCTAVES)
    louder = first[0, 6:-6].median()
    assert min(abs(1200 * math.log2(louder / note)) for note in notes) < 10
    other = notes[1] if abs(louder - notes[0]) < abs(louder - notes[1]) else notes[0]
    assert (1200 * torch.log2(found / other)).abs().max() < 10  # cents
    assert latents[0, 1, 3:-3].min() > 0


def test_one_voice_has_no_second_pitch(pitch: Pitch, second: SecondPitch) -> None:
    seconds = torch.arange(FRAMES * HOP) / RATE
    for hertz in (180.0, 180 * 2 ** (0.25 * torch.sin(2 * math.pi * 1.5 * seconds))):
        sound = voice(hertz)
        sound = sound + 0.01 * torch.randn(sound.shape, generator=torch.Generator().manual_seed(0))
        _, latents = both(pitch, second, sound)
        assert (latents[0, 1, 2:-2] == -1).float().mean() > 0.9


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_where_there_is_no_first_pitch_there_is_no_second(pitch: Pitch, second: SecondPitch, kind: str) -> None:
    sound = torch.zeros(1, 1, FRAMES * HOP)
    if kind == "noise":
        sound = 0.1 * torch.randn(sound.shape, generator=torch.Generator().manual_seed(0))
    latents = second.measure(sound, torch.full((1, 2 * FRAMES), 200.0), torch.zeros(1, 2 * FRAMES))
    torch.testing.assert_close(latents, second.rest.expand(1, -1, FRAMES), rtol=0, atol=0)


def test_loudness_hardly_matters(pitch: Pitch, second: SecondPitch) -> None:
    chord = voice(220.0) + 0.6 * voice(277.2)
    _, loud = both(pitch, second, chord)
    _, soft = both(pitch, second, 0.05 * chord)
    torch.testing.assert_close(loud, soft, atol=5e-2, rtol=0)


@pytest.mark.parametrize(("rate", "halvings"), [(48000, 2), (44100, 1), (16000, 0)])
def test_it_halves_a_rate_that_holds_more_than_it_looks_at(rate: int, halvings: int) -> None:
    """Of the same samples, which are other notes at another rate."""
    second = SecondPitch(HOP, rate)
    assert second.halvings == halvings
    hertz = torch.full((1, 2 * FRAMES), 330.0 * rate / RATE)
    found = second.measure(voice(330.0) + 0.6 * voice(441.0), hertz, torch.ones_like(hertz))
    notes = MIDDLE * torch.exp2(found[0, 0, 3:-3] * OCTAVES)
    assert found[0, 1, 3:-3].min() > -1
    assert (1200 * torch.log2(notes / (441.0 * rate / RATE))).abs().max() < 10  # cents


def test_six_slots_of_one_note_last() -> None:
    notes = torch.tensor([[0.0, *(0.5 + 0.01 * n for n in range(6)), 0.9, *[1.3] * 5, *[2.0] * 7]])
    assert _lasting(notes).int().tolist() == [[0, *[1] * 6, 0, *[0] * 5, *[1] * 7]]


def test_it_sees_no_farther_than_its_reach(pitch: Pitch, second: SecondPitch) -> None:
    reach = -(-second_pitch_reach(HOP) // HOP)
    chord = voice(220.0) + 0.6 * voice(277.2)
    dice = torch.Generator().manual_seed(0)
    for changed in (slice(0, 4), slice(20, 24)):
        other = chord.clone()
        other[..., changed.start * HOP : changed.stop * HOP] = 0.1 * torch.randn(4 * HOP, generator=dice)
        _, a = both(pitch, second, chord)
        _, b = both(pitch, second, other)
        same = slice(4 + reach, None) if changed.start == 0 else slice(None, 20 - reach)
        torch.testing.assert_close(a[..., same], b[..., same], atol=1e-4, rtol=0)


def test_a_pause_is_sent_as_a_line_and_taken_out_again(second: SecondPitch) -> None:
    measured = torch.tensor([[[0.0, 0.4, 0.0, 0.0, 0.8, 0.8], [-1.0, 0.5, -1.0, -1.0, 1.0, 1.0]]])
    sent = second.held(measured[0].numpy())
    np.testing.assert_allclose(sent[0], [0.4, 0.4, 0.4 + 0.4 / 3, 0.4 + 0.8 / 3, 0.8, 0.8], rtol=1e-6)
    torch.testing.assert_close(second.resting(torch.from_numpy(sent)[None]), measured)
    assert second.ceiling.tolist() == [np.inf, 1.0]
    assert second.as_first(measured, 6)[0, :, 1].tolist() == pytest.approx([0.4, 0.4, 0.5, 0.5, 0, 0])


@pytest.fixture(scope="module")
def net() -> RaveNet:
    torch.manual_seed(0)
    data = load_preset("tiny").to_dict() | {"second_pitch": True}
    return RaveNet(NetworkConfig.from_dict(data)).eval()


def test_its_latents_are_measured_and_coded_alone(net: RaveNet) -> None:
    sound = voice(220.0) + 0.6 * voice(277.2)
    with torch.inference_mode():
        posterior = net.encode(sound)
    assert net.pitch is not None and net.second is not None and net.other.stop == net.contour.indices(128)[0]
    wanted = net.second.measure(sound, *net.pitch.by_slot(posterior.mean[:, net.tune]))
    torch.testing.assert_close(posterior.mean[:, net.other], wanted)
    torch.testing.assert_close(posterior.scale[:, net.other], net.second.noise.expand(1, -1, FRAMES))
    assert all(range(n, n + 1) in net.kinds for n in range(net.other.start, net.other.stop))


def test_its_partials_sound(net: RaveNet) -> None:
    """Steered by nothing but its latents, and not where its voicing says that there are none."""
    latents = torch.zeros(1, net.config.latents, FRAMES)
    latents[:, net.tune] = -1.0  # no first pitch
    noise = torch.zeros(1, net.config.bands, FRAMES * net.config.decimation)
    assert net.second is not None

    def pulses(voicing: float) -> torch.Tensor:
        latents[:, net.other] = torch.tensor([[2 * math.log2(250 / MIDDLE)], [voicing]])
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(0)
            net.decoder.heads.weight.zero_()
            net.decoder.heads.bias.zero_()  # type: ignore[union-attr]
            net.decoder.heads.bias[-net.config.bands :] = 1.0  # type: ignore[index]
            return net.render(latents, noise)[0][0, 0]

    kept = {name: value.clone() for name, value in net.decoder.heads.state_dict().items()}
    voiced, silent = pulses(1.0), pulses(-1.0)
    net.decoder.heads.load_state_dict(kept)
    spectrum = torch.fft.rfft((voiced - silent)[4 * HOP : -4 * HOP] * torch.hann_window(16 * HOP)).abs()
    at = torch.fft.rfftfreq(16 * HOP, 1 / RATE)
    audible = (at > 600) & (at < 6000)
    near = ((at / 250 - (at / 250).round()).abs() * 250 < 12) & audible
    assert spectrum[near].square().sum() > 0.9 * spectrum[audible].square().sum() > 0


def test_where_it_comes_among_the_components(net: RaveNet) -> None:
    means = np.random.default_rng(0).standard_normal((300, net.config.latents)).astype(np.float32)
    means[:, net.other] *= 1.2, 0.4  # as much as they vary in music, speech and effects
    variance = np.full(net.config.latents, 0.01)
    assert net.second is not None
    assert net.pitch is not None
    variance[net.tune] = net.pitch.noise[:, 0].square().numpy()
    variance[net.other] = net.second.noise[:, 0].square().numpy()
    basis = choose_basis(net, Statistics(means, variance), "none")[1]
    order = np.abs(basis.vectors).argmax(1).tolist()
    assert basis.mean[net.other].tolist() == [0.0, -1.0]
    # What is voiced is known before what pitch it has, and no second pitch comes without the first.
    first = [order.index(n) for n in range(net.tune.start, net.tune.start + 4)]
    assert max(first) < order.index(net.other.start + 1) < order.index(net.other.start)


def test_a_second_pitch_without_a_first_is_refused() -> None:
    without = {"pitch": False, "tones": 0, "scatter_unvoiced": 0, "second_pitch": True}
    with pytest.raises(ValueError, match="second_pitch is what a first one leaves"):
        NetworkConfig.from_dict(load_preset("tiny").to_dict() | without)
