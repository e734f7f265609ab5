"""Stand-ins for RAVE models exported as TorchScript: the same interface around linear codes of the lowest bands."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ravecodec.network.lapped import mdct_basis
from ravecodec.network.pqmf import PQMF

BANDS, RATIO = 16, 128
HOP = BANDS * RATIO


class Bank(nn.Module):
    """A filter bank; `streaming`, it goes on from what it was given last."""

    def __init__(self, streaming: bool) -> None:
        super().__init__()
        self.streaming = streaming
        bank = PQMF(BANDS, causal=streaming)
        self.register_buffer("analysis", bank.analysis)
        self.register_buffer("synthesis", bank.synthesis)
        self.register_buffer("heard", torch.zeros(1, BANDS, 15))
        self.register_buffer("played", torch.zeros(1, BANDS, 15))

    def forward(self, x: Tensor) -> Tensor:
        blocks = x.reshape(x.shape[0], -1, 16).transpose(1, 2)
        if self.streaming:
            blocks = torch.cat([self.heard, blocks], 2)
            self.heard.copy_(blocks[:, :, -15:])
        else:
            blocks = F.pad(blocks, (8, 7))
        return F.conv1d(blocks, self.analysis)

    @torch.jit.export
    def inverse(self, y: Tensor) -> Tensor:
        if self.streaming:
            y = torch.cat([self.played, y], 2)
            self.played.copy_(y[:, :, -15:])
        else:
            y = F.pad(y, (7, 8))
        return F.conv1d(y, self.synthesis).transpose(1, 2).reshape(y.shape[0], 1, -1)


class Encoder(nn.Module):
    """Means, and scales unless it is `exact`, of coefficients of the lowest bands."""

    def __init__(self, weight: Tensor, streaming: bool, exact: bool, hidden: bool) -> None:
        super().__init__()
        self.streaming, self.exact, self.hidden = streaming, exact, hidden
        self.calls = torch.zeros(1)
        self.weight = nn.Parameter(weight)
        self.register_buffer("heard", torch.zeros(1, BANDS, RATIO))

    def forward(self, bands: Tensor) -> Tensor:
        if self.streaming:
            bands = torch.cat([self.heard, bands], 2)
            self.heard.copy_(bands[:, :, -128:])
        else:
            bands = F.pad(bands, (64, 64))
        mean = F.conv1d(bands, self.weight, stride=128) * 20.0
        if self.hidden:
            self.calls = self.calls + 1
            mean = mean + 0.01 * self.calls
        if self.exact:
            return mean
        return torch.cat([mean, torch.full_like(mean, -2.0)], 1)


class Decoder(nn.Module):
    """The way back, and a little noise in the highest band."""

    def __init__(self, weight: Tensor, streaming: bool) -> None:
        super().__init__()
        self.streaming = streaming
        self.weight = nn.Parameter(weight)
        self.register_buffer("played", torch.zeros(1, BANDS, RATIO))

    def forward(self, z: Tensor) -> Tensor:
        bands = F.conv_transpose1d(z / 20.0, self.weight, stride=128)
        if self.streaming:
            if self.played.shape[0] != z.shape[0]:
                self.played = torch.zeros(z.shape[0], 16, 128)
            first = bands[:, :, :128] + self.played
            self.played = bands[:, :, -128:]
            bands = torch.cat([first, bands[:, :, 128:-128]], 2)
        else:
            bands = bands[:, :, 64:-64]
        noise = torch.rand_like(bands[:, :1]) * 2 - 1
        return torch.cat([bands[:, :-1], bands[:, -1:] + 0.001 * noise], 1)


class Export(nn.Module):
    """What an export has of those parts; `lowest` bands of `coefficients` each are coded."""

    def __init__(
        self, streaming: bool, exact: bool, hidden: bool, rate: int, lowest: int, coefficients: int
    ) -> None:
        super().__init__()
        latents = lowest * coefficients
        basis = torch.from_numpy(mdct_basis(RATIO)[:coefficients]).float()
        weight = torch.zeros(latents, BANDS, 2 * RATIO)
        for band in range(lowest):
            # Every other band has its frequencies upside down.
            weight[band * coefficients : (band + 1) * coefficients, band] = basis
        self.pqmf = Bank(streaming)
        self.encoder = Encoder(weight.clone(), streaming, exact, hidden)
        self.decoder = Decoder(weight.clone(), streaming)
        self.register_buffer("latent_pca", torch.eye(latents))
        self.register_buffer("latent_mean", torch.zeros(latents))
        self.register_buffer("fidelity", torch.zeros(latents))
        self.sr = rate

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        found = self.encoder(self.pqmf(x))
        if self.encoder.exact:
            return found
        mean, scale = found.chunk(2, 1)
        return mean + F.softplus(scale) * torch.randn_like(mean)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        return self.pqmf.inverse(self.decoder(z))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def export(
    path: Path,
    streaming: bool = False,
    exact: bool = False,
    rate: int = 44100,
    lowest: int = 1,
    coefficients: int = 48,
    warm: bool = False,
    batch: bool = False,
    hidden: bool = False,
    change: Callable[[Any], object] = lambda module: None,
) -> Path:
    """Write such a model, changed.

    `warm`, it has been given something already; `batch`, three sounds at once; `hidden`, it has a state that is no
    buffer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.script(Export(streaming, exact, hidden, rate, lowest, coefficients).eval())
        if warm:
            with torch.no_grad():
                module(torch.randn(1, 1, 8 * HOP))
        if batch:
            module.decoder.played = torch.zeros(3, BANDS, RATIO)
        with torch.no_grad():
            change(module)
        torch.jit.save(module, str(path))
    return path
