"""Resampling: exact lengths, no delay, and no trace of how the input was cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import tone
from hypothesis import given, settings
from hypothesis import strategies as st

from ravecodec.resample import Resampler, resample, resampled_length

RATES = [1000, 8000, 11025, 22050, 37801, 44100, 48000, 88200, 96000, 192000, 768000]


def whole(audio: np.ndarray, source: int, target: int) -> np.ndarray:
    resampler = Resampler(source, target, audio.shape[1])
    return np.concatenate([resampler.push(audio), resampler.flush()])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("up", [True, False])
def test_length_is_exact(rate: int, up: bool) -> None:
    source, target = (rate, 48000) if up else (48000, rate)
    for samples in (1, 2, 47, 48, 49, 1000, 12347):
        out = whole(np.ones((samples, 2), np.float32) * 0.1, source, target)
        assert out.shape == (resampled_length(samples, source, target), 2)
        assert out.dtype == np.float32


def test_length_covers_the_input() -> None:
    assert resampled_length(44100, 44100, 48000) == 48000
    assert resampled_length(1, 44100, 48000) == 2
    assert resampled_length(3, 96000, 48000) == 2
    big = 10**15  # no float would keep this exact
    assert resampled_length(big + 1, 3, 1) == (big + 3) // 3


PAIRS = [(44100, 48000), (48000, 22050)]


@given(cuts=st.lists(st.integers(0, 5000), max_size=6), pair=st.sampled_from(PAIRS))
@settings(max_examples=25)
def test_result_does_not_depend_on_the_cuts(cuts: list[int], pair: tuple[int, int]) -> None:
    audio = np.random.default_rng(7).uniform(-0.5, 0.5, (5000, 2)).astype(np.float32)
    edges = [0, *sorted(cuts), 5000]
    blocks = [audio[a:b] for a, b in itertools.pairwise(edges)]
    out = np.concatenate(list(resample(blocks, *pair, channels=2)))
    assert np.array_equal(out, whole(audio, *pair))


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000, 768000])
def test_a_tone_keeps_its_place_and_shape(rate: int) -> None:
    out = whole(tone(0.5, rate, pitch=1000), rate, 48000)
    inner = slice(4000, 20000)
    assert np.abs(out - tone(0.5, 48000, pitch=1000))[inner].max() < 1e-5


def test_what_lies_above_the_lower_nyquist_is_gone() -> None:
    out = whole(tone(0.5, 48000, pitch=15000), 48000, 22050)
    assert np.abs(out[2000:-2000]).max() < 1e-5


def test_there_and_back_gives_the_sound_and_its_length() -> None:
    audio = tone(0.5, 44100, channels=2)[:-7]
    up = [whole(audio, 44100, 48000)]
    back = np.concatenate(list(resample(up, 48000, 44100, 2, length=len(audio))))
    assert back.shape == audio.shape
    assert np.abs(back - audio)[2000:-2000].max() < 1e-5


def test_equal_rates_pass_the_sound_through() -> None:
    audio = tone(0.1, channels=3)
    assert np.array_equal(whole(audio, 48000, 48000), audio)
