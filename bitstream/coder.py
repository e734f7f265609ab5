"""Entropy coding of packets: integers to payload and back, exactly.

Components are coded one after another, each channel by channel, so that a packet can be cut to fewer components and
contexts may look at all lower components. A component with a fixed row takes one array call of the range coder; where
the context network chooses, every integer has a row of its own. Packets know nothing of one another, so those of one
shape may go through the network side by side: that gives the same bytes in less time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import escape
from .blas import one_thread
from .errors import CorruptError
from .line import Line
from .order import order
from .predict import Predictor
from .tables import CHOSEN, Tables, check_codes

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


def encode(codes: NDArray[np.integer], tables: Tables, step: int, linked: bool = True) -> bytes:
    """Payload of codes [channels, frames, components]; the same integers always give the same bytes.

    Channels that are `linked` are predicted from the ones before. TypeError or ValueError for codes the format cannot
    hold, ModelError for a step the tables do not have.
    """
    return encode_all(codes[None], tables, step, linked)[0]


@one_thread
def encode_all(codes: NDArray[np.integer], tables: Tables, step: int, linked: bool = True) -> list[bytes]:
    """As `encode`, the payloads of codes [packets, channels, frames, components]."""
    check_codes(codes)
    return encode_lines(tables.lines(codes, step, linked), len(codes), tables)


def encode_lines(lines: Iterable[Line], packets: int, tables: Tables) -> list[bytes]:
    """The payloads of so many packets, of which these are all lines."""
    import constriction

    coders = [constriction.stream.queue.RangeEncoder() for _ in range(packets)]
    for line in lines:
        escaping: list[bool] = np.any(line.escaped, axis=1).tolist()
        for packet, coder in enumerate(coders):
            first = 0
            for last in line.ends if escaping[packet] else line.ends[-1:]:
                _code_run(coder, tables, line, (packet, slice(first, last)), escaping[packet])
                first = last
    return [_shortest(coder) for coder in coders]


def _code_run(coder: Any, tables: Tables, line: Line, part: tuple[int, slice], escaping: bool) -> None:
    """Code the symbols of a level of a packet, then the escaped values among them."""
    rows, symbols = line.rows[part], line.symbols[part]
    if line.on is not None:
        rows, symbols = rows[line.on[part]], symbols[line.on[part]]
    if not line.chosen:
        model = tables.model(int(rows[0])) if len(rows) else None
        if model is not None:
            coder.encode(symbols.astype(np.int32), model)
    else:
        for _ in map(coder.encode, symbols.tolist(), tables.bank_models.take(rows).tolist()):
            pass
    if escaping and (escaped := line.escaped[part]).any():
        low = line.low[part][escaped]
        classes, bits = escape.split(line.values[part][escaped], low, low + tables.last[line.rows[part][escaped]])
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


def decode(
    payload: bytes, tables: Tables, step: int, shape: tuple[int, int, int], linked: bool = True
) -> NDArray[np.int32]:
    """Codes of `shape` [channels, frames, components] from a payload; CorruptError if it cannot be one."""
    (codes,) = decode_all([payload], tables, step, shape, linked)
    if codes is None:
        raise CorruptError("a payload does not decode with these tables")
    return codes


@one_thread
def decode_all(
    payloads: Sequence[bytes], tables: Tables, step: int, shape: tuple[int, int, int], linked: bool = True
) -> list[NDArray[np.int32] | None]:
    """As `decode`, the codes of each payload, all of packets of one shape; None for what cannot be one."""
    channels, frames, components = shape
    codes = np.zeros((components, channels, len(payloads), frames), dtype=np.int32)
    decoders = [_Decoder(payload) for payload in payloads]
    predictor = tables.predictor(step, (len(payloads), *shape), linked)
    for component, row in enumerate(tables.rows(step, components)):
        if all(decoder.failed for decoder in decoders):
            break
        for channel in range(channels):
            line = codes[component, channel]
            if row != CHOSEN:
                line[:] = _decode_run(decoders, tables, np.full(line.shape, row), None)
            elif predictor is not None:
                predictor.open(component, channel)
                _decode_line(decoders, tables, predictor, line)
                predictor.close()
    whole = np.ascontiguousarray(codes.transpose(2, 1, 3, 0))
    return [None if decoder.failed else packet for decoder, packet in zip(decoders, whole, strict=True)]


class _Decoder:
    """A range decoder over a payload, with what is known against it."""

    def __init__(self, payload: bytes) -> None:
        import constriction

        padded = payload + bytes(-len(payload) % WORD)
        self.coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))
        self.failed = payload[-1:] == b"\0"

    def run(self, model: Any, count: int) -> NDArray[np.int32] | int:
        """The next symbols of one model, None for that of a row with one entry; zeros once the payload has failed."""
        if not self.failed and model is not None:
            try:
                symbols: NDArray[np.int32] = self.coder.decode(model, count)
                return symbols
            except AssertionError:  # constriction's word for a point outside every interval
                self.failed = True
        return 0

    def each(self, models: list[Any]) -> list[int]:
        """The next symbols, each of its own model; zeros once the payload has failed."""
        if not self.failed:
            try:
                return list(map(self.coder.decode, models))
            except AssertionError:
                self.failed = True
        return [0] * len(models)

    def escapes(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.int32] | int:
        """The next escaped values, outside [low, high) of their rows; zeros once the payload has failed."""
        if not self.failed:
            try:
                classes = self.coder.decode(_class_model(), len(low))
                count = int(classes.sum())
                plain = self.coder.decode(_bit_model(), count) if count else np.empty(0, dtype=np.int32)
                return escape.join(classes, plain, low, high)
            except (AssertionError, CorruptError):
                self.failed = True
        return 0


def _decode_line(decoders: list[_Decoder], tables: Tables, predictor: Predictor, line: NDArray[np.int32]) -> None:
    """One channel of a component, level by level, each predicted from those before it."""
    spread = order(line.shape[1])
    first = 0
    for last in spread.ends:
        if last > first:
            rows, whole = predictor.rows(first, last)
            on = None if predictor.on is None else predictor.on[:, first:last]
            values = _decode_run(decoders, tables, rows, whole, on)
            predictor.put(first, last, values)
            line[:, spread.frames[first:last]] = values
        first = last


def _decode_run(
    decoders: list[_Decoder],
    tables: Tables,
    rows: NDArray[np.int64],
    whole: NDArray[np.int64] | None,
    on: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """The inverse of `_code_run` for every packet: as many integers as there are rows, each at the whole part of its
    mean; without means the row is a fixed one. What is not `on` is zero.
    """
    symbols = np.zeros(rows.shape, dtype=np.int64)
    if whole is not None and on is not None:
        for packet, (decoder, coded) in enumerate(zip(decoders, on, strict=True)):
            symbols[packet, coded] = decoder.each(tables.bank_models.take(rows[packet, coded]).tolist())
    elif whole is not None:
        every = zip(decoders, tables.bank_models.take(rows).tolist(), strict=True)
        found = chain.from_iterable(decoder.each(models) for decoder, models in every)
        symbols = np.fromiter(found, np.int64, rows.size).reshape(rows.shape)
    elif rows.size:
        model = tables.model(int(rows[0, 0]))
        for packet, decoder in enumerate(decoders):
            symbols[packet] = decoder.run(model, rows.shape[1])
    low = tables.low.take(rows)
    if whole is not None:
        low += whole
    last = tables.last.take(rows)
    values = symbols + low
    escaped = symbols == last
    if on is not None:
        values *= on
        escaped &= on
    if np.count_nonzero(escaped):
        for packet in np.flatnonzero(escaped.any(axis=1)).tolist():
            at = packet, escaped[packet]
            values[at] = decoders[packet].escapes(low[at], low[at] + last[at])
    return values
