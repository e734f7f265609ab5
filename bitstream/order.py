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
    """Frames of a packet in coding order, and places in a buffer that holds MARGIN empty frames on either side.

    frames [T], those of level l at ends[l - 1]:ends[l]; places [T], beside [T, 4], around [T, 5] and across [T, 3] lead
    into the buffer; about [T, 10] is what stands of a frame in the state vector. All of them are in coding order.
    """

    frames: NDArray[np.int64]
    ends: tuple[int, ...]
    places: NDArray[np.int64]
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
    about = np.zeros((length, LEVELS + 5))
    first_place = 0
    for n, last_place in enumerate(ends := np.cumsum([len(at) for at in levels]).tolist()):
        about[first_place:last_place, n] = EXISTS
        first_place = last_place
    for n, offset in enumerate(AROUND[1:]):
        about[:, LEVELS + n] = EXISTS * ((frames + offset < 0) | (frames + offset >= length))
    places = frames + MARGIN
    around, across = (places[:, None] + np.array(offsets) for offsets in (AROUND, ACROSS))
    made = Order(frames, tuple(ends), places, beside + MARGIN, around, across, about)
    for array in (frames, places, made.beside, around, across, about):
        array.setflags(write=False)
    return made
