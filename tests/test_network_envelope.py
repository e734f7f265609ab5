"""The envelope latents: what they measure, and that decoded sound is brought to them."""

import numpy as np
import pytest
import torch
from torch import nn

from ravecodec.network.config import NetworkConfig, load_preset
from ravecodec.network.envelope import CUT, PARTS, Envelope, band_shapes
from ravecodec.network.refiner import HALF, REACH, Refiner
from ravecodec.network.vae import RaveNet

RATE, HOP, FRAMES = 48000, 2048, 24


@pytest.fixture(params=[(24, 250.0, 0), (40, 100.0, 16)], ids=["a value a frame", "two values a frame"])
def envelope(request: pytest.FixtureRequest) -> Envelope:
    bands, lowest, detail = request.param
    module = Envelope(bands, HOP, RATE, lowest, detail)
    with torch.no_grad():
        module.trust.fill_(30.0)
    return module.eval()


def noise(seed: int = 0, level: float = 0.1) -> torch.Tensor:
    return level * torch.randn(1, 1, HOP * FRAMES, generator=torch.Generator().manual_seed(seed))


def levels(sound: torch.Tensor) -> torch.Tensor:
    return 0.5 * torch.log(sound.view(1, FRAMES, HOP).square().mean(2) + 1e-9)[:, None]


def brought(envelope: Envelope, sound: torch.Tensor, latents: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    return envelope.correct(sound, envelope.wanted(latents, level), level)


def band_decibels(sound: torch.Tensor, low: float, high: float) -> float:
    inner = sound.detach()[0, 0, 4 * HOP : -4 * HOP].double().numpy()
    power = np.abs(np.fft.rfft(inner)) ** 2
    frequency = np.fft.rfftfreq(len(inner), 1 / RATE)
    return float(10 * np.log10(power[(frequency >= low) & (frequency < high)].sum()))


def test_the_bands_divide_every_frequency_among_themselves() -> None:
    shapes = band_shapes(24, 513, RATE)
    np.testing.assert_allclose(shapes.sum(0), 1, atol=1e-12)
    assert (shapes >= 0).all()
    assert (np.diff(shapes.argmax(1)) > 0).all()


def test_untouched_spectra_give_the_sound_back(envelope: Envelope) -> None:
    x = noise()
    back = envelope._resynthesise(envelope._spectra(x))
    edge = HOP
    assert (back - x)[..., edge:-edge].abs().max() < 1e-6


def test_sound_with_its_own_envelope_hardly_changes(envelope: Envelope) -> None:
    x = noise()
    y = brought(envelope, x, envelope.measure(x, levels(x)), levels(x))
    error = (y - x)[..., 2 * HOP : -2 * HOP].square().mean() / x.square().mean()
    assert 10 * torch.log10(error) < -15


@pytest.mark.parametrize(("low", "high"), [(400, 700), (1500, 2500), (5000, 8000)])
def test_a_band_that_lost_ten_decibels_gets_them_back(envelope: Envelope, low: float, high: float) -> None:
    x = noise()
    spectrum = torch.fft.rfft(x)
    frequency = torch.fft.rfftfreq(x.shape[-1], 1 / RATE)
    spectrum[..., (frequency >= low * 0.8) & (frequency < high * 1.25)] *= 10 ** (-10 / 20)
    dull = torch.fft.irfft(spectrum, n=x.shape[-1])
    assert band_decibels(dull, low, high) - band_decibels(x, low, high) == pytest.approx(-10, abs=0.5)
    mended = brought(envelope, dull, envelope.measure(x, levels(x)), levels(x))
    assert band_decibels(mended, low, high) - band_decibels(x, low, high) == pytest.approx(0, abs=1.5)


def test_detail_tells_a_frame_s_halves_apart() -> None:
    """What is louder in the first half of every frame stays so, if less; with one value a frame it is lost."""
    x = noise()
    loud = (1 + (torch.arange(x.shape[-1]) % HOP < HOP // 2).float())[None, None]
    found = {}
    for detail in (0, 40):
        module = Envelope(40, HOP, RATE, 100.0, detail)
        with torch.no_grad():
            module.trust.fill_(30.0)
            y = brought(module, x, module.measure(x * loud, levels(x * loud)), levels(x * loud))
        halves = y.view(FRAMES, 2, HOP // 2)[2:-2].square().mean((0, 2))
        found[detail] = float(10 * torch.log10(halves[0] / halves[1]))
    assert abs(found[0]) < 0.1 and found[40] > 0.7


def test_a_louder_sound_has_the_same_envelope(envelope: Envelope) -> None:
    x = noise()
    torch.testing.assert_close(
        envelope.measure(x, levels(x)), envelope.measure(4 * x, levels(4 * x)), atol=1e-3, rtol=0
    )


def test_wild_latents_move_no_band_farther_than_the_bounds(envelope: Envelope) -> None:
    x = noise()
    for wild in (-1e4, 1e4):
        latents = torch.full((1, envelope.latents, FRAMES), wild)
        y = brought(envelope, x, latents, levels(x))
        assert torch.isfinite(y).all()
        assert y.abs().max() < x.abs().max() * np.exp(CUT)


def test_the_encoder_begins_with_the_measured_envelope() -> None:
    torch.manual_seed(0)
    net = RaveNet(load_preset("tiny")).eval()
    x = noise()
    net.adapt(x.view(4, 1, -1))
    with torch.inference_mode():
        mean = net.encode(x).mean
        assert net.envelope is not None and net.gain is not None
        measured = net.envelope.measure(x, net.gain.nats(net.gain.measure(net.pqmf(x))))
    torch.testing.assert_close(mean[:, net.contour], measured, atol=1e-5, rtol=0)


def test_more_detail_than_bands_is_refused() -> None:
    with pytest.raises(ValueError, match="envelope_detail"):
        NetworkConfig.from_dict(load_preset("tiny").to_dict() | {"envelope_detail": 9})


def test_an_envelope_without_a_level_is_refused() -> None:
    with pytest.raises(ValueError, match="gain_shape"):
        NetworkConfig.from_dict(load_preset("tiny").to_dict() | {"gain_shape": False})


def test_the_power_in_a_range_is_that_of_the_sound(envelope: Envelope) -> None:
    x = noise()
    wanted = envelope.wanted(envelope.measure(x, levels(x)), levels(x))
    at = torch.arange(513) * (RATE / 1024)
    inside = torch.stack([(at >= low) & (at < low + 1000) for low in (1500, 5000)]).float()
    power = envelope.power(wanted, levels(x), inside)
    assert power.shape == (1, 2, 4 * FRAMES)
    expected = 0.01 * inside.sum(1) / 512
    assert (10 * torch.log10(power[0, :, 16:-16].mean(1) / expected)).abs().max() < 0.7


def test_a_wild_latent_is_no_shot(envelope: Envelope) -> None:
    x = noise()
    latents = envelope.measure(x, levels(x))
    latents[:, 0] = 60
    power = envelope.power(envelope.wanted(latents, levels(x)), levels(x), torch.ones(1, 513))
    assert power.max() < 40 * 0.01 * 40  # every band at most as loud as all the sound was, and a little more


def test_a_second_round_comes_nearer_unless_the_step_is_coarse(envelope: Envelope) -> None:
    x = noise()
    x[..., 9 * HOP :] *= 0.1
    latents, level = envelope.measure(x, levels(x)), levels(x)
    wanted = envelope.wanted(latents, level)

    def wrong(step: float) -> float:
        y = envelope.correct(noise(1), wanted, level, step=step)
        return float((envelope.measure(y, level) - latents)[..., 2:-2].square().mean().detach())

    once = wrong(0)
    envelope.rounds = 2
    assert wrong(0) < 0.8 * once
    assert wrong(30) == pytest.approx(once)
    assert wrong(0) < wrong(12) < once


def test_a_refiner_begins_as_nothing_and_sees_the_step_of_every_frame(envelope: Envelope) -> None:
    torch.manual_seed(0)
    bands = len(envelope.shapes)
    refiner = Refiner(bands, 4)
    relative, missing = torch.randn(2, bands, 24), torch.randn(2, bands, 24)
    assert not refiner(relative, missing, 3.0).any()
    nn.init.normal_(refiner.found.weight)
    found = refiner(relative, missing, 3.0)
    assert found.abs().min() > 0 and found.shape == relative.shape
    for same in (torch.full((1, 1), 3.0), torch.full((2, 1), 3.0), torch.full((2, 24 // PARTS), 3.0)):
        assert torch.equal(refiner(relative, missing, same), found)
    assert torch.equal(refiner(relative, missing, 3.0, torch.zeros(2, 1, 24)), found)
    assert not torch.equal(refiner(relative, missing, 3.0, torch.ones(2, 1, 24)), found)
    steps = torch.full((1, 24 // PARTS), 3.0)
    steps[:, -1] = 8
    changed = (refiner(relative, missing, steps) != found).any(1)
    assert changed[:, -PARTS:].all() and not changed[:, : -PARTS - REACH].any()


def test_sound_is_brought_to_a_refined_envelope(envelope: Envelope) -> None:
    x = noise()
    latents, level = envelope.measure(x, levels(x)), levels(x)
    wanted = envelope.wanted(latents, level)
    before = envelope.correct(x, wanted, level)
    envelope.refiner = Refiner(len(envelope.shapes), 4)
    assert torch.equal(envelope.correct(x, wanted, level), before)
    nn.init.constant_(envelope.refiner.found.bias, 1.0)
    assert torch.allclose(envelope.correct(x, wanted, level, step=-40), before, atol=1e-3)  # as it was meant
    louder = envelope.correct(x, wanted, level, step=HALF)
    assert torch.log(louder.square().mean() / before.square().mean()).item() / 2 == pytest.approx(0.5, abs=0.1)


def test_an_envelope_may_be_trusted_the_more_the_coarser_the_step(envelope: Envelope) -> None:
    x = noise()
    latents, level = envelope.measure(x, levels(x)), levels(x)
    wanted = envelope.wanted(latents, level) + 0.5
    with torch.no_grad():
        envelope.trust.fill_(-1.0)
    before = envelope.correct(x, wanted, level, step=30.0)
    refiner = envelope.refiner = Refiner(len(envelope.shapes), 4, rise=True)
    assert torch.equal(envelope.correct(x, wanted, level, step=30.0), before)
    nn.init.constant_(refiner.rise, 2.0)
    logits = envelope.trust[:, None]
    for step, more in ((-40.0, 0.0), (HALF, 1.0), (60.0, 2.0)):
        assert torch.allclose(refiner.trusted(logits, step), torch.sigmoid(logits + more), atol=1e-3)
    after = envelope.correct(x, wanted, level, step=30.0)
    assert (after.square().mean() > 1.2 * before.square().mean()).item()
    of_frames = torch.full((1, level.shape[2]), 30.0)
    assert torch.allclose(envelope.correct(x, wanted, level, step=of_frames), after, atol=1e-6)


def test_a_refiner_without_an_envelope_is_refused() -> None:
    with pytest.raises(ValueError, match="needs envelope_refiner"):
        NetworkConfig.from_dict(load_preset("rave").to_dict() | {"envelope_rise": True})
    with pytest.raises(ValueError, match="needs envelope"):
        NetworkConfig.from_dict(load_preset("rave").to_dict() | {"envelope_refiner": 4})
