"""A small network that looks at an envelope as at a picture, and says what was probably meant.

What is decoded is held to its envelope, so every rounding of the envelope would be heard as it is. This network sees
the envelope over bands and time, how the sound that it is for deviates from it, what is voiced and how coarse the step
was; it learns by the distances of the sound how far to move it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import SLOPE

REACH = 7  # spectra on one side that a refined value depends on
HALF = 8.0  # the step at which half of what is found is done
LIMIT = 4.0  # nats, to which what is missing is looked at
USUAL_SIZE, USUAL_LEVEL = 2.0, -3.0  # of ln of band amplitudes over the level, about


class Refiner(nn.Module):
    """Three convolutions over [bands, spectra], `channels` wide; untrained it changes nothing."""

    def __init__(self, bands: int, channels: int, rise: bool = False) -> None:
        super().__init__()
        # By how much the logit of the trust in each band is higher where the step is coarse.
        self.rise = nn.Parameter(torch.zeros(bands, 1)) if rise else None
        self.look = nn.Conv2d(4, channels, (3, 5), padding=(1, 2), bias=False)
        self.place = nn.Parameter(torch.zeros(channels, bands, 1))  # bands are not alike
        self.wide = nn.Conv2d(channels, channels, 3, padding=(1, 3), dilation=(1, 3))
        self.found = nn.Conv2d(channels, 1, (3, 5), padding=(1, 2))
        nn.init.zeros_(self.found.weight)
        nn.init.zeros_(self.found.bias)  # type: ignore[arg-type]

    def forward(
        self, relative: Tensor, missing: Tensor, step: Tensor | float, voicing: Tensor | None = None
    ) -> Tensor:
        """What to add to an envelope, [batch, bands, spectra] like the envelope itself, `relative` to the level, and
        what is `missing` of it in a sound, all in nats. The step is a number, [batch, 1] or [batch, frames], the
        voicing (0 to 1; None: there is none) [batch, 1, spectra].
        """
        if not isinstance(step, Tensor):
            step = relative.new_full((1, 1), step)
        coarse = (step[:, None] / 8).repeat_interleave(relative.shape[2] // step.shape[1], 2).expand_as(relative)
        voiced = torch.zeros_like(relative) if voicing is None else voicing.expand_as(relative)
        seen = torch.stack([(relative - USUAL_LEVEL) / USUAL_SIZE, missing.clamp(-LIMIT, LIMIT), coarse, voiced], 1)
        hidden = self.look(seen)
        hidden = F.leaky_relu(hidden + self.place.to(hidden.dtype), SLOPE)
        hidden = F.leaky_relu(self.wide(hidden), SLOPE)
        return self._summed(hidden) * _growth(coarse)

    def trusted(self, trust: Tensor, step: Tensor | float) -> Tensor:
        """The trust in bands, 0 to 1, [bands, 1] or [batch, bands, 1 or frames], of logits [bands, 1] at a step."""
        if self.rise is None:
            return torch.sigmoid(trust)
        if not isinstance(step, Tensor):
            step = trust.new_full((1, 1), step)
        return torch.sigmoid(trust + self.rise * _growth(step[:, None] / 8))

    def _summed(self, hidden: Tensor) -> Tensor:
        """`found` of [batch, channels, bands, spectra]: as a convolution to one channel it takes five times as long."""
        _, _, bands, spectra = hidden.shape
        taps = self.found.weight[0].flatten(1).T @ hidden.flatten(2)
        around = F.pad(taps.view(-1, 3, 5, bands, spectra), (2, 2, 1, 1))
        parts = [around[:, i, j, i : i + bands, j : j + spectra] for i in range(3) for j in range(5)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total + self.found.bias  # type: ignore[operator]


def _growth(octaves: Tensor) -> Tensor:
    """How much is to be done about a step of so many octaves, 0 to 1: what came finely is as it was meant."""
    error = torch.exp2(2 * octaves)  # of rounding, squared
    return error / (error + 2.0 ** (2 * HALF / 8))
