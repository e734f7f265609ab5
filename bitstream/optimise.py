"""Choosing integers by what they cost: rate-distortion optimised quantisation, for encoders only.

Rounding gives the nearest integer; where a value lies almost halfway to the next one, that one is often so much cheaper
that the larger error pays. The choice for one integer is made with the contexts that a decoder will have; what it does
to the contexts of later ones is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blas import one_thread
from .coder import encode_lines
from .line import Line
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
    if weight <= 0 or not exact.size:
        return tables.switched(_nearest(exact), linked).astype(np.int32)
    packets = exact.reshape(-1, *exact.shape[-3:])
    codes = np.zeros(packets.shape, dtype=np.int32)
    for _ in _kept(_lines(packets, tables, step, weight, linked), codes):
        pass
    return codes.reshape(exact.shape)


@one_thread
def optimise_coded(
    exact: NDArray[np.floating], tables: Tables, step: int, weight: float = USUAL_WEIGHT, linked: bool = True
) -> tuple[NDArray[np.int32], list[bytes]]:
    """As `optimise`, of packets [packets, channels, frames, components], and the payloads of these integers: what
    `encode_all` makes of them, without predicting all of them once more.
    """
    codes = np.zeros(exact.shape, dtype=np.int32)
    lines = _kept(_lines(exact, tables, step, weight, linked), codes)
    return codes, encode_lines(lines, len(exact), tables)


def _lines(
    exact: NDArray[np.floating], tables: Tables, step: int, weight: float, linked: bool
) -> Iterator[Line]:
    """The lines of packets [packets, channels, frames, components], one after another, as they are chosen."""
    packets, channels, frames, components = exact.shape
    if weight <= 0 or not exact.size:
        yield from tables.lines(tables.switched(_nearest(exact), linked), step, linked)
        return
    spread = order(frames)
    choices = _Choices(exact.take(spread.frames, axis=2).transpose(3, 1, 0, 2), weight)
    predictor = tables.predictor(step, exact.shape, linked)
    for component, row in enumerate(tables.rows(step, components)):
        for channel in range(channels):
            choice = choices.line(component, channel)
            if row != CHOSEN:
                rows = np.full((packets, frames), row)
                values = np.empty_like(choice.nearest)
                values[:, spread.frames] = choice.between(tables, rows.take(choice.places), 0)
                yield tables.line(component, values, rows, tables.low[rows], (frames,))
                continue
            assert predictor is not None
            predictor.open(component, channel)
            on = predictor.on
            values = choice.nearest if on is None else choice.nearest * on
            predictor.put(0, frames, values)
            for _ in range(ROUNDS if frames > 1 else 1):
                chosen = choice.between(tables, *predictor.rows_at(choice.places))
                if on is not None:
                    chosen *= on
                if np.array_equal(chosen, values):
                    break
                values = chosen
                predictor.put(0, frames, values)
            rows, whole = predictor.rows(0, frames)
            predictor.close()
            yield tables.line(component, values, rows, tables.low[rows] + whole, spread.ends, on)


def _nearest(exact: NDArray[np.floating]) -> NDArray[np.int64]:
    nearest = np.rint(exact).astype(np.int64)
    check_codes(nearest)
    return nearest


def _kept(lines: Iterable[Line], codes: NDArray[np.int32]) -> Iterator[Line]:
    """The same lines; what they hold is written to codes [packets, channels, frames, components]."""
    spread = order(codes.shape[2]).frames
    for number, line in enumerate(lines):
        part = codes[:, number % codes.shape[1], :, line.component]
        part[:, spread if line.chosen else slice(None)] = line.values
        yield line


@dataclass(frozen=True, eq=False)
class _Choice:
    """The nearest integers [packets, frames], and for those at `places` [n] of them both beside the value [2, n] and
    the bits [n] for which the farther one is worth its squared error.
    """

    nearest: NDArray[np.int64]
    places: NDArray[np.int64]
    both: NDArray[np.int64]
    asked: NDArray[np.floating]

    def between(self, tables: Tables, rows: NDArray[np.int64], whole: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """The better one of both, where they are coded by these rows [n], moved by so many."""
        bits = tables.price(self.both, rows, whole)
        found = self.nearest.copy()
        found.flat[self.places] = np.where(bits[0] - bits[1] > self.asked, self.both[1], self.both[0])
        return found


class _Choices:
    """The choices of values [components, channels, packets, frames], all of them looked at in one go."""

    def __init__(self, values: NDArray[np.floating], weight: float) -> None:
        values = np.ascontiguousarray(values)
        self._nearest = _nearest(values)
        beyond = values - self._nearest
        at = np.flatnonzero(np.abs(beyond) >= 1 - REACH)  # of all others the nearest one it is
        near, beyond = self._nearest.take(at), beyond.take(at)
        self._both = np.stack([near, near + np.where(beyond < 0, -1, 1)])
        self._asked = (1 - 2 * np.abs(beyond)) / weight
        lines, size = values.shape[0] * values.shape[1], values.shape[2] * values.shape[3]
        self._ends = np.searchsorted(at, size * np.arange(lines + 1)).tolist()
        self._places = at % size

    def line(self, component: int, channel: int) -> _Choice:
        """That of one line."""
        number = component * self._nearest.shape[1] + channel
        part = slice(*self._ends[number : number + 2])
        nearest = self._nearest[component, channel]
        return _Choice(nearest, self._places[part], self._both[:, part], self._asked[part])
