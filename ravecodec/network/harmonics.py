"""A harmonic source: the overtones that a rectifier makes of the decoded lowest bands.

High-frequency regeneration of baseband codecs (Makhoul & Berouti 1979): rectifying a sound whose partials are
multiples of f0 gives all the multiples of f0, in phase with it. Each sub-band of the result is brought to
unit level; the network only has to learn how much of it to use where.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import moving_sum
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
        rich = pqmf(pqmf.inverse(bands[:, : self.low]).abs())
        return rich * torch.rsqrt(_local_mean(rich.square()) + 1e-8)


def _local_mean(power: Tensor) -> Tensor:
    """Mean over the `_SHORT * _LONG` samples around each: a short box, then several of its results side by side."""
    time, edge = power.shape[-1], _SHORT // 2
    # At the ends the mean is of those samples that there are.
    there = torch.arange(time, device=power.device).clamp(max=edge) + 1
    short = moving_sum(F.pad(power, (edge, edge)), _SHORT) / (there + there.flip(0) - 1)
    reach = _SHORT * (_LONG // 2)
    return moving_sum(F.pad(short, (reach, reach), mode="replicate"), _LONG, _SHORT) / _LONG
