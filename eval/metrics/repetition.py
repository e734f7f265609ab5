"""Repetition: whether the decoded sound repeats itself as much as the original, no more and no less.

A decoder that is the same network in every frame makes of a steady noise one snippet, again and again: a flutter at
the rate of its frames, which no comparison of envelopes hears. A vocoder of noise errs to the other side. Per octave
from 1 to 16 kHz and per stretch of 16384 samples under a periodic Hann window h, hop 8192 (at 48 kHz):

    r[l] = autocorrelation of the octave at lag l,   a[l] = autocorrelation of h
    R    = max over 10 ms <= l <= 100 ms of  (r[l] / r[0]) / (a[l] / a[0]), at least 0; 0 without any power
    result = Σ w |R_y - R_x| / Σ w,  w = (power of the original in octave and stretch)^0.3,
             over what lies within 50 dB of the original's loudest

0: the same; 1: a tone or a loop against noise, or the other way round. For an original that is silent throughout, or
shorter than a stretch, it is not defined. This project's own measure; there is no publication to cite.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from eval.audio import RATE, Audio
from eval.metrics.metric import Metric, per_channel

WINDOW, HOP = 16384, 8192
OCTAVES = (1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
SHORTEST, LONGEST = 0.01, 0.1  # seconds
RANGE_DB = 50.0
POWER = 0.3
FLOOR = 1e-9
"""Power below which an octave (mean square of its samples under the window) has nothing in it."""


def repetition(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """The repetition difference of two vectors [n] at `rate` Hz, 0 to 1, lower is better."""
    if len(original) < WINDOW:
        return None
    x_power, x_repeats = _octaves(original, rate)
    _, y_repeats = _octaves(decoded, rate)
    if x_power.max() < FLOOR:
        return None
    weight = np.where(x_power >= max(FLOOR, x_power.max() * 10 ** (-RANGE_DB / 10)), x_power**POWER, 0.0)
    return float(np.average(np.abs(y_repeats - x_repeats), weights=weight))


def _octaves(sound: Audio, rate: int) -> tuple[Audio, Audio]:
    """Power and repetition of every octave and stretch, both [octaves, stretches]."""
    window = np.hanning(WINDOW + 1)[:-1]
    fall = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * WINDOW)) ** 2)
    lags = slice(round(SHORTEST * rate), round(LONGEST * rate) + 1)
    fall = fall[lags] / fall[0]
    stretches = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP]
    spectra = np.abs(np.fft.rfft(stretches * window, 2 * WINDOW)) ** 2
    frequency = np.fft.rfftfreq(2 * WINDOW, 1 / rate)
    power, repeats = [], []
    for low, high in pairwise(OCTAVES):
        found = np.fft.irfft(np.where((frequency >= low) & (frequency < high), spectra, 0.0))
        whole = found[:, 0] / WINDOW
        there = whole > FLOOR
        most = (found[:, lags] / fall).max(1)
        power.append(whole)
        repeats.append(np.where(there, most / np.where(there, found[:, 0], 1.0), 0.0).clip(0, 1))
    return np.stack(power), np.stack(repeats)


METRIC = Metric(
    name="repetition",
    title="Repetition difference",
    better="lower",
    function=per_channel(repetition),
    definition="energy-weighted mean over octaves (1 to 16 kHz) and stretches (16384/8192) of the difference of the "
    "largest autocorrelation at 10 to 100 ms",
)
