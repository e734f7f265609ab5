"""SI-SDR: a diagnostic of the waveform, never a headline for a codec that keeps no phase.

Le Roux et al. 2019, "SDR - half-baked or well done?", ICASSP (arXiv 1811.02508): with α = ⟨y, x⟩ / ‖x‖²,

    SI-SDR = 10 · log10( ‖αx‖² / ‖αx - y‖² )   in dB,

no mean removed, cut to ±100 dB so that identity and silence stay finite. Not defined for a silent original.
"""

from __future__ import annotations

import numpy as np

from eval.audio import RATE, Audio
from eval.metrics.metric import Metric, per_channel

LIMIT_DB = 100.0


def si_sdr(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """The scale-invariant signal-to-distortion ratio of two vectors [n] in dB, within ±100."""
    energy = float(np.vdot(original, original))
    if energy == 0.0:
        return None
    target = float(np.vdot(decoded, original)) / energy * original
    signal, distortion = float(np.vdot(target, target)), float(np.sum((target - decoded) ** 2))
    if signal == 0.0:
        return -LIMIT_DB
    if distortion == 0.0:
        return LIMIT_DB
    return float(np.clip(10 * np.log10(signal / distortion), -LIMIT_DB, LIMIT_DB))


METRIC = Metric(
    name="si_sdr",
    title="SI-SDR",
    better="higher",
    function=per_channel(si_sdr),
    definition="scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), within ±100 dB",
    unit="dB",
)
