"""Magnitudes of the short-time Fourier transform, a block of frames at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import scipy.fft

from eval.audio import Audio

BLOCK_SAMPLES = 1 << 20
"""Samples in the frames of one block: 8 MiB of float64, whatever the length of the sound."""
KEPT_SAMPLES = 1 << 19
"""The longest original (11 s at 48 kHz) whose transforms are kept while it meets one decoded sound after another."""


def magnitudes(x: Audio, window: int, hop: int, padded: bool = True) -> Iterator[Audio]:
    """|STFT| of a vector [n], in blocks [frames, window/2 + 1].

    Periodic Hann window, no normalisation, frame t centred on sample t·hop, reflect padding at both ends:
    1 + n // hop frames, what torch.stft(center=True, pad_mode="reflect") gives. Not `padded`: only the frames
    that lie wholly inside the sound, unless it is shorter than one.
    """
    if padded or len(x) < window:
        x = np.pad(x, window // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::hop]
    taper = hann(window)
    step = max(1, BLOCK_SAMPLES // window)
    for start in range(0, len(frames), step):
        yield np.abs(scipy.fft.rfft(frames[start : start + step] * taper, axis=1))


def of_original(x: Audio, window: int, hop: int, padded: bool = True) -> Iterator[Audio]:
    """What `magnitudes` gives, kept for a short sound that will be asked for again: an original at its next point."""
    if len(x) > KEPT_SAMPLES:
        return magnitudes(x, window, hop, padded)
    return iter(_kept(np.asarray(x, np.float64).tobytes(), window, hop, padded, BLOCK_SAMPLES))


@lru_cache(maxsize=16)
def _kept(samples: bytes, window: int, hop: int, padded: bool, block: int) -> tuple[Audio, ...]:
    """Two channels of what the metrics ask for. `block` is in the key alone: blocks must be as long as the others'."""
    return tuple(magnitudes(np.frombuffer(samples), window, hop, padded))


def hann(window: int) -> Audio:
    """The periodic Hann window, float64 [window]."""
    taper: Audio = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return taper
