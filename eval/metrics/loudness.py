"""Loudness difference: how much louder or softer the decoded sound is, all channels together.

Integrated loudness by ITU-R BS.1770-4 (package pyloudnorm); |L(decoded) - L(original)| in LU. Sounds below
the standard's absolute gate of -70 LUFS count as -70, so that silence has a loudness. Not defined for sounds
shorter than one gating block (0.4 s), for more than five channels, and where the original itself is below the
gate.
"""

from __future__ import annotations

import warnings

from eval.audio import RATE, Audio
from eval.errors import Unavailable
from eval.metrics.metric import Metric

GATE = -70.0
BLOCK_SECONDS = 0.4
MOST_CHANNELS = 5


def loudness_difference(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """The absolute difference of integrated loudness of two sounds [n, ch], in LU; lower is better."""
    if len(original) < BLOCK_SECONDS * rate or original.shape[1] > MOST_CHANNELS:
        return None
    reference = integrated(original, rate)
    return abs(integrated(decoded, rate) - reference) if reference > GATE else None


def integrated(wav: Audio, rate: int = RATE) -> float:
    """The integrated loudness of a sound [n, ch] in LUFS, at least -70."""
    try:
        import pyloudnorm
    except ImportError as error:
        raise Unavailable("loudness needs the package pyloudnorm: pip install 'ravecodec[eval]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the mean of no blocks when everything is gated
        level = float(pyloudnorm.Meter(rate, block_size=BLOCK_SECONDS).integrated_loudness(wav))
    return level if level > GATE else GATE  # also for -inf and NaN


METRIC = Metric(
    name="loudness",
    title="Loudness difference",
    better="lower",
    function=loudness_difference,
    definition="|difference of integrated loudness|, ITU-R BS.1770-4 (pyloudnorm), floor -70 LUFS",
    unit="LU",
    packages=("pyloudnorm",),
)
