"""How much coarser than that of the mid the step of a stereo sound's side may be.

Latents say how a channel sounds relative to its own level, so at one step a side that is hardly heard costs as many
bits as the mid. But what is heard is left and right, M + S and M - S: an error of the side counts as much less as the
side is less loud.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from .basis import Basis
from .network.vae import LEVEL_LATENT, RaveNet

SHORTEST = 16  # frames of a packet from which on it may say so: it takes two bytes
EQUAL = 4  # eighths of an octave by which it is coarser where both are equally loud; measured, recipes/log.md
FARTHEST = 32  # at most so many


class Side:
    """Tells from a packet's components how much coarser the step of its side may be."""

    def __init__(self, network: RaveNet, basis: Basis) -> None:
        self._gain = network.gain
        self._level = basis.vectors[:, LEVEL_LATENT].astype(np.float64) * float(basis.unit[LEVEL_LATENT])
        self._mean = float(basis.mean[LEVEL_LATENT])

    def coarser(self, values: np.ndarray) -> int:
        """Eighths of an octave, for all components [2, frames, latents] of mid and side; 0 if no level is known."""
        if self._gain is None:
            return 0
        # No matrix product: numpy's threads, once awake, would get in the way of those that run the network.
        log_level = torch.from_numpy((values * self._level).sum(-1) + self._mean)
        mid, side = torch.logsumexp(2 * self._gain.nats(log_level), 1).tolist()
        octaves = (mid - side) / 2 / math.log(2)
        return min(max(0, round(EQUAL + 8 * octaves)), FARTHEST)
