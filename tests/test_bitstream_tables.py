"""Tables and coder: every integer survives, bits are what the counts say, the arithmetic is SPEC.md's."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitstream import ModelError, Tables, coder, escape
from bitstream.errors import CorruptError
from bitstream.tables import ROW_SUM

STEPS = (-8, 0, 8)
ONLY_ESCAPE = (0, (ROW_SUM,))


def laplace_codes(seed: int, frames: int, components: int = 12, step: int = 0) -> np.ndarray:
    """Integers [frames, components] whose spread falls with the component and with the step."""
    spread = 12 * np.exp(-np.arange(components) / 3) + 0.05
    noise = np.random.default_rng(seed).laplace(size=(frames, components))
    return np.round(noise * spread * 2 ** (-step / 8)).astype(np.int32)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return Tables.fit({step: laplace_codes(1, 3000, step=step) for step in STEPS})


def rows() -> st.SearchStrategy:
    """Any valid row: a low end and positive counts that sum to 2**15."""

    def scaled(low: int, weights: list[int]) -> tuple[int, tuple[int, ...]]:
        counts = [1 + weight * (ROW_SUM - len(weights)) // (sum(weights) or 1) for weight in weights]
        counts[weights.index(max(weights))] += ROW_SUM - sum(counts)
        return low, tuple(counts)

    return st.builds(scaled, st.integers(-40, 40), st.lists(st.integers(0, 1000), min_size=1, max_size=30))


def packets(rows_list: list, values: st.SearchStrategy) -> st.SearchStrategy[np.ndarray]:
    """Codes [channels, frames, components] for a list of rows."""

    def shaped(size: tuple[int, int], flat: list[int]) -> np.ndarray:
        shape = (*size, len(rows_list))
        return np.resize(np.array(flat, dtype=np.int32), shape)

    return st.builds(
        shaped, st.tuples(st.integers(1, 3), st.integers(1, 6)), st.lists(values, min_size=1, max_size=60)
    )


any_value = st.integers(-60, 60) | st.integers(-escape.VALUE_MAX, escape.VALUE_MAX)


@given(st.data())
@settings(max_examples=150)
def test_any_integers_survive_any_tables(data: st.DataObject) -> None:
    row_list = data.draw(st.lists(rows(), min_size=1, max_size=6))
    codes = data.draw(packets(row_list, any_value))
    tables = Tables.from_rows({3: row_list})
    payload = coder.encode(codes, tables, 3)
    assert payload == coder.encode(codes.astype(np.int64), tables, 3)
    assert np.array_equal(coder.decode(payload, tables, 3, codes.shape), codes)
    # One byte to round the end up to, and what steps of 2**-24 cannot resolve of rows and intervals.
    assert 8 * len(payload) <= tables.bits(codes, 3) * 1.001 + 9 + codes.size * 0.01


@given(st.data())
@settings(max_examples=100)
def test_arrays_and_id_round_trip(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    steps = data.draw(st.lists(st.integers(-64, 63), min_size=1, max_size=3, unique=True))
    tables = Tables.from_rows(
        {step: data.draw(st.lists(rows(), min_size=count, max_size=count)) for step in steps}
    )
    again = Tables.from_arrays(tables.to_arrays())
    assert again.id == tables.id and len(tables.id) == 8
    for name, array in tables.to_arrays().items():
        assert np.array_equal(array, again.to_arrays()[name]) and array.dtype == again.to_arrays()[name].dtype


def test_tables_travel_to_other_processes(tables: Tables) -> None:
    coder.encode(laplace_codes(2, 3)[None], tables, 0)
    assert pickle.loads(pickle.dumps(tables)).id == tables.id


def test_id_depends_on_every_number(tables: Tables) -> None:
    arrays = tables.to_arrays()
    ids = {tables.id}
    for name in ("steps", "low"):
        changed = arrays[name].copy()
        changed[-1] += 1
        ids.add(Tables.from_arrays({**arrays, name: changed}).id)
    counts = arrays["counts"].copy()
    place = int(np.argmax(counts))
    row_end = tables.start[np.searchsorted(tables.start, place, "right")]
    neighbour = place + 1 if place + 1 < row_end else place - 1
    counts[place] -= 1
    counts[neighbour] += 1
    ids.add(Tables.from_arrays({**arrays, "counts": counts}).id)
    assert len(ids) == 4


@given(st.lists(any_value, min_size=1, max_size=50), st.integers(-50, 50), st.integers(0, 20))
@settings(max_examples=100)
def test_escape_code_is_a_bijection_outside_the_row(values: list[int], low: int, width: int) -> None:
    high = low + width
    outside = np.array([value for value in values if not low <= value < high], dtype=np.int32)
    classes, bits = escape.split(outside, low, high)
    assert np.array_equal(escape.join(classes, bits, low, high), outside)
    assert len(bits) == classes.sum() and (not classes.size or classes.max() < escape.CLASSES)


def test_escape_reaches_its_extreme_from_the_extreme_row() -> None:
    for low, value in ((-escape.LOW_MAX, escape.VALUE_MAX), (escape.LOW_MAX - 1, -escape.VALUE_MAX)):
        values = np.array([value], dtype=np.int32)
        classes, bits = escape.split(values, low, low)
        assert classes[0] < escape.CLASSES == len(escape.CLASS_COUNTS)
        assert escape.join(classes, bits, low, low)[0] == value
    assert sum(escape.CLASS_COUNTS) == ROW_SUM and min(escape.CLASS_COUNTS) >= 1


def test_escape_beyond_the_bounds_is_refused() -> None:
    with pytest.raises(CorruptError):
        escape.join(np.array([21], dtype=np.int32), np.ones(21, dtype=np.int32), 0, 0)


def test_bits_are_the_sum_over_symbols(tables: Tables) -> None:
    codes = laplace_codes(2, 40)
    codes[7, 3] = 5000
    expected = 0.0
    for frame in codes:
        for component, value in enumerate(frame):
            low, counts = tables.row(int(tables.rows(0, 12)[component]))
            inside = low <= value < low + len(counts) - 1
            expected += np.log2(ROW_SUM / counts[value - low if inside else -1])
            if not inside:
                high = low + len(counts) - 1
                number = 2 * (value - high) + 1 if value >= high else 2 * (low - 1 - value) + 2
                size = int(number).bit_length() - 1
                expected += size + np.log2(ROW_SUM / escape.CLASS_COUNTS[size])
    assert tables.bits(codes, 0) == pytest.approx(expected, rel=1e-12)
    assert tables.component_bits(codes, 0).shape == (12,)
    assert tables.bits(codes.reshape(2, 20, 12), 0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("step", STEPS)
def test_fitted_tables_are_near_the_entropy_of_unseen_integers(tables: Tables, step: int) -> None:
    codes = laplace_codes(9, 20000, step=step)
    entropy = 0.0
    for column in codes.T:
        counts = np.unique(column, return_counts=True)[1]
        entropy -= (counts * np.log2(counts / counts.sum())).sum()
    assert entropy < tables.bits(codes, step) < 1.01 * entropy


def test_fit_leaves_nothing_near_impossible_and_copes_with_little() -> None:
    few = np.array([[0, 5, -30000, 0], [0, 5, 30000, 1], [0, 6, 0, 900]], dtype=np.int16)
    tables = Tables.fit({0: few, 1: few[:1], 2: few[:0]})
    assert tables.bits(np.array([[3, 9, 30001, -3]]), 0) < 90
    assert tables.bits(np.array([[0, 5, -30000, 0]]), 1) < 30
    assert tables.row(int(tables.rows(2, 1)[0]))[1].tolist() == [ROW_SUM]


def test_fit_is_deterministic(tables: Tables) -> None:
    assert Tables.fit({step: laplace_codes(1, 3000, step=step) for step in STEPS}).id == tables.id


def test_payload_costs_a_third_of_a_byte_over_the_model_bits(tables: Tables) -> None:
    over = []
    for seed in range(100):
        codes = laplace_codes(seed + 50, 1 + seed % 64)[None]
        over.append(len(coder.encode(codes, tables, 0)) - tables.bits(codes, 0) / 8)
    assert np.mean(over) < 0.5 and max(over) < 1.2


def test_wrong_use_is_refused(tables: Tables) -> None:
    codes = laplace_codes(3, 4)[None]
    with pytest.raises(TypeError):
        coder.encode(codes.astype(float), tables, 0)
    with pytest.raises(ValueError):
        coder.encode(codes + (1 << 21), tables, 0)
    with pytest.raises(ModelError):
        coder.encode(codes, tables, 1)
    with pytest.raises(ModelError):
        tables.bits(np.zeros((1, 13), dtype=int), 0)


@pytest.mark.parametrize(
    "change",
    [
        {"counts": None},
        {"counts": np.array([1, 2, 3])},
        {"counts": "zero"},
        {"counts": np.array(["a"])},
        {"low": np.array([1 << 20])},
        {"row_of": np.array([[7]])},
        {"row_of": np.array([0])},
        {"size": np.array([0])},
        {"size": np.array([1 << 40])},
        {"steps": np.array([[0]])},
        {"steps": np.array([900])},
        {"steps": np.array([], dtype=int)},
    ],
)
def test_damaged_arrays_are_a_typed_error(change: dict) -> None:
    arrays = Tables.from_rows({0: [(-1, (ROW_SUM - 2, 1, 1))]}).to_arrays()
    if isinstance(change.get("counts"), str):
        change = {"counts": np.array([ROW_SUM, 0, 0])}
    arrays.update(change)
    with pytest.raises(ModelError):
        Tables.from_arrays({name: array for name, array in arrays.items() if array is not None})


@given(st.binary(max_size=60), st.integers(1, 3), st.integers(1, 20))
@settings(max_examples=150)
def test_any_bytes_decode_or_raise_a_typed_error(payload: bytes, channels: int, frames: int) -> None:
    tables = Tables.from_rows({0: [(-2, (100, 1000, ROW_SUM - 1107, 5, 1, 1)), ONLY_ESCAPE]})
    try:
        codes = coder.decode(payload, tables, 0, (channels, frames, 2))
    except CorruptError:
        return
    assert codes.shape == (channels, frames, 2) and np.abs(codes).max() <= escape.VALUE_MAX


class PlainDecoder:
    """The range decoder in plain integers, as SPEC.md writes it: proof that the text describes the bytes."""

    def __init__(self, payload: bytes) -> None:
        self.bytes = payload
        self.pos = 0
        self.lower, self.range = 0, 2**64 - 1
        self.point = self.word() << 32 | self.word()

    def word(self) -> int:
        self.pos += 4
        return int.from_bytes(self.bytes[self.pos - 4 : self.pos].ljust(4, b"\0"), "big")

    def symbol(self, edges: list[int]) -> int:
        scale = self.range >> 24
        place = (self.point - self.lower) % 2**64 // scale
        found = max(i for i, edge in enumerate(edges[:-1]) if edge <= place)
        self.lower = (self.lower + scale * edges[found]) % 2**64
        self.range = scale * (edges[found + 1] - edges[found])
        if self.range < 2**32:
            self.lower = self.lower * 2**32 % 2**64
            self.range *= 2**32
            self.point = (self.point * 2**32 + self.word()) % 2**64
        return found


class PlainEncoder:
    """The range encoder as SPEC.md writes it, with integers of any size instead of carries."""

    def __init__(self) -> None:
        self.lower, self.range, self.words = 0, 2**64 - 1, 2

    def symbol(self, edges: list[int], symbol: int) -> None:
        scale = self.range >> 24
        self.lower += scale * edges[symbol]
        self.range = scale * (edges[symbol + 1] - edges[symbol])
        if self.range < 2**32:
            self.lower, self.range, self.words = self.lower << 32, self.range << 32, self.words + 1

    def payload(self) -> bytes:
        ends = [-(-self.lower // 2**zeros) * 2**zeros for zeros in range(0, 72, 8)]
        number = [end for end in ends if end < self.lower + self.range][-1]
        return number.to_bytes(4 * self.words, "big").rstrip(b"\0")


def edges_of(counts: list[int]) -> list[int]:
    size, below, edges = len(counts), 0, []
    for place, count in enumerate(counts):
        edges.append((below * (2**24 - size) >> 15) + place)
        below += count
    return [*edges, 2**24]


@pytest.mark.parametrize("seed", range(8))
def test_the_written_arithmetic_is_the_arithmetic(tables: Tables, seed: int) -> None:
    codes = np.stack([laplace_codes(2 * seed, 17), laplace_codes(2 * seed + 1, 17)])
    codes[0, 3, 2], codes[1, 5, 2], codes[0, 0, 11] = 4000, -escape.VALUE_MAX, 7
    payload = coder.encode(codes, tables, 0)
    decoder, encoder = PlainDecoder(payload), PlainEncoder()

    def draw(edges: list[int]) -> int:
        symbol = decoder.symbol(edges)
        encoder.symbol(edges, symbol)
        return symbol

    for component, row in enumerate(tables.rows(0, 12)):
        low, counts = tables.row(int(row))
        edges = edges_of(counts.tolist())
        for channel in (0, 1):
            values = [draw(edges) + low for _ in range(17)]
            high = low + len(counts) - 1
            places = [place for place, value in enumerate(values) if value == high]
            classes = [draw(edges_of(list(escape.CLASS_COUNTS))) for _ in places]
            for place, size in zip(places, classes, strict=True):
                number = 1
                for _ in range(size):
                    number = 2 * number + draw([0, 2**23, 2**24])
                distance = (number - 1) // 2
                values[place] = high + distance if number % 2 else low - 1 - distance
            assert values == codes[channel, :, component].tolist()
    assert encoder.payload() == payload
