"""What latents cost beside an entropy coder that knows the frame before.

The unit normal of the paper charges a latent that hardly changes as much as one that is new in every frame; the
codec's contexts do not. So the prior of the first stage is a first-order Gaussian chain for every latent, learned with
the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..network.posterior import Posterior


class ChainPrior(nn.Module):
    """z[t] ~ N(memory * z[t - 1] + offset, spread^2) for each latent; begins as the unit normal."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.memory = nn.Parameter(torch.zeros(latents, 1))
        self.offset = nn.Parameter(torch.zeros(latents, 1))
        self.log_spread = nn.Parameter(torch.zeros(latents, 1))

    def kl(self, posterior: Posterior, sample: Tensor) -> Tensor:
        """Kullback-Leibler divergence of a posterior to this prior, given the sample it drew, [batch, latents, frames].

        In nats; the first frame, before which nothing is known, is measured against the unit normal.
        """
        expected = self.memory * sample[..., :-1] + self.offset
        mean, scale = posterior.mean[..., 1:], posterior.scale[..., 1:]
        distance = 0.5 * (scale.square() + (mean - expected).square()) * torch.exp(-2 * self.log_spread)
        chained = self.log_spread - torch.log(scale) + distance - 0.5
        first = Posterior(posterior.mean[..., :1], posterior.scale[..., :1]).kl()
        return torch.cat([first, chained], -1)
