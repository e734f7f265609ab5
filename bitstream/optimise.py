"""Choosing integers by what they cost: rate-distortion optimised quantisation, for encoders only.

Rounding gives the nearest integer; an integer nearer zero is often so much cheaper that the larger error pays. The
choice for one integer is made with the contexts that a decoder will have, in coding order; what it does to the
contexts of later ones is not looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .blas import one_thread
from .order import order
from .tables import CHOSEN, Tables, check_codes

USUAL_WEIGHT = 0.1  # squared steps that a bit is worth


@one_thread
def optimise(
    exact: NDArray[np.floating], tables: Tables, step: int, weight: float = USUAL_WEIGHT, linked: bool = True
) -> NDArray[np.int32]:
    """Integers for a packet of unrounded codes [channels, frames, components], in steps of the quantiser.

    Each becomes the nearest integer, the next one toward zero, or zero, whichever has the least squared error plus
    `weight` times its bits; on a tie the first of them. All components weigh alike: a step is as many times the noise
    that the decoder tolerates in each of them. ModelError as for encoding.
    """
    channels, frames, components = exact.shape
    nearest = np.rint(exact).astype(np.int64)
    check_codes(nearest)
    if weight <= 0:
        return nearest.astype(np.int32)
    chosen = np.empty_like(nearest)
    predictor = tables.predictor(step, (1, channels, frames, components), linked)
    spread = order(frames)
    for component, row in enumerate(tables.rows(step, components)):
        for channel in range(channels):
            line, target = nearest[channel, :, component], exact[channel, :, component]
            if row != CHOSEN:
                rows = np.full(frames, row)
                chosen[channel, :, component] = _choose(target, line, tables, rows, np.zeros_like(rows), weight)
                continue
            assert predictor is not None
            predictor.open(component, channel)
            first = 0
            for last in spread.ends:
                at = spread.frames[first:last]
                if last > first:
                    rows, whole = predictor.rows(first, last)
                    best = _choose(target[at], line[at], tables, rows[0], whole[0], weight)
                    predictor.put(first, last, best[None])
                    chosen[channel, at, component] = best
                first = last
            predictor.close()
    return chosen.astype(np.int32)


def _choose(
    target: NDArray, nearest: NDArray, tables: Tables, rows: NDArray, whole: NDArray, weight: float
) -> NDArray[np.int64]:
    """The best candidate for each of these integers."""
    candidates = np.stack([nearest, nearest - np.sign(nearest), np.zeros_like(nearest)])
    bits = tables.price(candidates, *np.broadcast_arrays(rows[None], whole[None], candidates)[:2])
    cost = (candidates - target) ** 2 + weight * bits
    return np.take_along_axis(candidates, cost.argmin(0)[None], 0)[0]
