"""The order in which a component's frames are coded, from coarse to fine, and which frames stand beside a frame.

Every sixteenth frame comes first, then those halfway between them, and so on down to the odd frames. So most integers
have decoded neighbours on both sides of them in time, and all frames of one level can be predicted at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

STRIDE = 16  # of the first level's frames
BESIDE = (-1, 1, -3, 3)  # places of a frame's own neighbours, in distances of its level
AROUND = (0, -1, 1, -2, 2)  # frames at which a lower component is looked at
ACROSS = (0, -1, 1)  # frames at which the channel before is looked at
LEVELS = STRIDE.bit_length()
EXISTS = 64  # input of what is so
MARGIN = 3 * STRIDE // 2  # no neighbour is further outside a packet than this


@dataclass(frozen=True, eq=False)
class Order:
    """Frames of a packet in coding order, and rows of a buffer that holds MARGIN empty frames on either side.

    frames [T], those of level l at ends[l - 1]:ends[l]; beside [T, 4], around [T, 5] and across [T, 3] are rows of the
    buffer, the first in coding order, the others by frame; about [T, 9] is what stands of a frame in the state vector.
    """

    frames: NDArray[np.int64]
    ends: tuple[int, ...]
    beside: NDArray[np.int64]
    around: NDArray[np.int64]
    across: NDArray[np.int64]
    about: NDArray[np.float64]


@lru_cache(maxsize=16)
def order(length: int) -> Order:
    """Order of a packet of `length` frames."""
    first = [np.arange(0, length, STRIDE)]
    rest = [np.arange(STRIDE >> n, length, STRIDE >> (n - 1)) for n in range(1, LEVELS)]
    levels = [*first, *rest]
    frames = np.concatenate(levels)
    distance = np.concatenate([np.full(len(at), STRIDE >> n if n else 0) for n, at in enumerate(levels)])
    beside = np.where(distance[:, None] > 0, frames[:, None] + np.outer(distance, BESIDE), -MARGIN)
    at = np.arange(length)
    about = np.zeros((length, LEVELS + 5))
    for n, members in enumerate(levels):
        about[members, n] = EXISTS
    for n, offset in enumerate(AROUND[1:]):
        about[:, LEVELS + n] = EXISTS * ((at + offset < 0) | (at + offset >= length))
    made = Order(
        frames, tuple(np.cumsum([len(at) for at in levels]).tolist()), beside + MARGIN,
        at[:, None] + np.array(AROUND) + MARGIN, at[:, None] + np.array(ACROSS) + MARGIN, about,
    )  # fmt: skip
    for array in (made.frames, made.beside, made.around, made.across, made.about):
        array.setflags(write=False)
    return made
