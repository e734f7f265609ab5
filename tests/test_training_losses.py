"""The losses: gradients against autograd, values against the evaluation's own code, what each is blind to."""

import numpy as np
import pytest
import torch
from sounds import glide

from eval.metrics.spectral_distance import spectral_distance as measured
from ravecodec.training.losses import (
    WINDOWS,
    envelope_distance,
    modulation_distance,
    spectral_distance,
    steadiness_distance,
    stft,
    structure_distance,
    waveform_distance,
)

RATE = 48000


def pair(seed: int = 0, noise: float = 0.01) -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(seed)
    x = torch.from_numpy(np.stack([glide(seed + i, 16384) for i in range(2)]))
    return x, x + noise * torch.randn(x.shape, generator=dice)


def plain(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The formula, by autograd."""
    total = x.new_zeros(())
    for window in WINDOWS:
        a, b = stft(x, window).abs(), stft(y, window).abs()
        norms = [v.square().sum((1, 2)).sqrt() for v in (a - b, a)]
        total = total + (norms[0] / (norms[1] + 1e-3 * a[0].numel() ** 0.5)).mean()
        total = total + (a.clamp_min(1e-5).log() - b.clamp_min(1e-5).log()).abs().mean()
    return total


def test_the_gradient_worked_out_by_hand_is_the_true_one() -> None:
    x, y = pair()
    x, y = x.double(), y.double().requires_grad_()
    expected, found = plain(x, y), spectral_distance(x, y)
    assert float(found) == pytest.approx(float(expected), rel=1e-9)
    true = torch.autograd.grad(expected, y)[0]
    mine = torch.autograd.grad(2 * found, y)[0] / 2
    assert float((true - mine).norm() / true.norm()) < 1e-9


def test_training_and_evaluation_mean_the_same_distance() -> None:
    x, y = pair()
    for a, b in zip(x, y, strict=True):
        trained = float(spectral_distance(a[None], b[None]))
        assert trained == pytest.approx(measured(a.numpy(), b.numpy()), rel=0.01)


@pytest.mark.parametrize("distance", [waveform_distance, structure_distance])
def test_identity_costs_nothing_and_silence_about_one(distance) -> None:
    x, _ = pair()
    assert float(distance(x, x, RATE)) == pytest.approx(0, abs=1e-3)
    assert 0.6 < float(distance(x, 1e-5 * torch.randn_like(x), RATE)) < 1.25


def test_more_noise_costs_more() -> None:
    def waveform(x, y):
        return waveform_distance(x, y, RATE)

    def structure(x, y):
        return structure_distance(x, y, RATE)

    for distance in (spectral_distance, waveform, structure):
        costs = [float(distance(*pair(0, noise))) for noise in (0.001, 0.01, 0.1)]
        assert costs[0] < costs[1] < costs[2]


def test_structure_sees_a_wrong_pitch_that_waveform_distance_forgives_above_its_range() -> None:
    t = torch.arange(32768) / RATE
    high = [0.1 * sum(torch.sin(2 * torch.pi * k * f * t) for k in range(6, 20)) for f in (500.0, 530.0)]
    x, y = (h[None] for h in high)
    assert float(structure_distance(x, y, RATE)) > 0.5
    assert float(structure_distance(x, -x, RATE)) < 1e-3
    assert float(waveform_distance(x, y, RATE)) < 1.2


def test_silent_clips_do_not_rule_a_batch() -> None:
    x, y = pair()
    x[1] = 0
    for distance in (spectral_distance(x, y), waveform_distance(x, y, RATE), structure_distance(x, y, RATE)):
        assert torch.isfinite(distance)
    y = y.clone().requires_grad_()
    spectral_distance(x, y).backward()
    assert torch.isfinite(y.grad).all()


def test_the_envelope_distance_is_the_gain_in_nats_and_forgives_the_noise_itself() -> None:
    x = 0.1 * torch.randn(2, 32768, generator=torch.Generator().manual_seed(1))
    other = 0.1 * torch.randn(2, 32768, generator=torch.Generator().manual_seed(2))
    assert float(envelope_distance(x, x, RATE)) == 0
    assert float(envelope_distance(x, 2 * x, RATE)) == pytest.approx(0.693, abs=0.001)
    # Bin by bin, another noise of the same envelope looks farther away than one 6 dB too loud.
    assert float(envelope_distance(x, other, RATE)) < 0.4 * float(envelope_distance(x, 2 * x, RATE))
    assert torch.isfinite(envelope_distance(torch.zeros_like(x), x, RATE))


def test_steadiness_tells_a_loop_of_noise_from_noise_and_forgives_a_tone_beside_its_place() -> None:
    dice = torch.Generator().manual_seed(3)
    noise, other = (0.1 * torch.randn(4, 32768, generator=dice) for _ in range(2))
    loop = other[:, :2048].repeat(1, 16)
    assert float(steadiness_distance(noise, noise, RATE)) == 0
    assert float(steadiness_distance(noise, other, RATE)) < 0.06
    assert float(steadiness_distance(noise, loop, RATE)) > 0.7
    # Lasting partials everywhere: a loop lasts as they do, noise does not.
    t = torch.arange(32768) / RATE
    tones = 0.03 * sum(torch.sin(2 * torch.pi * k * 97.3 * t + k * k) for k in range(1, 150))
    tones = tones.expand(4, -1)
    assert float(steadiness_distance(tones, loop, RATE)) < 0.25 < 0.5 < float(steadiness_distance(tones, noise, RATE))
    y = torch.zeros_like(noise).requires_grad_()
    steadiness_distance(torch.zeros_like(noise), y, RATE).backward()
    assert torch.isfinite(y.grad).all()


def test_modulation_sees_bands_that_move_otherwise_and_forgives_their_level() -> None:
    dice = torch.Generator().manual_seed(4)
    noise, other, third = (0.1 * torch.randn(2, 32768, generator=dice) for _ in range(3))
    syllables = (torch.sin(2 * torch.pi * 4 * torch.arange(32768) / RATE) > 0).float()
    low, high = noise - noise.roll(1, 1) * -0.9, noise - noise.roll(1, 1) * 0.9
    x = low * syllables + high * (1 - syllables)
    assert float(modulation_distance(x, x, RATE)) == pytest.approx(0, abs=1e-3)
    assert float(modulation_distance(x, 3 * x, RATE)) < 0.01
    assert float(modulation_distance(x, other, RATE)) > 0.5 > float(modulation_distance(x, x + 0.1 * third, RATE))


@pytest.mark.parametrize("window", [512, 4096])
@pytest.mark.parametrize("length", [6000, 32768])
def test_the_spectrum_and_its_way_back_are_those_of_torch(window: int, length: int) -> None:
    dice = torch.Generator().manual_seed(0)
    x = torch.randn((2, length), generator=dice, requires_grad=True)
    found = stft(x, window)
    hann = torch.hann_window(window)
    wanted = torch.stft(x, window, window // 4, window=hann, center=True, return_complex=True)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-3)
    weight = torch.randn(found.shape, generator=dice), torch.randn(found.shape, generator=dice)
    gradients = [
        torch.autograd.grad((weight[0] * s.real + weight[1] * s.imag).sum(), x)[0] for s in (found, wanted)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-3)
