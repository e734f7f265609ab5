"""The filter bank: reconstruction, delay, orthonormality, separation of bands."""

import numpy as np
import pytest
import torch

from ravecodec.network.pqmf import PQMF


def decibels(error: torch.Tensor, signal: torch.Tensor) -> float:
    return float(10 * torch.log10(error.square().mean() / signal.square().mean()))


@pytest.mark.parametrize("causal", [False, True])
def test_white_noise_comes_back_below_minus_75_db_once_the_delay_is_taken_off(causal: bool) -> None:
    bank = PQMF(16, causal=causal)
    x = torch.randn(2, 1, 16 * 3000, generator=torch.Generator().manual_seed(1))
    y = bank.inverse(bank(x))
    assert y.shape == x.shape
    original, decoded = x[..., : x.shape[-1] - bank.delay], y[..., bank.delay :]
    inner = slice(512, -512)  # the bank sees silence outside the sound
    assert decibels((decoded - original)[..., inner], original[..., inner]) < -75
    assert bank.delay == (240 if causal else 0)


def test_a_click_comes_back_at_its_own_sample() -> None:
    bank = PQMF(16)
    for place in range(800, 832):  # every phase of a block
        x = torch.zeros(1, 1, 1600)
        x[0, 0, place] = 1
        y = bank.inverse(bank(x))[0, 0]
        assert int(y.argmax()) == place
        assert float(y[place]) == pytest.approx(1, abs=2e-3)


def test_white_noise_has_the_same_power_in_every_band() -> None:
    bank = PQMF(16)
    x = torch.randn(1, 1, 480_000, generator=torch.Generator().manual_seed(2))
    power = bank(x).square().mean((0, 2))
    assert np.allclose(power.numpy(), 1, atol=0.04)


def test_a_tone_stays_in_its_band_and_the_neighbours() -> None:
    bank = PQMF(16)
    t = torch.arange(48_000, dtype=torch.float64) / 48_000
    x = torch.sin(2 * torch.pi * 10_000 * t).float()[None, None]  # band 6: 9 to 10.5 kHz
    power = bank(x)[0, :, 100:-100].square().mean(1)
    others = torch.cat([power[:5], power[8:]])
    assert int(power.argmax()) == 6
    assert float(10 * torch.log10(others.max() / power[6])) < -75


def test_causal_analysis_does_not_look_ahead() -> None:
    bank = PQMF(16, causal=True)
    x = torch.randn(1, 1, 3200)
    later = x.clone()
    later[..., 1600:] = 0
    assert torch.equal(bank(x)[..., :100], bank(later)[..., :100])
