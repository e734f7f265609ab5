"""The chain prior: the exact divergence, and a bill that falls with what the frame before tells."""

import math

import torch

from ravecodec.network.posterior import Posterior
from ravecodec.training.prior import ChainPrior


def posterior(frames: int = 4000, memory: float = 0.0, scale: float = 0.1) -> Posterior:
    torch.manual_seed(0)
    mean = torch.randn(1, 1, frames)
    for t in range(1, frames):
        mean[..., t] = memory * mean[..., t - 1] + math.sqrt(1 - memory**2) * mean[..., t]
    return Posterior(mean, torch.full_like(mean, scale))


def test_it_begins_as_the_unit_normal() -> None:
    p = posterior(50)
    torch.testing.assert_close(ChainPrior(1).kl(p, p.sample()), p.kl())


def test_the_divergence_is_that_of_two_normals() -> None:
    prior = ChainPrior(1)
    with torch.no_grad():
        prior.memory.fill_(0.7)
        prior.offset.fill_(0.2)
        prior.log_spread.fill_(-0.5)
    p = posterior(20)
    z = p.sample()
    q = torch.distributions.Normal(p.mean[..., 1:], p.scale[..., 1:])
    expected = torch.distributions.Normal(0.7 * z[..., :-1] + 0.2, math.exp(-0.5))
    torch.testing.assert_close(prior.kl(p, z)[..., 1:], torch.distributions.kl_divergence(q, expected))


def test_what_the_last_frame_tells_is_not_paid_for() -> None:
    """A chain of correlation r costs ln(1 / sqrt(1 - r^2)) nats less, as far as the posterior's noise allows."""
    p = posterior(memory=0.95, scale=0.03)
    prior = ChainPrior(1)
    optimiser = torch.optim.Adam(prior.parameters(), 0.02)
    for _ in range(300):
        loss = prior.kl(p, p.sample()).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    saved = float(p.kl().mean() - loss)
    assert 0.9 * -0.5 * math.log(1 - 0.95**2) < saved < 1.05 * -0.5 * math.log(1 - 0.95**2)
    assert abs(float(prior.memory.detach()) - 0.95) < 0.03
