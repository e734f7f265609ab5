"""Choosing integers by what they cost: rate-distortion optimised quantisation, for encoders only.

Rounding gives the nearest integer; where a value lies almost halfway to the next one, that one is often so much cheaper
that the larger error pays. The choice for one integer is made with the contexts that a decoder will have; what it does
to the contexts of later ones is not looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .blas import one_thread
from .order import order
from .tables import CHOSEN, Tables, check_codes

USUAL_WEIGHT = 0.06  # squared steps that a bit is worth
REACH = 0.7  # steps that a value may be moved by: farther ones cost more of the sound than they save of the bits
ROUNDS = 2  # once with the contexts that rounding gives, once with those that the first choice gives


@one_thread
def optimise(
    exact: NDArray[np.floating], tables: Tables, step: int, weight: float = USUAL_WEIGHT, linked: bool = True
) -> NDArray[np.int32]:
    """Integers for unrounded codes [..., channels, frames, components] of packets, in steps of the quantiser.

    Each becomes the nearest integer, or the one on its other side if that is within `REACH` and has the smaller squared
    error plus `weight` times its bits. All components weigh alike: a step is as many times the noise that the decoder
    tolerates in each of them. Packets side by side get what they get one by one, in less time. ModelError as for
    encoding.
    """
    nearest = np.rint(exact).astype(np.int64)
    check_codes(nearest)
    if weight <= 0 or not exact.size:
        return nearest.astype(np.int32)
    packets = exact.reshape(-1, *exact.shape[-3:])
    _, channels, frames, components = packets.shape
    spread = order(frames).frames
    lines = np.ascontiguousarray(packets.take(spread, axis=2).transpose(3, 1, 0, 2))
    chosen = np.empty(lines.shape, dtype=np.int32)
    predictor = tables.predictor(step, packets.shape, linked)
    for component, row in enumerate(tables.rows(step, components)):
        for channel in range(channels):
            choice = _Choice(lines[component, channel], weight)
            if row != CHOSEN:
                rows = np.full(lines.shape[2:], row)
                chosen[component, channel] = choice.between(tables, rows, np.zeros_like(rows))
                continue
            assert predictor is not None
            found = choice.nearest
            predictor.open(component, channel)
            for _ in range(ROUNDS if frames > 1 else 1):
                predictor.put(0, frames, found)
                found = choice.between(tables, *predictor.rows(0, frames))
            predictor.put(0, frames, found)
            predictor.close()
            chosen[component, channel] = found
    codes = np.empty(packets.shape, dtype=np.int32)
    codes[:, :, spread] = chosen.transpose(2, 1, 3, 0)
    return codes.reshape(exact.shape)


class _Choice:
    """The two integers beside each of these values [packets, frames], and what the farther one has to save."""

    def __init__(self, target: NDArray[np.floating], weight: float) -> None:
        nearest = np.rint(target)
        beyond = target - nearest
        self.nearest = nearest.astype(np.int64)
        self._at = np.flatnonzero(np.abs(beyond) >= 1 - REACH)  # of all others the nearest one it is
        near, beyond = self.nearest.take(self._at), beyond.take(self._at)
        self._both = np.stack([near, near + np.where(beyond < 0, -1, 1)])
        self._asked = (1 - 2 * np.abs(beyond)) / weight  # bits, for which the squared error grows

    def between(self, tables: Tables, rows: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.int64]:
        """The better one of both, where they are coded by these rows, moved by so many."""
        some = np.broadcast_to(rows.take(self._at), self._both.shape)
        bits = tables.price(self._both, some, whole.take(self._at))
        found = self.nearest.copy()
        found.flat[self._at] = np.where(bits[0] - bits[1] > self._asked, self._both[1], self._both[0])
        return found
