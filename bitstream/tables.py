"""Probability tables: a row of integer counts for every step and component.

A row covers the integers low .. low + n - 1 with its first n counts; its last count is the escape, which
stands for every integer outside. The counts of a row sum to 2**15 and none is zero, so every integer can
be coded and the conversion to the range coder's 24 bits is exact integer arithmetic. A row that is the
escape alone has one possible symbol: nothing is coded for it, and each integer goes to the escape code.

Rows are stored once and referred to by number, so a context model is a larger map of row numbers, not
another file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import escape
from .errors import ModelError
from .header import MAX_LATENTS, STEP_RANGE

ROW_SUM = 1 << 15
MAX_ROW = 4096  # entries, the escape among them
MAX_ROWS = 1 << 20
MAX_COUNTS = 1 << 25  # entries of all rows together

Row = tuple[int, Sequence[int]]  # the first integer, and the counts with the escape last


class Tables:
    """Integer count rows for the steps and components of a model; immutable.

    steps [S], ascending; row_of [S, D], the row of each step and component; low [R] and size [R], each
    row's first integer and number of entries; counts, the entries of all rows one after another.
    ModelError if any of it breaks the rules above.
    """

    def __init__(
        self, steps: ArrayLike, row_of: ArrayLike, low: ArrayLike, size: ArrayLike, counts: ArrayLike
    ) -> None:
        self.steps = _integers("steps", steps, 1)
        self.row_of = _integers("row_of", row_of, 2)
        self.low = _integers("low", low, 1)
        self.size = _integers("size", size, 1)
        self.counts = _integers("counts", counts, 1)
        self._check()
        self.start = np.concatenate([[0], np.cumsum(self.size)])
        if self.start[-1] != len(self.counts):
            raise ModelError("tables: the rows' sizes do not add up to the number of counts")
        if (np.add.reduceat(self.counts, self.start[:-1]) != ROW_SUM).any():
            raise ModelError(f"tables: the counts of a row do not sum to {ROW_SUM}")
        self._step_place = {int(step): place for place, step in enumerate(self.steps)}
        self._models: dict[int, Any] = {}
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
            (_within(self.row_of, 0, rows - 1), "row number"),
            (_within(self.size, 1, MAX_ROW), "size of a row"),
            (_within(self.low, -escape.LOW_MAX, escape.LOW_MAX), "low end of a row"),
            (_within(self.low + self.size - 1, -escape.LOW_MAX, escape.LOW_MAX), "high end of a row"),
            (_within(self.counts, 1, ROW_SUM), "count"),
        )
        for holds, what in good:
            if not holds:
                raise ModelError(f"tables: the {what} is out of bounds")

    def __reduce__(self) -> tuple[type[Tables], tuple[NDArray, ...]]:
        # The range coder's models cannot be pickled and are made again where they are needed.
        return Tables, (self.steps, self.row_of, self.low, self.size, self.counts)

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
            return cls(**{name: arrays[name] for name in ("steps", "row_of", "low", "size", "counts")})
        except KeyError as missing:
            raise ModelError(f"tables: the array {missing} is missing") from None

    def to_arrays(self) -> dict[str, NDArray]:
        """A few plain integer arrays, little more than the counts in size."""
        return {
            "steps": self.steps.astype(np.int16),
            "row_of": self.row_of.astype(np.int32),
            "low": self.low.astype(np.int32),
            "size": self.size.astype(np.int16),
            "counts": self.counts.astype(np.uint16),
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
        """Row numbers [components] for a step; ModelError when the tables do not cover it."""
        place = self._step_place.get(step)
        if place is None or components > self.components:
            raise ModelError(
                f"the tables {self.id.hex()} have no rows for step {step} and {components} components",
                found=self.id.hex(),
            )
        return self.row_of[place, :components]

    def row(self, number: int) -> tuple[int, NDArray[np.int64]]:
        """First integer of a row, and its counts with the escape last."""
        return int(self.low[number]), self.counts[self.start[number] : self.start[number + 1]]

    def model(self, number: int) -> Any:
        """The range coder's model of a row (made once), or None for a row that is the escape alone."""
        if number not in self._models:
            from .coder import categorical

            counts = self.row(number)[1]
            self._models[number] = categorical(counts) if len(counts) > 1 else None
        return self._models[number]

    def symbols(self, codes: NDArray, step: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Entry of its row for every integer of codes [..., components], and which of them are escapes."""
        rows = self.rows(step, codes.shape[-1])
        last = (self.size[rows] - 1).astype(np.int32)
        symbols = codes.astype(np.int32) - self.low[rows].astype(np.int32)
        escaped = (symbols < 0) | (symbols >= last)
        np.copyto(symbols, np.broadcast_to(last, symbols.shape), where=escaped)
        return symbols, escaped

    def component_bits(self, codes: NDArray, step: int) -> NDArray[np.float64]:
        """Model bits -sum(log2 p) of each component of codes [..., components], escapes included, uncoded."""
        check_codes(codes)
        flat = codes.reshape(-1, codes.shape[-1])
        rows = self.rows(step, flat.shape[1])
        symbols, escaped = self.symbols(flat, step)
        total = self._cost[self.start[rows] + symbols].sum(axis=0)
        for component in np.flatnonzero(escaped.any(axis=0)):
            low, counts = self.row(rows[component])
            outside = flat[escaped[:, component], component]
            total[component] += escape.bits(outside, low, low + len(counts) - 1).sum()
        return total

    def bits(self, codes: NDArray, step: int) -> float:
        """Model bits of codes [..., components] at a step: what an ideal coder spends, without coding."""
        return float(self.component_bits(codes, step).sum())

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
