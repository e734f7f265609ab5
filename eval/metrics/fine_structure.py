"""Fine-structure correlation: whether the decoded sound has the original's harmonics, not only its envelope.

Envelope distances (spectral, log-mel, ViSQOL) forgive a decoder that turns every note into shaped noise. Here
the envelope is taken away first, and what remains is compared. With S the STFT of a periodic Hann window of
4096 samples, hop 1024 (at 48 kHz), frames centred with reflect padding:

    L[t, k] = ln max(|S[t, k]|, 10⁻⁵),   R[t, k] = L[t, k] - mean of L[t, k-20 .. k+20]  (cut at the ends)
    c[t]    = Pearson correlation of R_x[t, ·] and R_y[t, ·] over the bins from 60 Hz to 8 kHz
    result  = Σ w[t] c[t] / Σ w[t],  w[t] = E[t]^0.3,  E[t] = Σ_k |S_x[t, k]|²,
              over the frames of the original whose E is within 50 dB of the loudest frame's.

1: the same harmonics; about 0: none of them. A decoded frame without any structure (silence) counts 0. For an
original that is silent throughout it is not defined. This project's own measure; there is no publication to
cite.
"""

from __future__ import annotations

import numpy as np

from eval.audio import RATE, Audio
from eval.metrics.metric import Metric, per_channel
from eval.metrics.stft import magnitudes, of_original

WINDOW = 4096
HOP = 1024
REACH = 20
LOWEST, HIGHEST = 60.0, 8000.0
RANGE_DB = 50.0
POWER = 0.3
FLOOR = 1e-5
SILENT = 1e-7
"""An original whose loudest sample is below this (-140 dB) has no structure to look for."""


def fine_structure(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """The fine-structure correlation of two vectors [n] at `rate` Hz, in [-1, 1], higher is better."""
    if np.abs(original).max() < SILENT:
        return None
    first = int(np.ceil(LOWEST * WINDOW / rate))
    last = int(np.floor(HIGHEST * WINDOW / rate))
    band = slice(first, last + 1)
    energies, correlations = [], []
    for x, y in zip(of_original(original, WINDOW, HOP), magnitudes(decoded, WINDOW, HOP), strict=True):
        energies.append(np.einsum("tk,tk->t", x, x))
        correlations.append(_correlation(residual(x)[:, band], residual(y)[:, band]))
    energy, correlation = np.concatenate(energies), np.concatenate(correlations)
    weight = np.where(energy >= energy.max() * 10 ** (-RANGE_DB / 10), energy**POWER, 0.0)
    return float(np.average(correlation, weights=weight))


def residual(magnitude: Audio) -> Audio:
    """Log magnitudes [frames, bins] minus their mean over the neighbouring ±20 bins, fewer at the ends."""
    level = np.log(np.maximum(magnitude, FLOOR))
    bins = level.shape[1]
    sums = np.concatenate([np.zeros((len(level), 1)), np.cumsum(level, axis=1)], axis=1)
    low = np.maximum(np.arange(bins) - REACH, 0)
    high = np.minimum(np.arange(bins) + REACH + 1, bins)
    return level - (sums[:, high] - sums[:, low]) / (high - low)


def _correlation(x: Audio, y: Audio) -> Audio:
    """Pearson correlation of each row of x with the same row of y; 0 where either is flat."""
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.einsum("tk,tk->t", x, x) * np.einsum("tk,tk->t", y, y))
    flat = scale < 1e-9
    return np.where(flat, 0.0, np.einsum("tk,tk->t", x, y) / np.where(flat, 1.0, scale))


METRIC = Metric(
    name="fine_structure",
    title="Fine-structure correlation",
    better="higher",
    function=per_channel(fine_structure),
    definition="energy-weighted mean over frames of the correlation of log magnitudes (4096/1024, 60 Hz to "
    "8 kHz) after their mean over ±20 bins is taken away",
)
