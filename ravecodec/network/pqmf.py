"""Pseudo-quadrature mirror filter bank: full-band sound to critically sampled sub-bands and back.

Source: Nguyen, "Near-perfect-reconstruction pseudo-QMF banks", IEEE Trans. Signal Processing 42 (1994);
the prototype is a Kaiser-windowed sinc whose cut-off is searched so that the bank's overall response is flat
(Lin & Vaidyanathan, IEEE Signal Processing Letters 5, 1998), then polished by Newton's method.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import full_precision


@lru_cache(maxsize=8)
def prototype(bands: int, taps: int, attenuation: float = 100.0) -> np.ndarray:
    """Unit-energy low-pass prototype [taps] (float64) of a `bands`-band cosine-modulated bank, `attenuation` in dB."""
    beta = 0.1102 * (attenuation - 8.7)
    window = np.kaiser(taps, beta)
    n = np.arange(taps) - (taps - 1) / 2

    def design(cutoff: float) -> np.ndarray:
        h = np.sinc(cutoff * n) * window
        return h / h.sum()

    def unevenness(h: np.ndarray) -> np.ndarray:
        # A perfect bank has a prototype whose autocorrelation vanishes at every multiple of 2 * bands
        # (its square is a 2M-th band filter): what remains there is the bank's distortion.
        auto: np.ndarray = np.convolve(h, h[::-1])[taps - 1 :: 2 * bands]
        return auto / auto[0] - np.eye(1, len(auto))[0]

    # Twice this range would flatten the bank just as well, and alias.
    grid = np.linspace(0.5 / bands, 0.75 / bands, 257)
    h = design(grid[int(np.argmin([np.abs(unevenness(design(c))).max() for c in grid]))])
    h /= np.sqrt(np.sum(h**2))
    for _ in range(4):  # Newton's method: the smallest change, shaped like the window, that cancels the rest
        lags = range(0, taps, 2 * bands)
        padded = np.pad(h, taps)
        jacobian = np.stack([padded[taps + k :][:taps] + padded[taps - k :][:taps] for k in lags])
        h = h - window * np.linalg.lstsq(jacobian * window, unevenness(h), rcond=0.003)[0]
        # Unit energy: the modulation makes of it an orthonormal bank, so white noise keeps its power per band.
        h /= np.sqrt(np.sum(h**2))
    return h


class PQMF(nn.Module):
    """`bands`-band filter bank with an analysis-synthesis error below -60 dB and its delay compensated.

    Centred padding has no delay at all; causal padding delays by `delay` samples in total. Both directions
    are polyphase: sound is cut into blocks of `bands` samples, and a block is one time step of an ordinary
    convolution.
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self, bands: int = 16, taps_per_band: int = 16, causal: bool = False) -> None:
        super().__init__()
        taps = bands * taps_per_band  # even: with a centre between samples the edge bands' aliases cancel
        h = prototype(bands, taps)
        n = np.arange(taps) - (taps - 1) / 2
        k = np.arange(bands)[:, None]
        phase = (2 * k + 1) * np.pi / (2 * bands) * n[None]
        sign = (-1.0) ** k * np.pi / 4
        forward = np.sqrt(2) * h * np.cos(phase + sign)
        backward = np.sqrt(2) * h * np.cos(phase - sign)
        self.bands, self.blocks, self.causal = bands, taps_per_band, causal
        # Analysis, reversed because conv1d correlates: [band, sample in block, block].
        self.register_buffer("analysis", _kernel(forward[:, ::-1].reshape(bands, -1, bands).swapaxes(1, 2)), False)
        # Synthesis, blocks reversed: [sample in block, band, block].
        self.register_buffer("synthesis", _kernel(backward.reshape(bands, -1, bands)[:, ::-1].transpose(2, 0,
        1)), False)

    @property
    def delay(self) -> int:
        """Samples by which `inverse(forward(x))` lags x."""
        return (self.blocks - 1) * self.bands if self.causal else 0

    def forward(self, x: Tensor) -> Tensor:
        """Analyse sound [batch, 1, n] (n a multiple of `bands`) into sub-bands [batch, bands, n / bands]."""
        blocks = x.reshape(x.shape[0], -1, self.bands).transpose(1, 2)
        left = self.blocks - 1 if self.causal else self.blocks // 2
        with full_precision(x):
            return F.conv1d(F.pad(blocks, (left, self.blocks - 1 - left)), self.analysis)

    def inverse(self, y: Tensor) -> Tensor:
        """Synthesise sound [batch, 1, n * bands] from sub-bands [batch, bands, n], or from the lowest ones alone."""
        left = self.blocks - 1 if self.causal else self.blocks // 2 - 1
        with full_precision(y):
            blocks = F.conv1d(F.pad(y, (left, self.blocks - 1 - left)), self.synthesis[:, : y.shape[1]])
        return blocks.transpose(1, 2).reshape(y.shape[0], 1, -1)


def _kernel(kernel: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(kernel)).float()
