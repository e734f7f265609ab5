"""How the two channels of a stereo sound are coded: each by itself, or jointly.

A parametric codec has no phase above a few hundred hertz, so mid and side would not add up to left and right again.
Jointly coded channels have an envelope and a level each, which is where a listener hears a source, and share all else:
pitch, and what is learned freely, are those of their mean. What is sent is the middle of both and half of their
difference, which is nearly always small. Two channels that have next to nothing in common are coded by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from bitstream import Layout

from .audio import Samples
from .errors import UsageError
from .network.noise import seeded_noise

MODES = ("auto", "joint", "separate")
ALIKE = 0.1  # correlation of the channels from which on they are coded jointly
SPARED = 1 / 6  # of an integer: a difference has to be so much larger than what rounding asks for to be worth its bits
CHANNEL_SEED = 0x632BE5  # sets the noise of one channel apart from that of the next
HEARD = 16.0  # seconds from which that is told: no longer than what the encoder waits for anyway


def arranged(
    blocks: Iterable[Samples], rate: int, channels: int, mode: str = "auto", live: bool = False
) -> tuple[Layout, float | None, Iterator[Samples]]:
    """The layout of blocks of sound [n, channels], the coherence of jointly coded channels, and the same blocks.

    The first blocks are looked at, but not of live sound, which is coded jointly, and whose coherence is not known.
    `mode` is one of `MODES`; UsageError for any other.
    """
    if mode not in MODES:
        raise UsageError(f"stereo is {', '.join(MODES[:-1])} or {MODES[-1]}, not {mode!r}")
    rest = iter(blocks)
    if channels != 2:
        return (Layout.MONO if channels == 1 else Layout.DISCRETE), None, rest
    if mode == "separate" or live:
        return (Layout.DISCRETE if mode == "separate" else Layout.JOINT), None, rest
    taken: list[Samples] = []
    whole, upper, left = Correlation(), Correlation(), round(HEARD * rate)
    for block in rest:
        taken.append(block)
        heard = block[:left].astype(np.float64)
        whole.add(heard)
        upper.add(np.diff(heard, axis=0))  # what has no waveform of its own is mostly there
        left -= len(block)
        if left <= 0:
            break
    if mode == "auto" and whole.value < ALIKE:
        return Layout.DISCRETE, None, chain(taken, rest)
    return Layout.JOINT, max(0.0, upper.value), chain(taken, rest)


class Correlation:
    """Of two channels [n, 2], block by block; that of silence is 1."""

    def __init__(self) -> None:
        self._products = np.zeros((2, 2))  # of each with each

    def add(self, block: np.ndarray) -> None:
        """Go on with a block."""
        # No matrix product: numpy's threads, once awake, would get in the way of those that run the network.
        self._products += np.einsum("nc,nd->cd", block, block)

    @property
    def value(self) -> float:
        """From -1 to 1."""
        (first, both), (_, second) = self._products.tolist()
        if first * second <= 0:
            return 1.0
        return float(min(max(both / (first * second) ** 0.5, -1.0), 1.0))  # rounding may go beyond


def shared_noise(seed: int, coherence: float | None, bands: int, first: int, length: int) -> Tensor:
    """Uniform noise [2, bands, length] for two channels that have so much of it in common (None: all)."""
    left = seeded_noise(seed, bands, first, length)
    if coherence is None:
        return torch.stack([left, left])
    own, drawn = (seeded_noise(seed + n * CHANNEL_SEED, bands, first, length) for n in (1, 2))
    return torch.stack([left, torch.where(drawn < 2 * coherence - 1, left, own)])


def with_mean(block: Samples) -> Samples:
    """Left, right and their mean [n, 3] of a block [n, 2]."""
    return np.concatenate([block, block.mean(1, keepdims=True, dtype=np.float32)], 1)


def parted(channels: np.ndarray) -> np.ndarray:
    """What is rounded [2, ...] of two channels' components in steps: their middle, and half of the difference."""
    left, right = channels
    half = (right - left) / 2
    return np.stack([(left + right) / 2, half - half.clip(-SPARED, SPARED)])


def put_together(codes: np.ndarray) -> np.ndarray:
    """Integers [2, ...] of left and right from those of their middle and half of their difference."""
    middle, half = codes
    return np.stack([middle - half, middle + half])
