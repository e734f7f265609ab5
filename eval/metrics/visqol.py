"""ViSQOL in audio mode at 48 kHz: a model of listeners' scores, trained on codecs of the usual kind.

Hines et al. 2015, "ViSQOLAudio: an objective audio quality metric for low bitrate codecs", JASA 137(6), and
Chinen et al. 2020, "ViSQOL v3", QoMEX (arXiv 2004.09584), by the package visqol-python, a port of version 3.3.3.
Gammatone spectrograms of 32 bands, compared patch by patch by NSIM, mapped by the published support vector
regression to MOS-LQO from 1 to about 4.73, its value for identity.

Alignment: the search for one delay of the whole sound ("global alignment") is switched off, for the delay of
every codec here is known and taken away. What remains is part of the definition: each patch of 0.6 s is compared
with the best-fitting place within ±60 frames. Levels are equalised first: a wrong gain costs nothing.

It rewards a full-band envelope: a 40-band noise vocoder scores above Opus at 24 kbit/s. Not in the default set:
slow, and slower still without numba, which the extra brings. The mean over channels, where the original program
mixes them down.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from eval.audio import RATE, Audio, resample
from eval.errors import Unavailable
from eval.metrics.metric import Metric, per_channel

SILENT = 1e-7
SHORTEST_SECONDS = 1.0
"""Under this, the patches of 30 frames are too few to be a mean over anything."""


def visqol_audio(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """ViSQOL's MOS-LQO of two vectors [n] at `rate` Hz; None under 1 s and where either is silent."""
    x, y = resample(original, rate, RATE), resample(decoded, rate, RATE)
    if len(x) < SHORTEST_SECONDS * RATE or np.abs(x).max() < SILENT or np.abs(y).max() < SILENT:
        return None
    return float(_model().measure_from_arrays(x, y, RATE).moslqo)


@lru_cache(maxsize=1)
def _model() -> Any:
    try:
        import visqol
    except ImportError as error:
        raise Unavailable(f"ViSQOL is not installed: {METRIC.install}") from error
    model = visqol.VisqolApi()
    model.create(mode="audio", disable_global_alignment=True)
    return model


METRIC = Metric(
    name="visqol",
    title="ViSQOL, audio mode",
    better="higher",
    function=per_channel(visqol_audio),
    definition="ViSQOL v3 audio mode at 48 kHz (Chinen et al. 2020, visqol-python), without global alignment",
    unit="MOS-LQO",
    packages=("visqol",),
    extra="perceptual",
    default=False,
)
