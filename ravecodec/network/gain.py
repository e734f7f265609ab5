"""Gain and shape: the local level of the sub-bands, taken out before coding and put back after (as in Opus's CELT)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import full_precision, moving_sum

FLOOR = 10 ** (-70 / 20)  # below this RMS a sound is silence and is not blown up
_AROUND = 7  # sub-band samples on either side, together 5 ms
_MIDDLE, _SPREAD = math.log(10 ** (-30 / 20)), 1.5  # brings ln(level) to about zero mean and unit size


class Gain(nn.Module):
    """Smooth level of sound, one value a frame, interpolated between; and the usual level of each sub-band below it.

    `emphasis` [bands] flattens sound's usual spectrum, so that the network works on numbers near one in every sub-band.
    """

    emphasis: Tensor
    window: Tensor

    def __init__(self, bands: int, decimation: int) -> None:
        super().__init__()
        self.decimation = decimation
        self.register_buffer("emphasis", torch.ones(bands))
        window = torch.hann_window(3, periodic=False) if decimation == 1 else torch.hann_window(5, periodic=False)[1:4]
        self.register_buffer("window", (window / window.sum())[None, None], persistent=False)

    def measure(self, bands: Tensor) -> Tensor:
        """Normalised log level [batch, 1, frames] of sub-bands [batch, bands, time]."""
        power = F.avg_pool1d(bands.square().sum(1, keepdim=True), self.decimation)
        with full_precision(power):
            power = F.conv1d(F.pad(power, (1, 1)), self.window)
        return (0.5 * torch.log(power + FLOOR**2) - _MIDDLE) / _SPREAD

    def nats(self, log_level: Tensor) -> Tensor:
        """ln of the amplitude [batch, 1, frames] of a normalised log level."""
        return log_level.clamp(-5.0, 4.0) * _SPREAD + _MIDDLE  # a lost or wild latent must not become a shot

    def level(self, log_level: Tensor) -> Tensor:
        """Amplitude [batch, 1, frames * decimation] of a normalised log level."""
        nats = self.nats(log_level)
        return torch.exp(F.interpolate(nats, scale_factor=float(self.decimation), mode="linear", align_corners=False))

    def shape(self, bands: Tensor, level: Tensor) -> Tensor:
        """Sub-bands [batch, bands, time] without their level and usual spectrum."""
        return bands / (level * self.emphasis[:, None])

    def unshape(self, shape: Tensor, level: Tensor) -> Tensor:
        """The way back from `shape`."""
        return shape * level * self.emphasis[:, None]

    def envelope(self, shape: Tensor) -> Tensor:
        """Log power of each sub-band over 5 ms, [batch, bands, time]: what the ear follows where it hears no phase."""
        power = moving_sum(F.pad(shape.square(), (_AROUND, _AROUND)), 2 * _AROUND + 1) / (2 * _AROUND + 1)
        return 0.25 * torch.log(power + 1e-4)

    @torch.no_grad()
    def adapt(self, bands: Tensor) -> None:
        """Take the usual spectrum from sub-bands [batch, bands, time] of typical sound: a geometric mean."""
        relative = bands / self.level(self.measure(bands))
        power = relative.square().mean(-1).clamp_min(1e-5)  # no further down than -50 dB
        self.emphasis.copy_(torch.exp(0.5 * power.log().mean(0)))
