"""Speech measures: ESTOI (intelligibility) and PESQ wide band (quality), on speech clips only.

ESTOI: Jensen and Taal 2016, "An algorithm for predicting the intelligibility of speech masked by modulated
noise maskers", IEEE/ACM TASLP 24(11), by the package pystoi. About 0 unintelligible, 1 perfect. PESQ: ITU-T
P.862.2 (wide band, 16 kHz), by the package pesq. MOS-LQO from 1.02 to 4.64. PESQ aligns in time by itself,
which is part of its definition.

Both get the sounds resampled to 16 kHz. They are not defined where there is too little speech to measure.
"""

from __future__ import annotations

import warnings

import numpy as np

from eval.audio import RATE, Audio, resample
from eval.errors import Unavailable
from eval.metrics.metric import Metric, per_channel

SPEECH = frozenset({"speech"})
SPEECH_RATE = 16_000
INSTALL = "pip install 'ravecodec[eval]'"


def estoi(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """ESTOI of two vectors [n] at `rate` Hz; None when less than 0.4 s of the original is speech."""
    try:
        import pystoi
    except ImportError as error:
        raise Unavailable(f"ESTOI needs the package pystoi: {INSTALL}") from error
    x, y = resample(original, rate, SPEECH_RATE), resample(decoded, rate, SPEECH_RATE)
    if not np.any(x):
        return None
    with warnings.catch_warnings():
        # Too few frames of speech: pystoi warns and returns 1e-5, which would read as "unintelligible".
        warnings.simplefilter("error", RuntimeWarning)
        # It adds noise of 1e-16 from numpy's global generator, which decides what silence scores: always the same.
        state = np.random.get_state()
        np.random.seed(0)
        try:
            return float(pystoi.stoi(x, y, SPEECH_RATE, extended=True))
        except (RuntimeWarning, ValueError):
            return None
        finally:
            np.random.set_state(state)


def pesq_wide_band(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """PESQ wide band of two vectors [n] at `rate` Hz; None without an utterance or under 0.25 s.

    A silent decoded sound has none either: PESQ levels both sounds first, and divides by its energy.
    """
    try:
        import pesq
    except ImportError as error:
        raise Unavailable(f"PESQ needs the package pesq: {INSTALL}") from error
    x, y = resample(original, rate, SPEECH_RATE), resample(decoded, rate, SPEECH_RATE)
    if not np.any(x) or not np.any(y):
        return None
    try:
        return float(pesq.pesq(SPEECH_RATE, x, y, "wb"))
    except (pesq.NoUtterancesError, pesq.BufferTooShortError):
        return None


ESTOI = Metric(
    name="estoi",
    title="ESTOI, speech",
    better="higher",
    function=per_channel(estoi),
    definition="extended short-time objective intelligibility (Jensen and Taal 2016, pystoi)",
    kinds=SPEECH,
    packages=("pystoi",),
)

PESQ = Metric(
    name="pesq",
    title="PESQ wide band, speech",
    better="higher",
    function=per_channel(pesq_wide_band),
    definition="ITU-T P.862.2 at 16 kHz (package pesq)",
    unit="MOS-LQO",
    kinds=SPEECH,
    packages=("pesq",),
)
