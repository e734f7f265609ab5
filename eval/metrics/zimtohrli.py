"""Zimtohrli: a psychoacoustic distance near the just noticeable difference, as a mean opinion score.

Alakuijala, Bruse et al. 2025, "Zimtohrli: an efficient psychoacoustic audio similarity metric" (arXiv
2509.26133), by their package zimtohrli. 128 rotating-phasor filters from 18 Hz to 20 kHz at 48 kHz, loudness,
then NSIM of the two spectrograms; the distance is mapped to a MOS from 1 to 5 (identity) by the package.

Alignment: the package warps time (DTW) between the spectrograms, 84 steps a second, with a cost for warping. That
is part of its definition and cannot be switched off: small errors of timing cost little. So do levels: -12 dB
cost 0.05 to 0.08.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from eval.audio import RATE, Audio, resample
from eval.errors import Unavailable
from eval.metrics.metric import Metric, per_channel

SHORTEST_SECONDS = 0.5
"""Under this the warping finds a good place for anything: independent noises score 4.9 at 0.1 s."""
SILENT = 1e-7


def zimtohrli_mos(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """Zimtohrli's mean opinion score of two vectors [n] at `rate` Hz, 1 to 5; None under 0.5 s or for silence."""
    x, y = resample(original, rate, RATE), resample(decoded, rate, RATE)
    if len(x) < SHORTEST_SECONDS * RATE or np.abs(x).max() < SILENT:
        return None
    package = _package()
    return float(package.mos_from_zimtohrli(package.Pyohrli().distance(x, y)))


@lru_cache(maxsize=1)
def _package() -> Any:
    try:
        import zimtohrli
    except ImportError as error:
        raise Unavailable(f"Zimtohrli is not installed: {METRIC.install}") from error
    return zimtohrli


METRIC = Metric(
    name="zimtohrli",
    title="Zimtohrli",
    better="higher",
    function=per_channel(zimtohrli_mos),
    definition="mean opinion score from the Zimtohrli distance at 48 kHz (package zimtohrli; it warps time)",
    unit="MOS",
    packages=("zimtohrli",),
    extra="perceptual",
)
