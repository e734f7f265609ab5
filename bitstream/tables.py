"""Probability tables: a row of integer counts for every step and component.

A row covers the integers low .. low + n - 1 with its first n counts; its last count is the escape, which
stands for every integer outside. The counts of a row sum to 2**15 and none is zero, so every integer can
be coded and the conversion to the range coder's 24 bits is exact integer arithmetic. A row that is the
escape alone has one possible symbol: nothing is coded for it, and each integer goes to the escape code.

Rows are stored once and referred to by number. For a step and a component the number is fixed, or it is left
to a context network, which chooses one for every integer (context.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import escape
from .blas import one_thread
from .context import Context, switched
from .errors import ModelError
from .header import MAX_LATENTS, STEP_RANGE
from .line import Line
from .order import order
from .predict import Predictor, Weights

ROW_SUM = 1 << 15
MAX_ROW = 4096  # entries, the escape among them
MAX_ROWS = 1 << 20
MAX_COUNTS = 1 << 25  # entries of all rows together
CHOSEN = -1  # in `row_of`: the context network chooses

Row = tuple[int, Sequence[int]]  # the first integer, and the counts with the escape last


class Tables:
    """Integer count rows for the steps and components of a model, and what chooses among them; immutable.

    steps [S], ascending; row_of [S, D], the row of each step and component, -1 where the context network
    chooses; low [R] and size [R], each row's first integer and number of entries; counts, the entries of all
    rows one after another. ModelError if any of it breaks the rules above.
    """

    def __init__(
        self,
        steps: ArrayLike,
        row_of: ArrayLike,
        low: ArrayLike,
        size: ArrayLike,
        counts: ArrayLike,
        context: Context | None = None,
    ) -> None:
        self.steps = _integers("steps", steps, 1)
        self.row_of = _integers("row_of", row_of, 2)
        self.low = _integers("low", low, 1)
        self.size = _integers("size", size, 1)
        self.counts = _integers("counts", counts, 1)
        self.context = context
        self._check()
        self.start = np.concatenate([[0], np.cumsum(self.size)])
        if self.start[-1] != len(self.counts):
            raise ModelError("tables: the rows' sizes do not add up to the number of counts")
        if (np.add.reduceat(self.counts, self.start[:-1]) != ROW_SUM).any():
            raise ModelError(f"tables: the counts of a row do not sum to {ROW_SUM}")
        self._step_place = {int(step): place for place, step in enumerate(self.steps)}
        self._models: list[Any] = [None] * len(self.low)
        self._weights = Weights(context) if context is not None else None
        for array in (self.steps, self.row_of, self.low, self.size, self.counts, self.start):
            array.setflags(write=False)

    def _check(self) -> None:
        steps, rows = len(self.steps), len(self.low)
        good = (
            (steps > 0 and 0 < rows <= MAX_ROWS, "number of steps or rows"),
            (len(self.counts) <= MAX_COUNTS, "number of counts"),
            (self.row_of.shape[0] == steps and 0 < self.row_of.shape[1] <= MAX_LATENTS, "shape of row_of"),
            (len(self.size) == rows, "length of size"),
            (_within(self.steps, *STEP_RANGE) and bool((np.diff(self.steps) > 0).all()), "steps"),
            (_within(self.row_of, CHOSEN if self.context else 0, rows - 1), "row number"),
            (_within(self.size, 1, MAX_ROW), "size of a row"),
            (_within(self.low, -escape.LOW_MAX, escape.LOW_MAX), "low end of a row"),
            (_within(self.low + self.size - 1, -escape.LOW_MAX, escape.LOW_MAX), "high end of a row"),
            (_within(self.counts, 1, ROW_SUM), "count"),
        )
        for holds, what in good:
            if not holds:
                raise ModelError(f"tables: the {what} is out of bounds")
        if self.context is not None:
            chosen = np.zeros(self.row_of.shape, dtype=bool)
            inside = self.context.components < self.row_of.shape[1]
            chosen[:, self.context.components[inside]] = True
            if len(self.context.normal) != steps or not inside.all() or (chosen != (self.row_of == CHOSEN)).any():
                raise ModelError("tables: the context network has other steps or components")
            bank = self.context.bank
            if int(bank.max()) >= rows or int(self.size[bank].min()) < 2:
                raise ModelError("tables: a row of the context network's bank is out of bounds")

    def __reduce__(self) -> tuple[type[Tables], tuple[Any, ...]]:
        # The range coder's models cannot be pickled and are made again where they are needed.
        return Tables, (self.steps, self.row_of, self.low, self.size, self.counts, self.context)

    @classmethod
    def from_rows(cls, rows: Mapping[int, Sequence[Row]]) -> Tables:
        """Tables from a list of rows, one a component, for each step; equal rows are stored once."""
        numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        row_of = [
            [
                numbers.setdefault((int(low), tuple(map(int, counts))), len(numbers))
                for low, counts in rows[step]
            ]
            for step in sorted(rows)
        ]
        if len({len(line) for line in row_of}) != 1:
            raise ModelError("tables: every step needs a row for every component")
        return cls(
            sorted(rows),
            row_of,
            [low for low, _ in numbers],
            [len(counts) for _, counts in numbers],
            [count for _, counts in numbers for count in counts],
        )

    @classmethod
    def fit(cls, codes: Mapping[int, NDArray[np.integer]]) -> Tables:
        """Tables from calibration integers: for each step an array [frames, components].

        The mapping is asked for one step at a time, so it may compute its arrays when asked.
        """
        from .fit import fit_row

        rows = {}
        for step in sorted(codes):
            values = codes[step]
            if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer):
                raise ValueError("calibration integers must be an integer array [frames, components]")
            rows[int(step)] = [fit_row(column) for column in values.T]
        return cls.from_rows(rows)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> Tables:
        """Tables from what `to_arrays` gave; other names in the mapping are ignored."""
        try:
            static = {name: arrays[name] for name in ("steps", "row_of", "low", "size", "counts")}
        except KeyError as missing:
            raise ModelError(f"tables: the array {missing} is missing") from None
        return cls(**static, context=Context.from_arrays(arrays))

    def to_arrays(self) -> dict[str, NDArray]:
        """Plain integer arrays, in the smallest types that hold their bounds."""
        context = self.context.to_arrays() if self.context is not None else {}
        return {
            "steps": self.steps.astype(np.int16),
            "row_of": self.row_of.astype(np.int32),
            "low": self.low.astype(np.int32),
            "size": self.size.astype(np.int16),
            "counts": self.counts.astype(np.uint16),
            **context,
        }

    @cached_property
    def id(self) -> bytes:
        """The first 8 bytes of SHA-256 over the arrays in their order, as little-endian 32-bit integers."""
        digest = hashlib.sha256(b"rvc tables 1")
        for array in self.to_arrays().values():
            digest.update(np.array([array.size], "<i4").tobytes() + array.astype("<i4").tobytes())
        return digest.digest()[:8]

    @property
    def components(self) -> int:
        """Number of components that have rows."""
        return self.row_of.shape[1]

    def rows(self, step: int, components: int) -> NDArray[np.int64]:
        """Row numbers [components] for a step, -1 where the network chooses; ModelError for what is not covered."""
        return self.row_of[self._place(step, components), :components]

    def _place(self, step: int, components: int) -> int:
        place = self._step_place.get(step)
        if place is None or components > self.components:
            raise ModelError(
                f"the tables {self.id.hex()} have no rows for step {step} and {components} components",
                found=self.id.hex(),
            )
        return place

    def row(self, number: int) -> tuple[int, NDArray[np.int64]]:
        """First integer of a row, and its counts with the escape last."""
        return int(self.low[number]), self.counts[self.start[number] : self.start[number + 1]]

    def model(self, number: int) -> Any:
        """The range coder's model of a row (made once), or None for a row that is the escape alone."""
        model = self._models[number]
        if model is None and self.size[number] > 1:
            from .coder import categorical

            model = self._models[number] = categorical(self.row(number)[1])
        return model

    @cached_property
    def last(self) -> NDArray[np.int64]:
        """The symbol of each row that is its escape."""
        return self.size - 1

    @cached_property
    def bank_models(self) -> NDArray[np.object_]:
        """The range coder's models of the rows that the network chooses from, by row number; None for all others."""
        models = np.full(len(self.low), None, dtype=object)
        for row in np.unique(self.context.bank).tolist() if self.context else ():
            models[row] = self.model(row)
        return models

    def predictor(self, step: int, shape: tuple[int, int, int, int], linked: bool = True) -> Predictor | None:
        """What chooses the rows of packets [packets, channels, frames, components]; None if all of them are fixed."""
        place = self._place(step, shape[3])
        if self._weights is None or not (self.row_of[place, : shape[3]] == CHOSEN).any():
            return None
        return Predictor(self._weights, place, step, shape, linked)

    def switched(self, codes: NDArray[np.integer], linked: bool = True) -> NDArray[np.integer]:
        """Codes [..., channels, frames, components] in which what is switched off is zero.

        All of `linked` channels go by the first.
        """
        if self.context is None or (self.context.switches < 0).all():
            return codes
        numbers, ruled = self.context.components, self.context.switches >= 0
        return switched(codes, numbers[ruled], numbers[self.context.switches[ruled]], linked)

    def lines(self, codes: NDArray[np.integer], step: int, linked: bool = True) -> Iterator[Line]:
        """Codes [packets, channels, frames, components] as they are coded, one line of all packets after another.

        Channels that are `linked` are predicted from the ones before.
        """
        _, channels, frames, components = codes.shape
        predictor = self.predictor(step, codes.shape, linked)
        spread = order(frames)
        lines = np.ascontiguousarray(codes.transpose(3, 1, 0, 2), dtype=np.int64)
        for component, row in enumerate(self.rows(step, components)):
            for channel in range(channels):
                values = lines[component, channel]
                if row != CHOSEN:
                    rows = np.full(values.shape, row)
                    yield self.line(component, values, rows, self.low[rows], (frames,))
                    continue
                assert predictor is not None
                values = values.take(spread.frames, axis=1)
                predictor.open(component, channel)
                on = predictor.on
                if on is not None and values[~on].any():
                    raise ValueError(f"component {component} is not 0 where it is switched off")
                predictor.put(0, frames, values)
                rows, whole = predictor.rows(0, frames)
                predictor.close()
                yield self.line(component, values, rows, self.low[rows] + whole, spread.ends, on)

    def line(
        self,
        component: int,
        values: NDArray,
        rows: NDArray,
        low: NDArray,
        ends: tuple[int, ...],
        on: NDArray[np.bool_] | None = None,
    ) -> Line:
        """The line of these values [packets, T], rows and first integers of the rows where they stand, and where they
        are coded (None: everywhere).
        """
        last = self.last.take(rows)
        symbols = values - low
        escaped = (symbols < 0) | (symbols >= last)
        np.copyto(symbols, last, where=escaped)
        if on is not None:
            escaped &= on
        return Line(component, values, rows, low, symbols, escaped, ends, on)

    @one_thread
    def component_bits(self, codes: NDArray, step: int, linked: bool = True) -> NDArray[np.float64]:
        """Model bits -sum(log2 p) of each component of a packet's codes [..., frames, components], without coding."""
        check_codes(codes)
        total = np.zeros(codes.shape[-1])
        self.rows(step, codes.shape[-1])
        if not codes.size:
            return total
        for line in self.lines(codes.reshape(1, -1, *codes.shape[-2:]), step, linked):
            bits = self.price(line.values, line.rows, line.low - self.low[line.rows])
            total[line.component] += bits.sum(where=True if line.on is None else line.on)
        return total

    def bits(self, codes: NDArray, step: int, linked: bool = True) -> float:
        """Model bits of a packet's codes [..., frames, components] at a step: what an ideal coder spends."""
        return float(self.component_bits(codes, step, linked).sum())

    def price(
        self, values: NDArray[np.integer], rows: NDArray[np.int64], whole: NDArray[np.int64] | int = 0
    ) -> NDArray[np.float64]:
        """Model bits of each integer if it is coded by the row of this number, moved by so many; rows and whole
        may lack the first axes of values.
        """
        low, last = self.low.take(rows) + whole, self.last.take(rows)
        symbols = values - low
        escaped = (symbols < 0) | (symbols >= last)
        bits = self._cost[self.start[rows] + np.where(escaped, last, symbols)]
        if np.count_nonzero(escaped):
            low, high = (np.broadcast_to(end, bits.shape)[escaped] for end in (low, low + last))
            bits[escaped] += escape.bits(values[escaped], low, high)
        return bits

    @cached_property
    def _cost(self) -> NDArray[np.float64]:
        return np.log2(ROW_SUM / self.counts)


def check_codes(codes: NDArray) -> None:
    """TypeError unless codes is an integer array, ValueError where it leaves the format's bounds."""
    if not isinstance(codes, np.ndarray) or not np.issubdtype(codes.dtype, np.integer):
        raise TypeError("codes must be an array of integers")
    if codes.size and not -escape.VALUE_MAX <= int(codes.min()) <= int(codes.max()) <= escape.VALUE_MAX:
        raise ValueError(f"codes must lie within ±{escape.VALUE_MAX}")


def _within(array: NDArray, low: int, high: int) -> bool:
    return array.size > 0 and low <= int(array.min()) and int(array.max()) <= high


def _integers(name: str, values: ArrayLike, dims: int) -> NDArray[np.int64]:
    array = np.array(values)
    if array.ndim != dims or not np.issubdtype(array.dtype, np.integer):
        raise ModelError(f"tables: {name} is not an integer array of {dims} dimension(s)")
    return array.astype(np.int64)
