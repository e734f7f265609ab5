"""Resampling in a stream: exact lengths, no delay, and the same samples however the input was cut.

Arrays are float32 [samples, channels].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ravecodec.audio import Samples


def resampled_length(samples: int, source: int, target: int) -> int:
    """How many samples at `target` Hz cover `samples` at `source` Hz: their ratio rounded up, in integers."""
    return -(-samples * target // source)


class Resampler:
    """Resample a stream, block by block, to an exact length.

    The filter's delay is compensated: sample k of the output stands at k / target seconds of the input. After
    `flush` the output has `resampled_length` samples. The filter is soxr's HQ (linear phase, 20 bit).

    Args:
        source, target: rates in Hz.
        channels: channels of the blocks.
    """

    def __init__(self, source: int, target: int, channels: int) -> None:
        import soxr

        self.source, self.target, self.channels = source, target, channels
        self._taken = self._given = 0
        self._soxr = None
        if source != target:
            self._soxr = soxr.ResampleStream(source, target, channels, dtype="float32", quality="HQ")

    def push(self, block: Samples) -> Samples:
        """Take float32 [n, channels], give what is ready of the output, float32 [m, channels]; m may be 0."""
        self._taken += len(block)
        block = np.ascontiguousarray(block, dtype=np.float32)
        ready: Samples = block if self._soxr is None else self._soxr.resample_chunk(block)
        self._given += len(ready)
        return ready

    def flush(self) -> Samples:
        """Give the rest of the output, [m, channels], up to `resampled_length` samples; this ends it."""
        if self._soxr is None:
            return np.zeros((0, self.channels), np.float32)
        # soxr rounds the length to the nearest sample; silence behind the end makes it reach the last one.
        silence = np.zeros((self.source // self.target + 2, self.channels), np.float32)
        rest: Samples = self._soxr.resample_chunk(silence, last=True)
        rest = rest[: max(0, resampled_length(self._taken, self.source, self.target) - self._given)]
        self._given += len(rest)
        return rest


def resample(
    blocks: Iterable[Samples], source: int, target: int, channels: int, length: int | None = None
) -> Iterator[Samples]:
    """Yield blocks [n, channels] at `source` Hz as blocks at `target` Hz, `resampled_length` samples in all.

    Args:
        length: end after this many samples, as a decoder does that returns to the rate the sound came from.
    """
    resampler = Resampler(source, target, channels)
    given = 0

    def stages() -> Iterator[Samples]:
        for block in blocks:
            yield resampler.push(block)
        yield resampler.flush()

    for ready in stages():
        if length is not None:
            ready = ready[: length - given]
        given += len(ready)
        if len(ready):
            yield ready
