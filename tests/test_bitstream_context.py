"""The context network: exact, restarting in every packet, looking only where a decoder can look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from context_streams import agree, flat, random_codes, random_context, random_file, random_rows, random_tables

from bitstream import ModelError, Tables, coder
from bitstream.context import Context, features
from bitstream.errors import CorruptError
from bitstream.escape import VALUE_MAX
from bitstream.order import STRIDE, order
from bitstream.predict import Predictor, Weights, largest_sum
from bitstream.reference import decoder as reference
from bitstream.tables import CHOSEN


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17, 40, 64, 65, 1024])
def test_every_frame_comes_once_and_after_its_neighbours(length: int) -> None:
    found = order(length)
    assert sorted(found.frames.tolist()) == list(range(length)) and found.ends[-1] == length
    first = 0
    known: set[int] = set()
    for number, last in enumerate(found.ends):
        distance = STRIDE >> number if number else 0
        for place in range(first, last):
            frame = int(found.frames[place])
            wanted = {frame + j * distance for j in (-1, 1, -3, 3)} if number else set()
            assert {w for w in wanted if 0 <= w < length} <= known
        known |= set(found.frames[first:last].tolist())
        first = last


def test_features_are_the_formula() -> None:
    table = features()
    for number in range(-4095, 4096, 7):
        size = abs(number) + 4
        power = size.bit_length() - 1
        expected = min(max(number, -127), 127), min(16 * power + (16 * size >> power) - 48, 127)
        assert tuple(table[number + 4095]) == expected
    assert (np.diff(table[4095:, 1]) >= 0).all() and table[4095, 1] == 0


@pytest.mark.parametrize("extreme", [False, True])
def test_any_network_and_any_integers_agree_with_the_reference(extreme: bool) -> None:
    assert all(agree(seed, extreme) for seed in range(120))


def test_the_reference_refuses_what_is_damaged() -> None:
    data, tables, codes = random_file(6)
    assert codes.size
    for place in range(0, len(data), 3):
        with pytest.raises(reference.Invalid):
            reference.decode(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :], flat(tables))
    for size in range(len(data)):
        with pytest.raises(reference.Invalid):
            reference.decode(data[:size], flat(tables))


def test_lower_components_do_not_depend_on_higher_ones() -> None:
    for seed in range(30):
        dice = np.random.default_rng(seed)
        tables = random_tables(dice)
        codes = tables.switched(random_codes(dice, (2, 33, tables.components)))
        step = int(tables.steps[0])
        whole = tables.component_bits(codes, step)
        for count in range(1, tables.components):
            assert np.allclose(tables.component_bits(codes[..., :count], step), whole[:count])


def test_bits_are_what_is_paid() -> None:
    over = []
    for seed in range(40):
        dice = np.random.default_rng(seed)
        tables = random_tables(dice)
        codes = tables.switched(random_codes(dice, (1, 64, tables.components)))
        step = int(tables.steps[0])
        payload = coder.encode(codes, tables, step)
        over.append(len(payload) - tables.bits(codes, step) / 8)
        assert len(payload) <= tables.bits(codes, step) / 8 * 1.01 + 3
    assert np.mean(over) < 1


def test_any_bytes_decode_or_raise_a_typed_error() -> None:
    for seed in range(200):
        dice = np.random.default_rng(seed)
        tables = random_tables(dice, extreme=seed % 2 == 0)
        try:
            codes = coder.decode(dice.bytes(40), tables, int(tables.steps[0]), (2, 9, tables.components))
        except CorruptError:
            continue
        assert codes.shape == (2, 9, tables.components) and np.abs(codes).max() < 1 << 20


@pytest.mark.parametrize("extreme", [False, True])
def test_packets_side_by_side_are_as_packets_alone(extreme: bool) -> None:
    for seed in range(40):
        dice = np.random.default_rng(seed)
        tables = random_tables(dice, extreme)
        shape = int(dice.integers(1, 3)), int(dice.integers(1, 40)), tables.components
        step = int(dice.choice(tables.steps))
        codes = tables.switched(random_codes(dice, (int(dice.integers(2, 7)), *shape)))
        alone = [coder.encode(packet, tables, step) for packet in codes]
        assert coder.encode_all(codes, tables, step) == alone
        # What is damaged does not touch what stands beside it.
        number = int(dice.integers(len(alone)))
        payloads = [*alone[:number], dice.bytes(9), b"\0", *alone[number:]]
        found = coder.decode_all(payloads, tables, step, shape)
        assert found.pop(number + 1) is None
        noise = found.pop(number)
        try:
            assert np.array_equal(coder.decode(payloads[number], tables, step, shape), noise)
        except CorruptError:
            assert noise is None
        assert np.array_equal(found, codes)


def test_single_precision_says_what_double_does(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    for seed in range(40):
        dice = np.random.default_rng(seed)
        tables = random_tables(dice)
        if tables.context is None:
            continue
        codes = tables.switched(random_codes(dice, (3, 2, 33, tables.components)))
        step = int(tables.steps[0])
        kinds.append(Weights(tables.context).kind)
        with monkeypatch.context() as patch:
            patch.setattr("bitstream.predict.largest_sum", lambda context: 1 << 24)
            wide = Tables.from_arrays(tables.to_arrays())
        assert wide.context is not None and wide.id == tables.id
        for one, other in zip(tables.lines(codes, step), wide.lines(codes, step), strict=True):
            assert np.array_equal(one.rows, other.rows) and np.array_equal(one.low, other.low)
    assert kinds.count(np.float32) > 10


def test_how_many_components_tell_together_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(3)
    bank = dice.integers(0, 4, (5, 8))
    context = random_context(dice, 1, np.arange(1, 21), bank, 6)
    rows = random_rows(dice, 4, 2)
    codes = random_codes(dice, (3, 2, 33, 22))
    found = []
    for block in (1, 3, 8, 40):
        monkeypatch.setattr("bitstream.predict.BLOCK", block)
        tables = Tables(
            [0], [[0, *[CHOSEN] * 20, 1]], [low for low, _ in rows], [len(c) for _, c in rows],
            [n for _, c in rows for n in c], context,
        )  # fmt: skip
        codes = tables.switched(codes)
        payloads = coder.encode_all(codes, tables, 0)
        decoded = coder.decode_all(payloads, tables, 0, (2, 33, 22))
        assert all(one is not None and np.array_equal(one, packet) for one, packet in zip(decoded, codes, strict=True))
        found.append(payloads)
    assert all(payloads == found[0] for payloads in found)


def test_no_sum_of_a_network_exceeds_its_bound() -> None:
    for seed in range(60):
        dice = np.random.default_rng(seed)
        tables = random_tables(dice, extreme=seed % 2 == 0)
        context = tables.context
        if context is None:
            continue
        predictor = Predictor(Weights(context), 0, int(tables.steps[0]), (2, 2, 20, tables.components), True)
        bound = largest_sum(context)
        for component in context.components.tolist():
            for channel in range(2):
                predictor.open(component, channel)
                predictor.put(0, 20, dice.choice([-VALUE_MAX, VALUE_MAX], size=(2, 20)))
                predictor.rows(0, 20)
                predictor.close()
                assert max(np.abs(told).max() for told in (predictor._sums, predictor._later, predictor._base)) <= bound


def small(parts: int = 2) -> tuple[dict[str, np.ndarray], Tables]:
    dice = np.random.default_rng(1)
    rows = [*random_rows(dice, 2, 2), (0, [1 << 15])]
    context = random_context(dice, 1, np.arange(parts), np.zeros((1, 8), int), 3)
    tables = Tables(
        [0], [[CHOSEN] * parts], [low for low, _ in rows], [len(c) for _, c in rows], [n for _, c in rows for n in c],
        context,
    )  # fmt: skip
    return tables.to_arrays(), tables


def test_the_id_depends_on_every_array() -> None:
    arrays, tables = small()
    ids = {tables.id}
    for name in sorted(arrays):
        if name.startswith("context_") and name != "context_components":
            changed = arrays[name].copy()
            changed.flat[0] ^= 1
            ids.add(Tables.from_arrays({**arrays, name: changed}).id)
    assert len(ids) == 12


@pytest.mark.parametrize("name", [f"context_{field}" for field in Context.__dataclass_fields__ if field != "switch"])
def test_damaged_networks_are_a_typed_error(name: str) -> None:
    arrays, _ = small()
    wide = {k: v.astype(np.int64) for k, v in arrays.items()}
    bad = [
        {k: v for k, v in wide.items() if k != name},
        {**wide, name: wide[name][..., :0]},
        {**wide, name: wide[name] + (1 << 40)},
        {**wide, name: wide[name].astype(float)},
        {**wide, name: wide[name].ravel()[None, None, None]},
    ]
    for changed in bad:
        with pytest.raises(ModelError):
            Tables.from_arrays(changed)


def test_a_switch_comes_before_what_it_switches_and_may_be_missing() -> None:
    arrays, _ = small()
    plain = Tables.from_arrays(arrays)
    assert plain.context is not None
    count = len(plain.context.components)
    none = Tables.from_arrays({**arrays, "context_switch": np.full(count, -1)})
    assert none.id == plain.id and "context_switch" not in none.to_arrays()
    one = np.full(count, -1)
    one[-1] = 0
    switched = Tables.from_arrays({**arrays, "context_switch": one})
    assert switched.id != plain.id and Tables.from_arrays(switched.to_arrays()).id == switched.id
    for wrong in (one + count, one - 2, one[1:], one.astype(float), np.arange(count)):
        with pytest.raises(ModelError):
            Tables.from_arrays({**arrays, "context_switch": wrong})


def switched_tables(seed: int) -> tuple[Tables, np.ndarray, np.ndarray]:
    """Tables of a network for four components, of which the first switches the second and the third, and integers
    [3, 2, 37, 4] of linked channels and of others.
    """
    dice = np.random.default_rng(seed)
    context = random_context(dice, 1, np.arange(4), dice.integers(0, 4, (5, 8)), 6)
    rows = random_rows(dice, 4, 2)
    tables = Tables(
        [0], [[CHOSEN] * 4], [low for low, _ in rows], [len(c) for _, c in rows], [n for _, c in rows for n in c],
        replace(context, switch=np.array([-1, 0, 0, -1])),
    )  # fmt: skip
    codes = np.rint(dice.laplace(size=(3, 2, 37, 4)) * 2).astype(np.int32)
    return tables, tables.switched(codes), tables.switched(codes, False)


def test_what_is_switched_off_is_zero_and_costs_nothing() -> None:
    for seed in range(10):
        tables, linked, apart = switched_tables(seed)
        for codes, are in ((linked, True), (apart, False)):
            payloads = coder.encode_all(codes, tables, 0, are)
            found = coder.decode_all(payloads, tables, 0, codes.shape[1:], are)
            assert all(np.array_equal(a, b) for a, b in zip(found, codes, strict=True) if a is not None)
            on = codes[:, :1, :, 0] > 0 if are else codes[..., 0] > 0
            assert not codes[..., 1:3][~np.broadcast_to(on, codes.shape[:3])].any() and codes[..., 3].any()
            silent = np.where(np.arange(4) == 0, -np.abs(codes), codes)
            bits = tables.component_bits(tables.switched(silent, are)[0], 0, are)
            assert bits[1] == bits[2] == 0 < bits[3]
        # What would be lost is refused.
        with pytest.raises(ValueError, match=r"component [12] is not 0"):
            coder.encode_all(linked + (np.arange(4) == 1), tables, 0)


def test_what_the_network_chooses_and_its_bank_must_fit() -> None:
    arrays, _ = small()
    for change in (
        {"row_of": np.array([[CHOSEN, 0]])},
        {"row_of": np.array([[CHOSEN, CHOSEN, CHOSEN]])},
        {"context_components": np.array([0, 2])},
        {"context_components": np.array([1, 0])},
        {"context_bank": np.full((1, 8), 2)},
        {"context_bank": np.full((1, 8), 3)},
        {"steps": np.array([0, 1]), "row_of": np.full((2, 2), CHOSEN)},
    ):
        with pytest.raises(ModelError):
            Tables.from_arrays({**arrays, **change})
    with pytest.raises(ModelError):
        Tables.from_arrays({k: v for k, v in arrays.items() if not k.startswith("context_")})
