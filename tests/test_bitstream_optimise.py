"""Rate-distortion optimised quantisation: cheaper integers, never far ones, and the same format."""

from __future__ import annotations

import numpy as np
import pytest
from context_streams import random_tables

from bitstream import ModelError, Tables, coder
from bitstream.optimise import REACH, optimise, optimise_coded


def laplace(seed: int, frames: int, channels: int = 1) -> np.ndarray:
    """Unrounded codes [channels, frames, 6]."""
    spread = np.array([4, 2, 1, 0.5, 0.3, 0.1])
    found: np.ndarray = np.random.default_rng(seed).laplace(size=(channels, frames, 6)) * spread
    return found


@pytest.fixture(scope="module")
def tables() -> Tables:
    return Tables.fit({0: np.rint(laplace(0, 20000)[0]).astype(int)})


def test_without_weight_it_is_rounding(tables: Tables) -> None:
    exact = laplace(1, 70, 2)
    assert np.array_equal(optimise(exact, tables, 0, 0), np.rint(exact))


def test_a_value_becomes_one_of_the_integers_beside_it_and_never_a_far_one(tables: Tables) -> None:
    exact = laplace(1, 400)
    nearest, codes = np.rint(exact), optimise(exact, tables, 0)
    moved = codes != nearest
    assert 0.02 < moved.mean() < 0.3
    assert np.abs(codes - exact).max() <= REACH
    assert np.array_equal(optimise(nearest, tables, 0), nearest)  # an integer is what it is
    assert np.array_equal(optimise(codes + 1e-9, tables, 0, 100.0), codes)


def test_with_fixed_rows_every_choice_pays(tables: Tables) -> None:
    exact = laplace(2, 500)
    before = np.inf
    for weight in (0, 0.05, 0.1, 0.2, 0.4):
        codes = optimise(exact, tables, 0, weight)
        bits, plain = tables.bits(codes, 0), tables.bits(np.rint(exact).astype(int), 0)
        error, least = ((codes - exact) ** 2).sum(), ((np.rint(exact) - exact) ** 2).sum()
        assert error + weight * bits <= least + weight * plain + 1e-9
        assert bits <= before
        before = bits
    assert bits < 0.95 * plain


def test_packets_side_by_side_get_what_they_get_one_by_one() -> None:
    for seed in range(10):
        dice = np.random.default_rng(seed)
        tables = random_tables(dice)
        exact = dice.laplace(size=(5, 2, 37, tables.components)) * 3
        step = int(tables.steps[0])
        together = optimise(exact, tables, step)
        assert np.array_equal(together, [optimise(packet, tables, step) for packet in exact])
        assert optimise(exact[:0], tables, step).shape == (0, *exact.shape[1:])


def test_what_is_coded_on_the_way_is_what_the_chosen_integers_are_coded_to() -> None:
    for seed in range(10):
        dice = np.random.default_rng(seed)
        tables = random_tables(dice)
        exact = dice.laplace(size=(3, 2, int(dice.choice([1, 2, 37])), tables.components)) * 3
        step, linked = int(tables.steps[0]), bool(seed % 2)
        for weight in (0.0, 0.06):
            codes, payloads = optimise_coded(exact, tables, step, weight, linked)
            assert np.array_equal(codes, optimise(exact, tables, step, weight, linked))
            assert payloads == coder.encode_all(codes, tables, step, linked)
        assert optimise_coded(exact[:0], tables, step)[1] == []


def test_lower_components_choose_without_the_higher_ones() -> None:
    for seed in range(20):
        dice = np.random.default_rng(seed)
        tables = random_tables(dice)
        exact = dice.laplace(size=(2, 37, tables.components)) * 3
        step = int(tables.steps[-1])
        whole = optimise(exact, tables, step)
        assert np.array_equal(coder.decode(coder.encode(whole, tables, step), tables, step, whole.shape), whole)
        for count in range(1, tables.components):
            assert np.array_equal(optimise(exact[..., :count], tables, step), whole[..., :count])


def test_a_step_or_component_without_rows_is_refused(tables: Tables) -> None:
    with pytest.raises(ModelError):
        optimise(laplace(1, 3), tables, 1)
    with pytest.raises(ValueError):
        optimise(laplace(1, 3) * 1e9, tables, 0)
