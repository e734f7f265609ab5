"""Sub-bands to the posterior's means and scales."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import NetworkConfig
from .layers import SLOPE, Conv, ResidualUnit, as_image, as_sequence, normaliser


class Encoder(nn.Module):
    """Strided convolutions from [batch, inputs, time] to means and scales [batch, latents, time / decimation].

    Source: Caillon & Esling 2021, section 3; residual units and the posterior's small starting scale are ours.
    """

    def __init__(self, config: NetworkConfig, inputs: int) -> None:
        super().__init__()
        side, causal = config.encoder, config.causal
        stages: list[nn.Module] = [Conv(inputs, side.channels[0], 7, causal=causal)]
        for i, channels in enumerate(side.channels):
            for unit in range(side.units[i]):
                dilation = side.dilations[unit % len(side.dilations)]
                stages.append(ResidualUnit(channels, side.kernel, dilation, side.layers, side.norm, causal))
            if side.norm == "batch":
                stages += [normaliser(side.norm, channels), nn.LeakyReLU(SLOPE)]
            if i < len(config.ratios):
                ratio = config.ratios[i]
                kernel = 2 * ratio + 1 if side.norm == "batch" else 2 * ratio
                stages.append(Conv(channels, side.channels[i + 1], kernel, stride=ratio, causal=causal))
        self.head = head = Conv(side.channels[-1], 2 * config.latents, 3, causal=causal)
        with torch.no_grad():
            # Begin with a posterior narrow enough that the latents are heard through its noise.
            head.weight[config.latents :] *= 0.1
            head.bias[config.latents :] = math.log(math.expm1(0.5))  # type: ignore[index]
        self.stages = nn.Sequential(*stages)
        self.latents = config.latents

    def forward(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        """Means and (positive) scales of the posterior, each [batch, latents, frames]."""
        mean, raw = as_sequence(self.head(self.stages(as_image(bands)))).chunk(2, 1)
        return mean, nn.functional.softplus(raw) + 1e-4
