"""Multi-scale convolutional discriminator on the waveform."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import NetworkConfig
from .layers import SLOPE, as_image


class ScaleDiscriminator(nn.Module):
    """Strided convolutions over one time scale; returns the features of every layer, the score last.

    Dense and narrow where Kumar et al. are grouped and wide: the same work, and several times faster on a CPU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels, 8 * channels]
        layers = [nn.Conv2d(1, channels, (1, 15), padding=(0, 7))]
        layers += [nn.Conv2d(a, b, (1, 15), stride=(1, 4), padding=(0, 7)) for a, b in pairwise(widths)]
        layers += [nn.Conv2d(widths[-1], widths[-1], (1, 5), padding=(0, 2))]
        layers += [nn.Conv2d(widths[-1], 1, (1, 3), padding=(0, 1))]
        self.layers = nn.ModuleList([nn.utils.parametrizations.weight_norm(layer) for layer in layers])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Sound [batch, 1, 1, n] to a list of feature maps, the last one the score."""
        features = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = F.leaky_relu(x, SLOPE)
            features.append(x)
        return features


class Discriminator(nn.Module):
    """`scales` copies of one network on sound averaged by 1, 2, 4 ... (Kumar et al. 2019, as used by the paper)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            [ScaleDiscriminator(config.discriminator_channels) for _ in range(config.discriminator_scales)]
        )

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Sound [batch, 1, n] to each scale's list of feature maps."""
        results = []
        for i, scale in enumerate(self.scales):
            results.append(scale(as_image(F.avg_pool1d(x, 2**i) if i else x)))
        return results


def hinge_discriminator(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Hinge loss that pushes real scores above 1 and fake ones below -1, mean over scales."""
    losses = [F.relu(1 - r[-1]).mean() + F.relu(1 + f[-1]).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def hinge_generator(fake: list[list[Tensor]]) -> Tensor:
    """The generator's side of the hinge: minus the mean fake score."""
    return torch.stack([-f[-1].mean() for f in fake]).mean()


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Mean absolute difference of feature maps, each relative to the real map's mean size."""
    losses = [
        (a.detach() - b).abs().mean() / (a.detach().abs().mean() + 1e-5)
        for r, f in zip(real, fake, strict=True)
        for a, b in zip(r[:-1], f[:-1], strict=True)
    ]
    return torch.stack(losses).mean()
