"""Bandwidth difference: how much of the top of the spectrum was lost, or made up.

The bandwidth of a sound is the highest frequency at which its long-term mean power spectrum (Hann 2048, hop
512) is within 80 dB of the spectrum's largest value; silence has bandwidth 0. The metric is |B(decoded) -
B(original)| in kHz. Coarse on purpose: it tells a codec that cuts at 8 kHz from one that does not. Not
defined for a silent original. This project's own measure: the one of ITU-R BS.1387 compares with the level
above 21.6 kHz, and so finds no bandwidth in full-band sound.
"""

from __future__ import annotations

import numpy as np

from eval.audio import RATE, Audio
from eval.metrics.metric import Metric, per_channel
from eval.metrics.stft import magnitudes

WINDOW = 2048
HOP = 512
RANGE_DB = 80.0
SILENT = 1e-7


def bandwidth_difference(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """The absolute difference of bandwidth of two vectors [n] at `rate` Hz, in kHz; lower is better."""
    if np.abs(original).max() < SILENT:
        return None
    return abs(bandwidth(decoded, rate) - bandwidth(original, rate)) / 1000


def bandwidth(x: Audio, rate: int = RATE) -> float:
    """The highest frequency of a vector [n] within 80 dB of its strongest, in Hz; 0 for silence."""
    if np.abs(x).max() < SILENT:
        return 0.0
    power = np.zeros(WINDOW // 2 + 1)
    # Not padded: the kink where a sound is reflected has a spectrum of its own, wider than the sound's.
    for block in magnitudes(x, WINDOW, HOP, padded=False):
        power += np.einsum("tk,tk->k", block, block)
    present = np.flatnonzero(power >= power.max() * 10 ** (-RANGE_DB / 10))
    return float(present[-1] * rate / WINDOW)


METRIC = Metric(
    name="bandwidth",
    title="Bandwidth difference",
    better="lower",
    function=per_channel(bandwidth_difference),
    definition="|difference of the highest frequency within 80 dB of the strongest, long-term spectrum|",
    unit="kHz",
)
