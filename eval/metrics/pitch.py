"""Pitch: whether the decoded sound has the original's fundamental frequency, and where it has one at all.

F0 every 5 ms from 60 to 1000 Hz by DIO with StoneMask (Morise et al. 2009, "Fast and reliable F0 estimation
method based on the period extraction of vocal fold vibration"; WORLD, package pyworld), on the sound at 16 kHz,
the same for both sounds and frame by frame at the same times: nothing is aligned. A frame without F0 is unvoiced.
With V frames voiced in both sounds:

    f0        RMS over V of 1200 · log2(f_decoded / f_original), in cents
    gross     share of V in which F0 is off by more than 20 %, in per cent (Rabiner et al. 1976, "A comparative
              performance study of several pitch detection algorithms"; GPE)
    voicing   share of all frames voiced in one sound and unvoiced in the other, in per cent (Nakatani et al.
              2008, "A method for fundamental frequency estimation and voicing decision", VDE)

f0 and gross look only where there is a pitch in both: a codec that turns a voice into noise leaves none and has no
f0 (under 10 such frames it is not defined) but a large voicing error, so the three are read together. For sounds of
one voice: kinds "speech" and "solo". Not defined where the original has no voiced frame.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from eval.audio import RATE, Audio, resample
from eval.errors import Unavailable
from eval.metrics.metric import Metric, per_channel

KINDS = frozenset({"speech", "solo"})
ANALYSIS_RATE = 16_000
LOWEST, HIGHEST = 60.0, 1000.0
PERIOD_MS = 5.0
GROSS = 0.2
FEWEST = 10
SHORTEST_SECONDS = 0.1


def f0_error(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """The RMS difference of F0 of two vectors [n] in cents over frames voiced in both; None under 10 of them."""
    x, y = _voiced_in_both(original, decoded, rate)
    return None if len(x) < FEWEST else float(np.sqrt(np.mean((1200 * np.log2(y / x)) ** 2)))


def gross_pitch_error(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """The per cent of frames voiced in both vectors [n] whose F0 is off by more than 20 %; None under 10."""
    x, y = _voiced_in_both(original, decoded, rate)
    return None if len(x) < FEWEST else 100 * float(np.mean(np.abs(y / x - 1) > GROSS))


def voicing_error(original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
    """The per cent of frames whose voicing differs between two vectors [n]; None for an unvoiced original."""
    x, y = track(original, rate), track(decoded, rate)
    return 100 * float(np.mean((x > 0) != (y > 0))) if np.any(x > 0) else None


def track(x: Audio, rate: int = RATE) -> Audio:
    """F0 of a vector [n] in Hz, one value every 5 ms, 0 where unvoiced; empty under 0.1 s."""
    if len(x) < SHORTEST_SECONDS * rate:
        return np.zeros(0)
    mono = np.ascontiguousarray(resample(x, rate, ANALYSIS_RATE), np.float64)
    return _track(mono.tobytes())


@lru_cache(maxsize=8)
def _track(samples: bytes) -> Audio:
    """Kept, because three metrics ask for it, and every operating point of a clip for the original's."""
    world, x = _world(), np.frombuffer(samples)
    rough, times = world.dio(
        x, ANALYSIS_RATE, f0_floor=LOWEST, f0_ceil=HIGHEST, frame_period=PERIOD_MS
    )
    refined: Audio = world.stonemask(x, rough, times, ANALYSIS_RATE)
    refined.flags.writeable = False
    return refined


def _voiced_in_both(original: Audio, decoded: Audio, rate: int) -> tuple[Audio, Audio]:
    x, y = track(original, rate), track(decoded, rate)
    both = (x > 0) & (y > 0)
    return x[both], y[both]


@lru_cache(maxsize=1)
def _world() -> Any:
    found = importlib.util.find_spec("pyworld")
    if found is None or found.origin is None:
        raise Unavailable(f"pitch needs the package pyworld: {PITCH.install}")
    try:
        import pyworld
    except ImportError:  # pyworld up to 0.3.5 imports pkg_resources, which setuptools 82 took away
        suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
        compiled = Path(found.origin).parent / f"pyworld{suffix}"
        spec = importlib.util.spec_from_file_location("pyworld.pyworld", compiled)
        if spec is None or spec.loader is None or not compiled.is_file():
            raise Unavailable(f"pyworld cannot be imported: {PITCH.install} 'setuptools<81'") from None
        pyworld = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(pyworld)
    return pyworld


def _metric(
    name: str, title: str, unit: str, function: Callable[[Audio, Audio, int], float | None], definition: str
) -> Metric:
    return Metric(
        name=name,
        title=title,
        better="lower",
        function=per_channel(function),
        definition=f"{definition} (F0 by DIO and StoneMask, 60 to 1000 Hz, every 5 ms; pyworld)",
        unit=unit,
        kinds=KINDS,
        packages=("pyworld",),
        extra="perceptual",
    )


PITCH = _metric("f0", "F0 error", "cent", f0_error, "RMS difference of F0 over frames voiced in both")
GROSS_PITCH = _metric(
    "gross_pitch", "Gross pitch error", "%", gross_pitch_error, "frames voiced in both with F0 off by over 20 %"
)
VOICING = _metric("voicing", "Voicing error", "%", voicing_error, "frames whose voicing decision differs")
