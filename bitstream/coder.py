"""Entropy coding of one packet: integers to payload and back, exactly.

Components are coded one after another, each over all channels and frames, so that a packet can be cut to
fewer components and a context model may look at all lower components. With static tables one component
has one row, hence one array call of the range coder. A context model would give several rows to a
component: `_code_run` and `_decode_run` are then called once for each of them, in an order both sides can
derive from what is already known.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import escape
from .errors import CorruptError
from .tables import Tables, check_codes

WORD = 4  # bytes of the range coder's words


def categorical(counts: ArrayLike) -> Any:
    """The range coder's model of a row of integer counts."""
    import constriction

    # `perfect` changes the probabilities and its default has changed between versions: always spelled out.
    return constriction.stream.model.Categorical(np.asarray(counts, dtype=np.float64), perfect=False)


@cache
def _class_model() -> Any:
    return categorical(escape.CLASS_COUNTS)


@cache
def _bit_model() -> Any:
    import constriction

    return constriction.stream.model.Uniform(2)


def encode(codes: NDArray[np.integer], tables: Tables, step: int) -> bytes:
    """Payload of codes [channels, frames, components]; the same integers always give the same bytes.

    TypeError or ValueError for codes the format cannot hold, ModelError for a step the tables do not have.
    """
    import constriction

    check_codes(codes)
    symbols, escaped = tables.symbols(codes, step)
    coder = constriction.stream.queue.RangeEncoder()
    for component, row in enumerate(tables.rows(step, codes.shape[2])):
        outside = codes[..., component][escaped[..., component]]
        _code_run(coder, tables, int(row), symbols[..., component].ravel(), outside)
    return _shortest(coder)


def _code_run(coder: Any, tables: Tables, row: int, symbols: NDArray[np.int32], outside: NDArray) -> None:
    """Code symbols of one row, then the escaped values among them."""
    model = tables.model(row)
    if model is not None:
        coder.encode(np.ascontiguousarray(symbols), model)
    if outside.size:
        low, counts = tables.row(row)
        classes, bits = escape.split(outside.astype(np.int32), low, low + len(counts) - 1)
        coder.encode(classes, _class_model())
        if bits.size:
            coder.encode(bits, _bit_model())


def _shortest(coder: Any) -> bytes:
    """The fewest bytes that decode to what was coded: the roundest number in the coder's final interval.

    constriction ends on a whole 32-bit word. The decoder reads zeros past the end, so the number of
    [lower, lower + range) with most trailing zero bytes will do: 0.3 bytes over the model bits, not 2.
    """
    words = coder.get_compressed()
    whole, (lower, size) = coder.pos()
    if not len(words):
        return b""
    # constriction's own number, down to the word it sealed with, lies less than one word above the
    # interval's start.
    sealed = int.from_bytes(words[: whole + 1].astype(">u4").tobytes(), "big") << 32
    start = sealed - ((sealed - lower) & (1 << 64) - 1)
    number, zeros = start, 0
    while zeros < 16 * WORD:
        zeros += 8
        rounded = -(-start >> zeros) << zeros
        if rounded >= start + size:
            break
        number = rounded
    return number.to_bytes(WORD * (whole + 2), "big").rstrip(b"\0")


def decode(payload: bytes, tables: Tables, step: int, shape: tuple[int, int, int]) -> NDArray[np.int32]:
    """Codes of `shape` [channels, frames, components] from a payload; CorruptError if it cannot be one."""
    import constriction

    channels, frames, components = shape
    padded = payload + bytes(-len(payload) % WORD)
    words = np.frombuffer(padded, dtype=">u4").astype(np.uint32)
    if payload[-1:] == b"\0":
        raise CorruptError("a payload ends in a zero byte")
    codes = np.empty((components, channels * frames), dtype=np.int32)
    coder = constriction.stream.queue.RangeDecoder(words)
    try:
        for component, row in enumerate(tables.rows(step, components)):
            codes[component] = _decode_run(coder, tables, int(row), channels * frames)
    except AssertionError:  # constriction's word for a point outside every interval
        raise CorruptError("a payload does not decode with these tables") from None
    return np.ascontiguousarray(codes.reshape(components, channels, frames).transpose(1, 2, 0))


def _decode_run(coder: Any, tables: Tables, row: int, size: int) -> NDArray[np.int32]:
    """The inverse of `_code_run`: `size` integers of one row."""
    low, counts = tables.row(row)
    model = tables.model(row)
    high = low + len(counts) - 1
    symbols = coder.decode(model, size) if model is not None else np.zeros(size, dtype=np.int32)
    values = symbols + np.int32(low)
    escaped = symbols == len(counts) - 1
    if escaped.any():
        classes = coder.decode(_class_model(), int(np.count_nonzero(escaped)))
        bits = int(classes.sum())
        plain = coder.decode(_bit_model(), bits) if bits else np.empty(0, dtype=np.int32)
        values[escaped] = escape.join(classes, plain, low, high)
    return values
