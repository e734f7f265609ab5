"""The trained context network: it finds what predicts, in integers as in floats, and the same one every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bitstream import Tables, coder
from bitstream.tables import CHOSEN
from ravecodec.modelfile import load_model
from ravecodec.stereo import parted
from ravecodec.training.calibrate import beginning_of
from ravecodec.training.context import Beginning, ContextOptions, fit_tables
from ravecodec.training.contextnet import ContextNet, to_integers, turned
from ravecodec.training.stereo import NARROWEST, WIDEST, pair, stage

STEPS = [-4, 0, 4]
OPTIONS = ContextOptions(hidden=12, updates=150, passes=200, batch=8)


def source(seed: int, frames: int) -> np.ndarray:
    """Latents [1, frames, 6]: one that moves slowly, four whose loudness it tells, one that is always small."""
    dice = np.random.default_rng(seed)
    slow = np.zeros(frames)
    for t in range(1, frames):
        slow[t] = 0.95 * slow[t - 1] + dice.normal()
    loud = np.exp(0.35 * slow)[:, None]
    quiet = 0.01 * dice.normal(size=(frames, 1))
    return np.concatenate([slow[:, None], loud * dice.laplace(size=(frames, 4)), quiet], 1)[None]


@pytest.fixture(scope="module")
def tables() -> Tables:
    torch.set_num_threads(1)
    return fit_tables([source(0, 3000), source(1, 3000)], STEPS, OPTIONS)


def packets(step: int) -> list[np.ndarray]:
    codes = np.rint(source(9, 1280) / 2 ** (step / 8)).astype(np.int32)
    return [codes[:, first : first + 64] for first in range(0, 1280, 64)]


def test_it_beats_fixed_rows_on_sound_it_has_not_seen(tables: Tables) -> None:
    latents = np.concatenate([source(0, 3000), source(1, 3000)], 1)[0]
    fixed = Tables.fit({step: np.rint(latents / 2 ** (step / 8)).astype(int) for step in STEPS})
    for step in STEPS:
        before, after = (sum(t.component_bits(p, step) for p in packets(step)) for t in (fixed, tables))
        assert after.sum() < 0.9 * before.sum()
        assert after[0] < 0.75 * before[0]  # 0.95 from frame to frame


def test_what_never_happens_keeps_a_fixed_row(tables: Tables) -> None:
    assert tables.row_of[0].tolist() == [CHOSEN] * 5 + [tables.row_of[0, 5]]
    assert tables.row_of[0, 5] >= 0


def test_payloads_are_as_small_as_the_bits_say(tables: Tables) -> None:
    for codes in packets(0):
        payload = coder.encode(codes, tables, 0)
        assert len(payload) <= 1.01 * tables.bits(codes, 0) / 8 + 3
        assert np.array_equal(coder.decode(payload, tables, 0, codes.shape), codes)


def test_packets_of_one_frame_need_no_neighbours(tables: Tables) -> None:
    latents = np.concatenate([source(0, 3000), source(1, 3000)], 1)[0]
    fixed = Tables.fit({0: np.rint(latents).astype(int)})
    frames = [codes[:, t : t + 1] for codes in packets(0) for t in range(0, 64, 7)]
    assert sum(tables.bits(f, 0) for f in frames) < 1.1 * sum(fixed.bits(f, 0) for f in frames)


def test_what_ends_at_a_top_is_expected_as_encoders_send_it() -> None:
    """At most steps the top is no integer; tables that learned of it have the integer above in mind."""
    dice = np.random.default_rng(3)
    switch = np.repeat(dice.integers(0, 2, 750), 8) * 3.4
    latents = np.concatenate([switch[None, :, None], source(0, 6000)[..., :2]], 2)
    tops = np.array([3.4, np.inf, np.inf])
    codes = np.rint(latents)[:, :64].astype(np.int32)
    codes[..., 0] = np.where(latents[:, :64, 0] > 0, 4, 0)
    knows, does_not = (fit_tables([latents], [0], OPTIONS, tops=t).component_bits(codes, 0)[0] for t in (tops, None))
    assert knows < 0.7 * does_not


def test_more_sound_teaches_what_little_does_not() -> None:
    little = [source(0, 256)]
    alone = fit_tables(little, STEPS, OPTIONS)
    taught = fit_tables(little, STEPS, OPTIONS, [source(3, 3000), source(4, 3000).astype(np.float32)])
    assert sum(taught.bits(p, 0) for p in packets(0)) < 0.98 * sum(alone.bits(p, 0) for p in packets(0))


def test_the_same_sound_gives_the_same_tables() -> None:
    quick = ContextOptions(hidden=4, updates=20)
    parts = [source(0, 500), np.concatenate([source(1, 200), source(2, 200)])]
    assert fit_tables(parts, STEPS, quick).id == fit_tables(parts, STEPS, quick).id


def test_a_switch_that_comes_later_switches_nothing() -> None:
    quick = ContextOptions(hidden=4, updates=20)
    found = fit_tables([source(0, 500)], STEPS, quick, switches=np.array([1, -1, 5, 0, 2, -1])).context
    assert found is not None and found.switches.tolist() == [-1, -1, -1, 0, 2]  # the sixth is always small


def test_too_little_sound_gives_fixed_rows() -> None:
    assert fit_tables([source(0, 20)], STEPS).context is None
    assert fit_tables([np.zeros((1, 500, 3))], STEPS).context is None


def test_what_is_on_a_stage_is_heard_in_both_channels_and_not_the_same() -> None:
    dice = np.random.default_rng(0)
    first, second = dice.normal(size=(2, 48000)).astype(np.float32) * 0.1
    left, right = stage(first, second[:30000], 48000, dice).T
    assert left.shape == (48000,) and 0.3 < np.square(left).mean() / np.square(right).mean() < 3
    assert 0.1 < np.corrcoef(left, right)[0, 1] < 0.9999
    assert stage(first, second[:0], 48000, dice).shape == (48000, 2)
    wide = [pair(first, second, 48000, dice) for _ in range(30)]
    decibels = [10 * np.log10(np.square(x.sum(1)).mean() / np.square(x[:, 0] - x[:, 1]).mean()) for x in wide]
    assert WIDEST < min(decibels) < 5 and 20 < max(decibels) < NARROWEST


def test_a_second_channel_costs_what_tells_it_from_the_first() -> None:
    def both(seed: int, apart: float) -> np.ndarray:
        left = source(seed, 3000)
        return np.concatenate([left, left + apart * source(seed + 50, 3000)])

    torch.set_num_threads(1)
    learned = fit_tables([both(0, 0.2), both(1, 0.2)], STEPS, OPTIONS)
    codes = [np.rint(parted(each)).astype(int) for each in (both(9, 0.2), both(9, 0.0))]
    bits = []
    for each in codes:
        parts = [each[:, first : first + 64] for first in range(0, 2944, 64)]
        bits.append(sum(learned.bits(part, 0) for part in parts))
        for part in parts[:3]:
            assert np.array_equal(coder.decode(coder.encode(part, learned, 0), learned, 0, part.shape), part)
    once = sum(learned.bits(codes[1][:1, first : first + 64], 0) for first in range(0, 2944, 64))
    assert once < bits[1] < bits[0] < 1.7 * once


def test_a_network_goes_on_from_what_another_knows(tables: Tables) -> None:
    """Few updates from there are worth more than from nothing; components may stand elsewhere, or be new."""
    torch.set_num_threads(1)
    few = replace(OPTIONS, updates=20)
    anew = np.array([5, 1, 2, -1, 0, 4])  # what was the first component is the fifth; the fourth is new
    turned = [part[..., [5, 1, 2, 3, 0, 4]] for part in (source(0, 3000), source(1, 3000))]

    def cost(learned: Tables) -> float:
        return sum(learned.bits(p[..., [5, 1, 2, 3, 0, 4]], 0) for p in packets(0))

    known = cost(fit_tables(turned, STEPS, few, beginning=Beginning(tables, anew)))
    same = fit_tables([source(0, 3000), source(1, 3000)], STEPS, few, beginning=Beginning(tables, np.arange(6)))
    assert known < 0.97 * cost(fit_tables(turned, STEPS, few))
    assert sum(same.bits(p, 0) for p in packets(0)) < 1.05 * sum(tables.bits(p, 0) for p in packets(0))
    with pytest.raises(ValueError, match="hidden units"):
        fit_tables(turned, STEPS, replace(few, hidden=8), beginning=Beginning(tables, anew))


def test_components_are_known_again_wherever_they_stand() -> None:
    basis = load_model("default").basis
    assert basis is not None
    order = np.random.default_rng(0).permutation(len(basis.mean))
    vectors = basis.vectors[order]
    vectors[7] = np.roll(vectors[7], 1)  # this one is another latent now
    found = beginning_of(replace(basis, vectors=vectors), "default")
    known = np.delete(np.arange(len(order)), 7)
    assert np.array_equal(found.numbers[known], order[known]) and found.context.components.size


def melody(seed: int, frames: int) -> np.ndarray:
    """Latents [1, frames, 3]: a switch, what goes on or leaps and, while it is off, takes straight lines, and noise."""
    dice = np.random.default_rng(seed)
    on = np.repeat(dice.integers(0, 2, frames // 10), 10)
    line = np.where(dice.random(frames) < 0.05, dice.normal(0, 30, frames), dice.normal(0, 0.4, frames)).cumsum()
    held = np.interp(np.arange(frames), np.flatnonzero(on), (line % 40 - 20)[on > 0])
    return np.stack([4.0 * on, held, dice.laplace(size=frames)], 1)[None]


def test_what_is_switched_off_costs_nothing_and_leaps_have_rows_of_their_own() -> None:
    torch.set_num_threads(1)
    parts, switches = [melody(0, 4000), melody(1, 4000)], np.array([-1, 0, -1])
    knows, does_not = (fit_tables(parts, STEPS, OPTIONS, switches=each) for each in (switches, None))
    codes = np.rint(melody(9, 640)).astype(int)
    off = codes[0, :, 0] <= 0
    assert 0.3 < off.mean() < 0.7
    bits = []
    for learned in (knows, does_not):
        sent = learned.switched(codes)
        assert np.array_equal(sent == codes, np.ones_like(codes)) == (learned is does_not)
        bits.append(sum(learned.component_bits(sent[:, first : first + 64], 0) for first in range(0, 640, 64)))
    assert bits[0][1] < 0.85 * bits[1][1] and bits[0].sum() < 0.95 * bits[1].sum()
    assert knows.context is not None and knows.context.switches.tolist() == [-1, 0, -1]
    # From step to step a scale grows evenly, and with it the class: from the other end for what is switched on.
    assert (np.diff(knows.context.level, axis=0) > 0).any(0).tolist() == [False, True, False]


@pytest.mark.parametrize("switches", [None, np.array([-1, -1, 0, -1, 1])], ids=["plain", "switched"])
def test_what_it_begins_with_is_what_was_stored(tables: Tables, switches: np.ndarray | None) -> None:
    stored = tables.context
    assert stored is not None
    net = ContextNet(np.ones(5), OPTIONS.hidden, 0, switches)
    if switches is not None:
        stored = turned(replace(stored, switch=switches), switches >= 0)
    net.begin_from(stored, STEPS, np.arange(5))
    again = to_integers(net, stored.components, STEPS, stored.bank).to_arrays()
    for name, array in stored.to_arrays().items():
        assert np.allclose(again[name], array, rtol=1e-4, atol=1), name
        assert name in ("context_normal", "context_scale", "context_level") or np.array_equal(again[name], array), name
