"""A harmonic source: the overtones that a rectifier makes of the decoded lowest bands.

High-frequency regeneration of baseband codecs (Makhoul & Berouti 1979): rectifying a sound whose partials are
multiples of f0 gives all the multiples of f0, in phase with it. Each sub-band of the result is brought to
unit level; the network only has to learn how much of it to use where.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .pqmf import PQMF

_SHORT, _LONG = 13, 5  # together 65 sub-band samples, 22 ms: long against a pitch period, short against a syllable


class HarmonicSource(nn.Module):
    """Decoded sub-bands [batch, bands, time] to a flat harmonic excitation of the same shape."""

    def __init__(self, pqmf: PQMF, low: int = 1) -> None:
        super().__init__()
        self.pqmf = [pqmf]  # in a list: shared, not owned
        self.low = low

    def forward(self, bands: Tensor) -> Tensor:
        """Rectify the lowest bands at the full rate and flatten the result."""
        pqmf = self.pqmf[0]
        base = torch.zeros_like(bands)
        base[:, : self.low] = bands[:, : self.low]
        rich = pqmf(pqmf.inverse(base).abs())
        return rich * torch.rsqrt(_local_mean(rich.square()) + 1e-8)


def _local_mean(power: Tensor) -> Tensor:
    """Mean over the `_SHORT * _LONG` samples around each: a short box, then several of its results side by side."""
    short = F.avg_pool1d(power, _SHORT, 1, _SHORT // 2, count_include_pad=False)
    reach = _SHORT * (_LONG // 2)
    padded = F.pad(short, (reach, reach), mode="replicate")
    time = power.shape[-1]
    total = padded[..., :time].clone()
    for k in range(1, _LONG):
        total += padded[..., k * _SHORT : k * _SHORT + time]
    return total / _LONG
