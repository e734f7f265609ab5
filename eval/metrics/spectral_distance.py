"""The multiscale spectral distance: the one the training minimises, and the distortion of every curve.

After Engel et al. 2020 (DDSP, arXiv 2001.04643) and Caillon and Esling 2021 (RAVE, arXiv 2111.05011, eq. 5).
The paper's logarithmic term and those of common implementations differ, so here is the one that is used, in
full:

    D(x, y) = Σ_N [ ‖|X_N| - |Y_N|‖_F / ‖|X_N|‖_F  +  mean |ln max(|X_N|, ε) - ln max(|Y_N|, ε)| ]

over the windows N = 2048, 1024, 512, 256, 128; X_N, Y_N the STFT with a periodic Hann window of N samples,
hop N/4, frames centred with reflect padding, without any normalisation; ‖·‖_F over all bins and frames; the
mean over all bins and frames; ε = 10⁻⁵; x the original, in ±1. It is 0 for x = y, and the linear terms of a
silent y add up to 5.

Where the original is silent to within ε (‖X‖_F < ε√K, K the number of bins) the linear term has no
denominator; there max(‖X‖_F, ‖Y‖_F) takes its place, so that any sound where there was none costs 1 a scale
and silence costs 0.
"""

from __future__ import annotations

import numpy as np

from eval.audio import RATE, Audio
from eval.metrics.metric import Metric, per_channel
from eval.metrics.stft import magnitudes, of_original

WINDOWS = (2048, 1024, 512, 256, 128)
FLOOR = 1e-5


def spectral_distance(original: Audio, decoded: Audio, rate: int = RATE) -> float:
    """The multiscale spectral distance of two vectors [n]; ≥ 0, lower is better. `rate` plays no part."""
    return sum(one_scale(original, decoded, window) for window in WINDOWS)


def one_scale(original: Audio, decoded: Audio, window: int) -> float:
    """One term of the sum over windows: relative linear distance plus mean logarithmic distance."""
    energy_x = energy_y = energy_difference = logarithmic = 0.0
    bins = 0
    hop = window // 4
    for x, y in zip(of_original(original, window, hop), magnitudes(decoded, window, hop), strict=True):
        energy_x += float(np.vdot(x, x))
        energy_y += float(np.vdot(y, y))
        difference = x - y
        energy_difference += float(np.vdot(difference, difference))
        ratio = np.maximum(x, FLOOR) / np.maximum(y, FLOOR)
        logarithmic += float(np.abs(np.log(ratio)).sum())
        bins += x.size
    silent = energy_x < FLOOR**2 * bins
    denominator = max(energy_x, energy_y) if silent else energy_x
    linear = np.sqrt(energy_difference / denominator) if denominator > 0 else 0.0
    return float(linear + logarithmic / bins)


METRIC = Metric(
    name="spectral_distance",
    title="Multiscale spectral distance",
    better="lower",
    function=per_channel(spectral_distance),
    definition="sum over Hann windows 2048..128 (hop a quarter) of | |X|-|Y| |_F / | |X| |_F "
    "+ mean |ln max(|X|, 1e-5) - ln max(|Y|, 1e-5)|",
)
