"""Magnitudes of the short-time Fourier transform, a block of frames at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.fft

from eval.audio import Audio

BLOCK_SAMPLES = 1 << 20
"""Samples in the frames of one block: 8 MiB of float64, whatever the length of the sound."""


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


def hann(window: int) -> Audio:
    """The periodic Hann window, float64 [window]."""
    taper: Audio = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return taper
