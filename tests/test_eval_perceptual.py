"""ViSQOL, Zimtohrli, ESTOI, pitch: known values and physics. Without a package, a metric must say how to get it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
from numpy.typing import NDArray

from eval.audio import RATE, resample
from eval.errors import Unavailable
from eval.metrics import METRICS, pitch, select

Array = NDArray[np.float64]


def measured(name: str, original: Array, decoded: Array) -> float | None:
    """The metric's value; where its package is missing, that it says so, and no value."""
    if METRICS[name].missing:
        with pytest.raises(Unavailable, match="pip install"):
            select([name])
        return None
    return METRICS[name](original, decoded)


def note(hertz: float | Array, seconds: float = 1.0) -> Array:
    """A harmonic tone of this (possibly moving) pitch, like a bowed string."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, time.shape)) / RATE
    tone = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 12))
    ramp = np.minimum(1, np.minimum(time, time[::-1]) / 0.05)  # it swells and fades in 50 ms
    faded: Array = tone * ramp
    return faded


def noise(samples: int, level: float = 0.1, seed: int = 0) -> Array:
    return level * np.random.default_rng(seed).standard_normal(samples)


def low_pass(x: Array, hertz: float) -> Array:
    filtered: Array = scipy.signal.sosfiltfilt(scipy.signal.butter(8, hertz, fs=RATE, output="sos"), x)
    return filtered


@pytest.fixture(scope="module")
def music() -> Array:
    """A second and a half of real music: ViSQOL's regression is not monotone on sounds made by formula."""
    wav, rate = soundfile.read(Path(__file__).parents[1] / "examples" / "urban-bolero.ogg", always_2d=True)
    part: Array = resample(wav[:, :1], rate, RATE)[2 * RATE : 7 * RATE // 2, 0]
    return part


@pytest.mark.parametrize("name", ["visqol", "zimtohrli"])
def test_a_narrower_band_and_more_noise_score_less(name: str, music: Array) -> None:
    """The order of MUSHRA's anchors and of rising noise, which each of these scores must reproduce."""
    bands = [measured(name, music, low_pass(music, cutoff)) for cutoff in (3500, 7000, 16_000)]
    assert bands == [None] * 3 or (bands == sorted(bands) and len(set(bands)) == 3)
    noisy = [measured(name, music, music + noise(len(music), level)) for level in (0.1, 0.01, 0.001)]
    assert noisy == [None] * 3 or (noisy == sorted(noisy) and len(set(noisy)) == 3)


def test_both_forgive_a_gain(music: Array) -> None:
    """What their descriptions say, and what loudness is measured for: -12 dB costs nothing, or next to nothing."""
    first, second = (measured(name, music, music / 4) for name in ("visqol", "zimtohrli"))
    assert first is None or first == pytest.approx(4.732, abs=1e-3)
    assert second is None or 4.8 < second < 5


@pytest.mark.parametrize("cents", [-150.0, 10.0, 300.0])
@pytest.mark.parametrize("hertz", [110.0, 330.0])
def test_a_pitch_shift_is_measured_in_cents(cents: float, hertz: float) -> None:
    original, shifted = note(hertz), note(hertz * 2 ** (cents / 1200))
    error = measured("f0", original, shifted)
    assert error is None or error == pytest.approx(abs(cents), abs=2)
    assert measured("gross_pitch", original, shifted) in (None, 0)
    changed = measured("voicing", original, shifted)
    assert changed is None or changed < 3


def test_the_track_is_the_pitch() -> None:
    if METRICS["f0"].missing:
        return
    time = np.arange(2 * RATE) / RATE
    glide = 150 * 2 ** (time / 2)
    found = pitch.track(note(glide, 2.0))
    voiced = found > 0
    assert voiced.mean() > 0.95
    expected = np.interp(np.arange(len(found)) * pitch.PERIOD_MS / 1000, time, glide)
    assert np.median(np.abs(1200 * np.log2(found[voiced] / expected[voiced]))) < 2
    assert np.mean(pitch.track(noise(2 * RATE)) > 0) < 0.05


def test_an_octave_is_a_gross_error_and_a_semitone_is_none() -> None:
    original = note(200.0)
    octave = measured("gross_pitch", original, note(400.0))
    assert octave is None or octave == pytest.approx(100, abs=3)
    assert measured("gross_pitch", original, note(200.0 * 2 ** (1 / 12))) in (None, 0)
    mixed = np.concatenate([note(200.0, 0.5), note(400.0, 0.5)])
    half = measured("gross_pitch", original, mixed)
    assert half is None or half == pytest.approx(50, abs=5)


@pytest.mark.parametrize("instead", [np.zeros, lambda samples: noise(samples, 0.05)])
def test_lost_voicing_is_a_voicing_error_and_no_pitch_error(instead: Callable[[int], Array]) -> None:
    """Half of the voice turned into silence or noise: half of the frames, and F0 right where there is one."""
    original, decoded = note(180.0, 2.0), note(180.0, 2.0)
    decoded[RATE:] = instead(RATE)
    lost = measured("voicing", original, decoded)
    assert lost is None or lost == pytest.approx(50, abs=4)
    assert (measured("f0", original, decoded) or 0) < 30  # but for the frames at the edge
    louder = [measured("voicing", original, original + noise(len(original), level)) for level in (0.003, 0.3)]
    assert louder == [None] * 2 or (louder[0] or 0) < (louder[1] or 0)
    # Nothing voiced is left: there is no pitch to compare, which is not the same as no error.
    assert measured("f0", original, np.zeros_like(original)) is None
    assert measured("voicing", np.zeros_like(original), original) is None


def plain_estoi(x: Array, y: Array) -> float:
    """Jensen and Taal's formulas for sounds at 10 kHz without a silent frame: their bands, segments and two norms."""
    window = np.hanning(258)[1:-1]
    spectra = [
        np.array([np.fft.rfft(signal[at : at + 256] * window, 512) for at in range(0, len(signal) - 256, 128)])
        for signal in (x, y)
    ]
    centres = 150 * 2 ** (np.arange(15) / 3)
    bins = np.arange(257) * 10_000 / 512
    edges = [[np.abs(bins - centre * 2 ** (side / 6)).argmin() for side in (-1, 1)] for centre in centres]
    bands = [np.sqrt([(np.abs(s[:, low:high]) ** 2).sum(1) for low, high in edges]) for s in spectra]

    def normal(part: Array, axis: int) -> Array:
        centred = part - part.mean(axis=axis, keepdims=True)
        unit: Array = centred / np.linalg.norm(centred, axis=axis, keepdims=True)
        return unit

    segments = range(30, bands[0].shape[1] + 1)
    parts = [[normal(normal(band[:, end - 30 : end], 1), 0) for end in segments] for band in bands]
    return float(np.mean([(a * b).sum() / 30 for a, b in zip(*parts, strict=True)]))


@pytest.mark.parametrize("level", [0.01, 0.03, 0.1])
def test_estoi_against_its_formulas(level: float) -> None:
    """Noise that swells and fades in bands, never to silence; the two differ in their resamplers and edges only."""
    time = np.arange(3 * RATE) / RATE
    bands = [np.sin(2 * np.pi * f * time + 5 * np.sin(2 * np.pi * f / 200 * time)) for f in (200, 430, 900, 2100, 3700)]
    swell = [0.1 * (1.2 + np.sin(2 * np.pi * (1 + 0.7 * k) * time)) for k in range(5)]
    clean = sum(s * b for s, b in zip(swell, bands, strict=True)) + noise(3 * RATE, 0.003)
    noisy = clean + noise(3 * RATE, level, seed=1)
    expected = plain_estoi(*(resample(each, RATE, 10_000) for each in (clean, noisy)))
    assert 0.1 < expected < 0.97
    assert METRICS["estoi"](clean, noisy) == pytest.approx(expected, abs=0.01)
