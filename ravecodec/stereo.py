"""How the two channels of a stereo sound are coded: as they are, or as mid and side, the side with coarser steps.

A parametric codec has no phase above a few hundred hertz, so mid and side do not add up to left and right again: where
the side is strong, each channel is better coded by itself. Where it is weak it need not be coded finely. Latents say
how a channel sounds relative to its own level, so at one step a side that is hardly heard would cost as many bits as
the mid. But what is heard is M + S and M - S: an error of the side counts as much less as the side is less loud.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import torch

from bitstream import Layout

from .audio import Samples, to_mid_side
from .basis import Basis
from .errors import UsageError
from .network.vae import LEVEL_LATENT, RaveNet

MODES = ("auto", "left-right", "mid-side")
NARROW = 7.0  # dB of mid over side from which on a sound is coded as these; measured, recipes/log.md
HEARD = 16.0  # seconds from which that is told: no longer than what the encoder waits for anyway
SHORTEST = 16  # frames of a packet from which on it may say how much coarser its side is: that takes two bytes
EQUAL = 4  # eighths of an octave by which it is coarser where both are equally loud; measured, recipes/log.md
FARTHEST = 32  # at most so many


def arranged(
    blocks: Iterable[Samples], rate: int, channels: int, mode: str, live: bool = False
) -> tuple[Layout, Iterator[Samples]]:
    """The layout of blocks of sound [n, channels], and the same blocks, of which the first are looked at.

    `mode` is one of `MODES`; "auto" looks at the sound, but for live sound, which is mid and side. UsageError for any
    other.
    """
    if mode not in MODES:
        raise UsageError(f"stereo is {', '.join(MODES[:-1])} or {MODES[-1]}, not {mode!r}")
    rest = iter(blocks)
    if channels != 2:
        return (Layout.MONO if channels == 1 else Layout.DISCRETE), rest
    if mode != "auto" or live:
        return (Layout.DISCRETE if mode == "left-right" else Layout.MID_SIDE), rest
    taken: list[Samples] = []
    power, left = np.zeros(2), round(HEARD * rate)
    for block in rest:
        taken.append(block)
        power += np.square(to_mid_side(block[:left]), dtype=np.float64).sum(0)
        left -= len(block)
        if left <= 0:
            break
    narrow = power[0] >= power[1] * 10 ** (NARROW / 10)
    return (Layout.MID_SIDE if narrow else Layout.DISCRETE), chain(taken, rest)


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
