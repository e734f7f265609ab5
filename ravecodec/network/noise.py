"""Noise that is the same everywhere: a counter-based integer generator and the filtered-noise head.

The generator is Wellons' `lowbias32` integer hash of the sample's position, band and the file's seed, so any span of
the noise can be computed without the samples before it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .config import NetworkConfig
from .layers import SLOPE, Conv, as_sequence, full_precision


def lowbias32(x: np.ndarray) -> np.ndarray:
    """Mix uint32 values into well-spread uint32 values."""
    x = x ^ (x >> np.uint32(16))
    x *= np.uint32(0x7FEB352D)  # arrays of unsigned integers wrap, as the hash wants
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def seeded_noise(seed: int, bands: int, start: int, length: int) -> Tensor:
    """Uniform noise in [-1, 1) of shape [bands, length] for sub-band samples start ... start + length."""
    # Positions may be negative in the lead-in of a file: they wrap to 32 bits like every counter here.
    time = np.arange(start, start + length, dtype=np.int64).astype(np.uint32)
    keys = (seed + np.arange(bands, dtype=np.int64) * 0x9E3779B9).astype(np.uint32)
    mixed = lowbias32(time[None] ^ lowbias32(keys)[:, None])
    signed = (mixed ^ np.uint32(1 << 31)).view(np.int32)  # mixed - 2^31
    return torch.from_numpy(signed.astype(np.float32) * np.float32(2.0**-31))


def amplitude(x: Tensor) -> Tensor:
    """The paper's positive, gently starting amplitude: 2 * sigmoid(x) ** 2.3 + 1e-7 (from DDSP, Engel et al. 2020)."""
    # A logarithm and an exponential take less time than a power.
    return 2 * torch.exp(-2.3 * nn.functional.softplus(-x)) + 1e-7


class NoiseHead(nn.Module):
    """Time-varying filters, `bands` magnitudes per sub-band, applied to white noise."""

    def __init__(self, config: NetworkConfig, inputs: int) -> None:
        super().__init__()
        self.bands, self.hop, self.points = config.bands, config.noise.hop, config.noise.bands
        hidden = config.noise.channels
        self.down = Conv(inputs, hidden, 2 * self.hop, stride=self.hop, causal=config.causal)
        self.act = nn.LeakyReLU(SLOPE)
        self.out = Conv(hidden, self.bands * self.points, 3, causal=config.causal)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.fill_(0.0 if config.gain_shape else -2.0)  # type: ignore[union-attr]
        # Zero-phase impulse response of `points` magnitudes: an inverse real DFT under a Hann window, as one small
        # matrix. Only taps 0 .. points - 1 are kept, the response being symmetric.
        response = torch.fft.irfft(torch.eye(self.points), n=2 * (self.points - 1), dim=1)[:, : self.points]
        response = response * (0.5 + 0.5 * torch.cos(torch.pi * torch.arange(self.points) / self.points))
        self.register_buffer("response", response.contiguous(), persistent=False)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Filter noise [batch, bands, time] by what features x [batch, inputs, 1, time] ask for."""
        magnitudes = amplitude(as_sequence(self.out(self.act(self.down(x)))).float())
        batch, _, frames = magnitudes.shape
        with full_precision(x):
            taps = torch.einsum("bcpf,pk->kbcf", magnitudes.view(batch, self.bands, self.points, frames), self.response)
        side, time = self.points - 1, noise.shape[-1]
        padded = nn.functional.pad(noise, (side, side))

        def shifted(k: int) -> Tensor:
            return padded[..., side + k : side + k + time].unflatten(2, (frames, self.hop))

        total = shifted(0) * taps[0][..., None]
        for k in range(1, self.points):
            total = torch.addcmul(total, shifted(-k) + shifted(k), taps[k][..., None])
        return total.flatten(2)
