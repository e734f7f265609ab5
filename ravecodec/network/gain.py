"""Gain and shape: the local level of the sub-bands, taken out before coding and put back after (as in Opus's CELT)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOOR = 10 ** (-70 / 20)  # below this RMS a sound is silence and is not blown up
_MIDDLE, _SPREAD = math.log(10 ** (-30 / 20)), 1.5  # brings ln(level) to about zero mean and unit size


class Gain(nn.Module):
    """Smooth level of sound, one value a frame, interpolated between."""

    def __init__(self, decimation: int) -> None:
        super().__init__()
        self.decimation = decimation
        window = torch.hann_window(3, periodic=False) if decimation == 1 else torch.hann_window(5, periodic=False)[1:4]
        self.register_buffer("window", (window / window.sum())[None, None], persistent=False)

    def measure(self, bands: Tensor) -> Tensor:
        """Normalised log level [batch, 1, frames] of sub-bands [batch, bands, time]."""
        power = F.avg_pool1d(bands.square().sum(1, keepdim=True), self.decimation)
        power = F.conv1d(F.pad(power, (1, 1)), self.window)
        return (0.5 * torch.log(power + FLOOR**2) - _MIDDLE) / _SPREAD

    def level(self, log_level: Tensor) -> Tensor:
        """Amplitude [batch, 1, frames * decimation] of a normalised log level."""
        clipped = log_level.clamp(-5.0, 4.0)  # a lost or wild latent must not become a shot
        smooth = F.interpolate(clipped, scale_factor=float(self.decimation), mode="linear", align_corners=False)
        return torch.exp(smooth * _SPREAD + _MIDDLE)
