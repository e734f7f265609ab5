"""What an encoder says of a sound: a Gaussian over latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Posterior:
    """Gaussian posterior over latents: mean and scale, each [batch, latents, frames]."""

    mean: Tensor
    scale: Tensor
    still: slice | None = None  # latents that are not drawn: a codec sends no tone as exactly that, noise would ring

    def sample(self) -> Tensor:
        """Draw latents (training only: the codec uses the mean)."""
        drawn = self.scale * torch.randn_like(self.scale)
        if self.still is not None:
            drawn[:, self.still] = 0
        return self.mean + drawn

    def kl(self) -> Tensor:
        """Kullback-Leibler divergence to the unit normal, in nats, [batch, latents, frames]."""
        return 0.5 * (self.mean.square() + self.scale.square() - 1) - torch.log(self.scale)
