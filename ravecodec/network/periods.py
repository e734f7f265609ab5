"""What pitch is looked for with: candidates of a period, how a spectrum answers them, and half the rate."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_TAPS = 15  # of the filter of half the band
# A windowed sinc, every other tap of it: of those between them only the middle one is not zero.
_SINC = (np.sinc(np.arange(-(_TAPS // 2), _TAPS // 2 + 1) / 2) * np.kaiser(_TAPS, 5.0))[::2]
_HALF_BAND: list[float] = (_SINC / (2 * _SINC.sum())).tolist()
LOWEST, HIGHEST = 60.0, 600.0  # Hz, of the candidates
HALF_BAND_REACH = _TAPS // 2  # samples on either side of one that its filter looks at


def candidates(grid: int) -> Tensor:
    """Frequencies from the highest down, so many an octave."""
    count = round(grid * math.log2(HIGHEST / LOWEST)) + 1
    return HIGHEST * 2.0 ** (-torch.arange(count, dtype=torch.float64) / grid)


def taper(frequency: Tensor, band: tuple[float, float, float, float]) -> Tensor:
    """Weights of frequencies: none below the first of a band's, one from the second to the third, none from the fourth.
    """
    first, whole, fall, last = band
    return ((frequency - first) / (whole - first)).clamp(0, 1) * ((last - frequency) / (last - fall)).clamp(0, 1)


def cosines(frequency: Tensor, period_of: Tensor) -> Tensor:
    """What a power spectrum is multiplied by for its autocorrelation at the period of each frequency `period_of`."""
    return torch.cos(2 * math.pi * frequency[:, None].double() / period_of[None]).float()


def vertex(values: Tensor, place: Tensor) -> Tensor:
    """How far from a place on the last axis a parabola through it and both its neighbours has its top, at most 0.5."""
    before, here, after = (values.gather(-1, (place + d)[..., None])[..., 0] for d in (-1, 0, 1))
    bend = before - 2 * here + after
    return torch.where(bend < -1e-6, 0.5 * (before - after) / bend, torch.zeros_like(bend)).clamp(-0.5, 0.5)


def on_top(values: Tensor, place: Tensor, times: int) -> Tensor:
    """Places on the last axis moved up to the top beside them, one step at a time and at most so many, off the ends."""
    last = values.shape[-1] - 1

    def at(place: Tensor) -> Tensor:
        return values.gather(-1, place[..., None])[..., 0]

    for _ in range(times):
        before, here, after = at(place - 1), at(place), at(place + 1)
        place = (place + (after > here).long() - ((before > here) & (after <= here)).long()).clamp(1, last - 1)
    return place


def at_half_rate(sound: Tensor) -> Tensor:
    """Every other sample of sound [batch, n] without what lies above a quarter of its rate: [batch, n // 2 - 7]."""
    count = sound.shape[-1] // 2 - HALF_BAND_REACH
    beside, here = sound[:, : sound.shape[-1] // 2 * 2].unflatten(-1, (-1, 2)).unbind(-1)
    half = 0.5 * here[:, _TAPS // 4 :][:, :count]
    beside = beside.contiguous()
    for n, tap in enumerate(_HALF_BAND):  # as a convolution of one channel it takes four times as long
        half.add_(beside[:, n : n + count], alpha=tap)
    return half
