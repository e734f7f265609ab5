"""Stage 1 on the integers of a calibrated model: what is sent is rounded, what it costs is told by an entropy model.

The posterior's samples stand for a quantiser, but not quite for the one of the codec: where a latent has little to say
a sample is all noise and an integer is zero, and a noise that changes from frame to frame cannot be a step. So once
there are steps, encoder and decoder go on with them (end-to-end training of Ballé et al. 2018, arXiv 1802.01436): the
decoder gets rounded values, whose gradient is taken to be that of the values, and the rate is that of the values with
a uniform noise of one step (the pair of Minnen and Singh 2020, arXiv 2007.08739).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.vae import RaveNet
from .stages import Truncation, fidelity, training_noise

FINEST, COARSEST = -8, 16  # steps drawn
WHOLE = 0.7  # of the examples keep nearly all components
TYPICAL = -2  # the step at which a bit weighs what beta says
HIDDEN = 64
LEAST = 1e-7  # probability of an integer


class StepPrior(nn.Module):
    """A logistic for every component, in steps, given the frame before and how coarse the step is."""

    def __init__(self, components: int) -> None:
        super().__init__()
        self.memory = nn.Parameter(torch.zeros(components, 1))
        self.offset = nn.Parameter(torch.zeros(components, 1))
        self.log_scale = nn.Parameter(torch.zeros(components, 1))
        self.into = nn.Conv1d(2 * components + 1, HIDDEN, 1)
        self.out = nn.Conv1d(HIDDEN, 2 * components, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, noisy: Tensor, sent: Tensor, q: Tensor) -> Tensor:
        """Nats of values with noise [batch, components, frames] but those of the first frame.

        `sent` are the integers, from which the next frame is foretold, and q [batch, 1] is the step's number.
        """
        before = sent[..., :-1]
        octaves = (q / 8)[..., None].expand(-1, -1, before.shape[-1])
        seen = torch.asinh(before)
        hidden = F.leaky_relu(self.into(torch.cat([seen, seen.abs(), octaves], 1)), 0.2)
        shift, stretch = self.out(hidden).chunk(2, 1)
        centre = self.memory * before + self.offset * 2.0**-octaves + shift
        steepness = torch.exp(-(self.log_scale + stretch).clamp(-6, 8))
        away = (noisy[..., 1:] - centre).abs()  # on the side where a difference of sigmoids keeps its digits
        share = torch.sigmoid((0.5 - away) * steepness) - torch.sigmoid((-0.5 - away) * steepness)
        return -torch.log(share.clamp_min(LEAST))


class Quantised(nn.Module):
    """Encoder and decoder learn together with the quantiser between them; basis and steps stand still."""

    def __init__(self, net: RaveNet, truncation: Truncation) -> None:
        super().__init__()
        self.net, self.truncation = net, truncation
        self.prior = StepPrior(len(truncation.steps))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Losses of sound x [batch, 1, n]: those of `fidelity`, kl (nats a frame, weighted by the step) and nats."""
        values, steps, mask, q = self._values(self.net.encode(x).mean)
        sent = values + (torch.round(values) - values).detach()
        nats = (self.prior(_noisy(values), sent.detach(), q) * mask).sum(1).mean(1)
        latents = self.truncation.latents(sent * steps * mask)
        y, wave = self.net.render(latents, training_noise(self.net, x), step=q.float())
        # A finer step makes less of a difference to the sound: then a bit has to cost less, too.
        weight = 2.0 ** ((q[:, 0] - TYPICAL) / 8)
        return {**fidelity(self.net, x, y, wave), "kl": (weight * nats).mean(), "nats": nats.mean()}

    def learn_prior(self, sound: Tensor, updates: int = 1500, batch: int = 16) -> None:
        """Bring the entropy model to where the encoder is, by sound [n, 1, samples]; the network stands still."""
        with torch.no_grad():
            latents = torch.cat([self.net.encode(part).mean for part in sound.split(4)])
        optimiser = torch.optim.Adam(self.prior.parameters(), 3e-3)
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.1, updates)
        for _ in range(updates):
            values, _, _, q = self._values(latents[torch.randint(len(latents), (batch,))])
            loss = self.prior(_noisy(values), torch.round(values), q).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.prior.parameters(), 20.0)
            optimiser.step()
            schedule.step()

    def _values(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Components in steps [batch, components, frames], steps and mask [batch, components, 1], q [batch, 1]."""
        steps, mask, q = self.truncation.draw(len(latents), FINEST, COARSEST, WHOLE)
        return self.truncation.components(latents) / steps, steps, mask, q


def _noisy(values: Tensor) -> Tensor:
    return values + torch.rand_like(values) - 0.5
