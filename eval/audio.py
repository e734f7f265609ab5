"""Sound as the measurement sees it: float arrays [n, ch] at one rate."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Audio: TypeAlias = NDArray[np.floating[Any]]
"""Samples [n, ch] (or [n] where a docstring says so), full scale ±1."""

RATE = 48_000
"""The rate at which everything is compared, in Hz."""


def resample(wav: Audio, rate: int, to: int) -> Audio:
    """The sound [n, ch] at `rate` Hz brought to `to` Hz by soxr (very high quality); same dtype."""
    if rate == to:
        return wav
    import soxr

    resampled: Audio = soxr.resample(wav, rate, to, quality="VHQ")
    return resampled


def columns(wav: Audio) -> Audio:
    """The sound as [n, ch]: a vector [n] becomes one channel."""
    return wav[:, None] if wav.ndim == 1 else wav
