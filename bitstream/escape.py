"""Integers outside a table's row: an escape code that spells any integer of the format exactly.

A value v outside the row's [low, high) is numbered by its distance, both sides in turn:

    n = 2 (v - high) + 1  for v >= high,     n = 2 (low - 1 - v) + 2  for v < low,     so n = 1, 2, 3, ...

and n is coded as its *class* k = floor(log2 n), an entry of the fixed row CLASS_COUNTS, followed by the k
bits of n below its leading one, the highest first. That is an Exp-Golomb code whose prefix is range
coded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptError

VALUE_MAX = (1 << 20) - 1  # the largest magnitude of an integer in a packet
LOW_MAX = 1 << 15  # the largest magnitude of a row's end
Ends = int | NDArray[np.int64]  # of one row, or of the row of each value
CLASSES = 22  # n < 2**22 for every value and row within the bounds above

# Halving down to one; the first gives up 6 so that the seven rarest classes have a count too. Sum 2**15.
CLASS_COUNTS = (16378, *(1 << (14 - k) for k in range(1, 15)), *(1,) * 7)


def split(
    values: NDArray[np.integer], low: Ends, high: Ends
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Classes [m] and all their bits, one after another, of the m values outside [low, high)."""
    wide = values.astype(np.int64)
    number = np.where(wide >= high, 2 * (wide - high) + 1, 2 * (low - 1 - wide) + 2)
    classes = bit_length(number) - 1
    owner, shift = _bit_places(classes)
    return classes.astype(np.int32), (number[owner] >> shift & 1).astype(np.int32)


def join(
    classes: NDArray[np.int32], bits: NDArray[np.int32], low: Ends, high: Ends
) -> NDArray[np.int32]:
    """The inverse of `split`; CorruptError for a value outside the format's bounds."""
    owner, shift = _bit_places(classes)
    number = np.left_shift(np.int64(1), classes.astype(np.int64))
    np.add.at(number, owner, bits.astype(np.int64) << shift)
    distance = (number - 1) >> 1
    values = np.where(number & 1, high + distance, low - 1 - distance)
    if values.size and int(np.abs(values).max()) > VALUE_MAX:
        raise CorruptError("an escaped integer is outside the format's bounds")
    return values.astype(np.int32)


def bits(values: NDArray[np.integer], low: Ends, high: Ends) -> NDArray[np.float64]:
    """Model bits of each escaped value: its class and its plain bits, without the escape symbol itself."""
    wide = values.astype(np.int64)
    number = np.where(wide >= high, 2 * (wide - high) + 1, 2 * (low - 1 - wide) + 2)
    classes = bit_length(number) - 1
    return _CLASS_BITS[classes] + classes


def bit_length(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of each positive integer below 2**53; exact, since `frexp` takes a float apart without
    rounding.
    """
    return np.frexp(number.astype(np.float64))[1].astype(np.int64)


def _bit_places(classes: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every bit of the flat list: which value it belongs to, and its place in it (0 = lowest)."""
    sizes = classes.astype(np.int64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    ends = np.cumsum(sizes)
    return owner, ends[owner] - 1 - np.arange(len(owner))


_CLASS_BITS = 15.0 - np.log2(np.array(CLASS_COUNTS, dtype=np.float64))
