"""How the two channels of a stereo sound are coded: each by itself, or jointly.

A parametric codec has no phase above a few hundred hertz, so mid and side would not add up to left and right again.
Jointly coded channels have an envelope and a level each, which is where a listener hears a source, and share all else:
pitch, and what is learned freely, are those of their mean. The second channel is then sent as its difference from the
first. Two channels that have next to nothing in common are coded by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from bitstream import Layout

from .audio import Samples
from .errors import UsageError

MODES = ("auto", "joint", "separate")
ALIKE = 0.1  # correlation of the channels from which on they are coded jointly
HEARD = 16.0  # seconds from which that is told: no longer than what the encoder waits for anyway


def arranged(
    blocks: Iterable[Samples], rate: int, channels: int, mode: str = "auto", live: bool = False
) -> tuple[Layout, Iterator[Samples]]:
    """The layout of blocks of sound [n, channels], and the same blocks, of which the first are looked at.

    `mode` is one of `MODES`; "auto" looks at the sound, but at live sound, which is coded jointly. UsageError for any
    other.
    """
    if mode not in MODES:
        raise UsageError(f"stereo is {', '.join(MODES[:-1])} or {MODES[-1]}, not {mode!r}")
    rest = iter(blocks)
    if channels != 2:
        return (Layout.MONO if channels == 1 else Layout.DISCRETE), rest
    if mode != "auto" or live:
        return (Layout.DISCRETE if mode == "separate" else Layout.JOINT), rest
    taken: list[Samples] = []
    power, common, left = 0.0, 0.0, round(HEARD * rate)
    for block in rest:
        taken.append(block)
        heard = block[:left].astype(np.float64)
        power += np.square(heard).sum() / 2
        common += heard.prod(1).sum()
        left -= len(block)
        if left <= 0:
            break
    return (Layout.JOINT if common >= ALIKE * power else Layout.DISCRETE), chain(taken, rest)


def with_mean(block: Samples) -> Samples:
    """Left, right and their mean [n, 3] of a block [n, 2]."""
    return np.concatenate([block, block.mean(1, keepdims=True, dtype=np.float32)], 1)


def differences(codes: np.ndarray) -> np.ndarray:
    """Integers [2, ...] of two channels with the second one's as differences from the first's."""
    return np.stack([codes[0], codes[1] - codes[0]])


def sums(codes: np.ndarray) -> np.ndarray:
    """The way back from `differences`."""
    return np.stack([codes[0], codes[0] + codes[1]])
