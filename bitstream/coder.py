"""Entropy coding of one packet: integers to payload and back, exactly.

Components are coded one after another, each channel by channel, so that a packet can be cut to fewer components and
contexts may look at all lower components. A component with a fixed row takes one array call of the range coder; where
the context network chooses, every integer has a row of its own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import escape
from .errors import CorruptError
from .order import order
from .predict import Predictor
from .tables import CHOSEN, Line, Tables, check_codes

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
    coder = constriction.stream.queue.RangeEncoder()
    for line in tables.lines(codes, step):
        first = 0
        for last in line.ends if line.escaped.any() else line.ends[-1:]:
            _code_run(coder, tables, line, slice(first, last))
            first = last
    return _shortest(coder)


def _code_run(coder: Any, tables: Tables, line: Line, part: slice) -> None:
    """Code the symbols of a level, then the escaped values among them."""
    rows, symbols, escaped = line.rows[part], line.symbols[part], line.escaped[part]
    if len(line.ends) == 1:
        model = tables.model(int(rows[0])) if len(rows) else None
        if model is not None:
            coder.encode(symbols.astype(np.int32), model)
    else:
        encode, models = coder.encode, tables.bank_models
        for symbol, row in zip(symbols.tolist(), rows.tolist(), strict=True):
            encode(symbol, models[row])
    if escaped.any():
        low = line.low[part][escaped]
        classes, bits = escape.split(line.values[part][escaped], low, low + tables.size[rows[escaped]] - 1)
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
    codes = np.empty((components, channels, frames), dtype=np.int32)
    coder = constriction.stream.queue.RangeDecoder(words)
    predictor = tables.predictor(step, shape)
    try:
        for component, row in enumerate(tables.rows(step, components)):
            for channel in range(channels):
                line = codes[component, channel]
                if row != CHOSEN:
                    line[:] = _decode_run(coder, tables, np.full(frames, row), 0)
                elif predictor is not None:
                    predictor.open(component, channel)
                    _decode_line(coder, tables, predictor, line)
                    predictor.close()
    except AssertionError:  # constriction's word for a point outside every interval
        raise CorruptError("a payload does not decode with these tables") from None
    return np.ascontiguousarray(codes.transpose(1, 2, 0))


def _decode_line(coder: Any, tables: Tables, predictor: Predictor, line: NDArray[np.int32]) -> None:
    """One channel of a component, level by level, each predicted from those before it."""
    spread = order(len(line))
    first = 0
    for last in spread.ends:
        if last > first:
            rows, whole = predictor.rows(first, last)
            values = _decode_run(coder, tables, rows, whole)
            predictor.put(first, last, values)
            line[spread.frames[first:last]] = values
        first = last


def _decode_run(coder: Any, tables: Tables, rows: NDArray[np.int64], whole: NDArray[np.int64] | int) -> NDArray:
    """The inverse of `_code_run`: as many integers as there are rows, each at the whole part of its mean."""
    if isinstance(whole, int):
        model = tables.model(int(rows[0])) if len(rows) else None
        symbols = coder.decode(model, len(rows)) if model is not None else np.zeros(len(rows), dtype=np.int32)
    else:
        decode, models = coder.decode, tables.bank_models
        symbols = np.array([decode(models[row]) for row in rows.tolist()])
    low = tables.low[rows] + whole
    values = symbols + low
    last = tables.size[rows] - 1
    escaped = symbols == last
    if escaped.any():
        classes = coder.decode(_class_model(), int(np.count_nonzero(escaped)))
        bits = int(classes.sum())
        plain = coder.decode(_bit_model(), bits) if bits else np.empty(0, dtype=np.int32)
        values[escaped] = escape.join(classes, plain, low[escaped], (low + last)[escaped])
    return values
