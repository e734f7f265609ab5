"""The log-mel distance: how far the spectral envelope is off, in decades of amplitude.

    D(x, y) = mean over frames t and bands b of | log10 max(M_x[t, b], ε) - log10 max(M_y[t, b], ε) |
    M[t, b] = Σ_k W[b, k] · |STFT(t, k)|

with a periodic Hann window of 2048 samples, hop 512, frames centred with reflect padding, ε = 10⁻⁵, and W 80
triangles of height 1 whose corners lie equally spaced from 0 Hz to half the rate (24 kHz at 48 kHz) on the
mel scale of O'Shaughnessy 1987, mel(f) = 2595 · log10(1 + f / 700). A gain of g dB costs g / 20.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from eval.audio import RATE, Audio
from eval.metrics.metric import Metric, per_channel
from eval.metrics.stft import magnitudes, of_original

WINDOW = 2048
HOP = 512
BANDS = 80
FLOOR = 1e-5


def log_mel_distance(original: Audio, decoded: Audio, rate: int = RATE) -> float:
    """The log-mel distance between two vectors [n] at `rate` Hz; ≥ 0, lower is better."""
    bank = filterbank(rate).T
    total, count = 0.0, 0
    for x, y in zip(of_original(original, WINDOW, HOP), magnitudes(decoded, WINDOW, HOP), strict=True):
        ratio = np.maximum(x @ bank, FLOOR) / np.maximum(y @ bank, FLOOR)
        total += float(np.abs(np.log10(ratio)).sum())
        count += ratio.size
    return total / count


def mel(frequency: Audio | float) -> Audio:
    """Hertz to mel."""
    return 2595 * np.log10(1 + np.asarray(frequency) / 700)


def hertz(mels: Audio | float) -> Audio:
    """Mel to hertz."""
    frequency: Audio = 700 * (10 ** (np.asarray(mels) / 2595) - 1)
    return frequency


@lru_cache(maxsize=4)
def filterbank(rate: int, bands: int = BANDS, window: int = WINDOW) -> Audio:
    """Triangular mel filters of height 1 over the bins of an STFT, [bands, window/2 + 1]."""
    corners = hertz(np.linspace(0.0, float(mel(rate / 2)), bands + 2))
    bins = np.arange(window // 2 + 1) * rate / window
    rise = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rise, fall))


METRIC = Metric(
    name="log_mel",
    title="Log-mel distance",
    better="lower",
    function=per_channel(log_mel_distance),
    definition="mean |log10 M_x - log10 M_y|, M = 80 mel bands of the magnitude STFT (2048/512), floor 1e-5",
    unit="decades",
)
