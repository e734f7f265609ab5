"""A linear lapped transform of the lowest sub-band beside the convolution stacks.

With 128 latents at 23.4 Hz a linear code can carry the waveform of a whole 1.5 kHz band; deep stacks with
little training do not find it. So this path starts as that code, an MDCT of band 0 (Princen & Bradley 1986,
Kaiser-Bessel-derived window), and the training moves on from there.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mdct_basis(size: int, beta: float = 4.0) -> np.ndarray:
    """Orthonormal MDCT basis [size, 2 * size] of `size` coefficients a frame."""
    kaiser = np.kaiser(size + 1, np.pi * beta)
    rise = np.sqrt(np.cumsum(kaiser[:size]) / kaiser.sum())
    window = np.concatenate([rise, rise[::-1]])
    n, k = np.arange(2 * size)[None], np.arange(size)[:, None]
    cosine = np.cos(np.pi / size * (n + 0.5 + size / 2) * (k + 0.5))
    return np.sqrt(2 / size) * window * cosine


class LappedTransform(nn.Module):
    """Band 0 [batch, 1, time] to latents [batch, latents, frames], and back."""

    def __init__(self, latents: int, decimation: int, carried: int) -> None:
        super().__init__()
        basis = torch.zeros(latents, 1, 2 * decimation)
        basis[:carried, 0] = torch.from_numpy(mdct_basis(decimation)[:carried]).float()
        self.decimation = decimation
        self.analysis = nn.Parameter(basis.clone())
        self.synthesis = nn.Parameter(basis)

    def forward(self, band: Tensor) -> Tensor:
        """Analyse: frame t sees its own `decimation` samples and half a frame on either side."""
        half = self.decimation // 2
        return F.conv1d(F.pad(band, (half, half)), self.analysis, stride=self.decimation)

    def inverse(self, latents: Tensor) -> Tensor:
        """Synthesise band 0 [batch, 1, frames * decimation]."""
        half = self.decimation // 2
        # A transposed convolution whose frames overlap by half, as one product and one sum of two halves.
        frames = latents.transpose(1, 2) @ self.synthesis[:, 0]
        first, second = frames.split(self.decimation, 2)
        band = F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))
        return band.flatten(1)[:, None, half : half + latents.shape[-1] * self.decimation]

    @torch.no_grad()
    def whiten(self, band: Tensor) -> None:
        """Scale the latents that carry anything to unit size on this sound, synthesis against analysis."""
        size = self.forward(band).square().mean((0, 2)).sqrt()
        scale = torch.where(size > 0, size.clamp_min(1e-3), torch.ones_like(size))[:, None, None]
        self.analysis.div_(scale)
        self.synthesis.mul_(scale)
