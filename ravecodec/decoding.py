"""From the frames of a file to sound of the right length, at any rate; the whole, or a span of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd

from bitstream import Header, Reader, Report

from .audio import Samples, check_rate
from .errors import UsageError
from .resample import resample, resampled_length
from .synthesis import Synthesis, block_frames

MARGIN = 2048  # samples at the lower of two rates that the resampler is given on either side of a span


@dataclass(frozen=True)
class Decoded:
    """Sound being decoded: `blocks` yields float32 [n, channels] at `rate`; `report` is complete once it is exhausted.

    `samples` is the length at `rate`, None when the file does not say it before its end.
    """

    header: Header
    rate: int
    channels: int
    samples: int | None
    blocks: Iterator[Samples]
    reader: Reader

    @property
    def report(self) -> Report:
        """What the reader found."""
        return self.reader.report


def target_rate(rate: int | str | None, header: Header) -> int:
    """The rate to decode to, in Hz: None is the codec's own, "source" that of the sound that was coded."""
    if rate == "source":
        return header.source_rate
    if isinstance(rate, str):
        raise UsageError(f"the rate is a number of Hz or 'source', not {rate!r}")
    return check_rate(header.rate if rate is None else rate)


def samples_of(reader: Reader) -> int | None:
    """Samples per channel at the source's rate, from the header or, if the file can seek, from its end record."""
    if reader.header.samples is not None:
        return reader.header.samples
    trailer = reader.trailer()
    return None if trailer is None else trailer.samples


def length_at(header: Header, samples: int | None, rate: int) -> int | None:
    """Samples per channel at `rate` of a sound that had so many at the source's rate."""
    if samples is None or rate == header.source_rate:
        return samples
    return resampled_length(resampled_length(samples, header.source_rate, header.rate), header.rate, rate)


def sound(
    reader: Reader,
    synthesis: Synthesis,
    delay: int,
    rate: int,
    samples: int | None,
    start: int = 0,
    end: int | None = None,
    size: int | None = None,
) -> Iterator[Samples]:
    """Blocks of the samples `start` to before `end` at `rate`; within 1e-4 those of the whole file's decoding.

    Args:
        delay: of the codec, in samples at its rate.
        samples: per channel at the source's rate, if known.
        size: frames that the network takes at once; by default up to 512.
    """
    header = reader.header
    total = None if samples is None else resampled_length(samples, header.source_rate, header.rate)
    if rate == header.rate:
        return _at_own_rate(reader, synthesis, delay, total, start, end, size)
    # A multiple of the ratio's period, so that the samples fall where they fall when all is decoded.
    period = header.rate // gcd(header.rate, rate)
    margin = MARGIN * max(1, header.rate // rate)
    first = max(0, start * header.rate // rate - margin) // period * period
    last = None if end is None else -(-end * header.rate // rate) + margin
    own = _at_own_rate(reader, synthesis, delay, total, first, last, size)
    skip = start - first * rate // header.rate
    length = length_at(header, samples, rate)
    ends = [e - start + skip for e in (end, length) if e is not None]
    return _skip(resample(own, header.rate, rate, header.channels, max(0, min(ends)) if ends else None), skip)


def _skip(blocks: Iterator[Samples], count: int) -> Iterator[Samples]:
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(0, count - len(block))


def _at_own_rate(
    reader: Reader, synthesis: Synthesis, delay: int, total: int | None, start: int, end: int | None, size: int | None
) -> Iterator[Samples]:
    """Samples `start` to before `end`, or to the end of the sound, at the codec's rate."""
    hop = synthesis.hop
    known = [e for e in (end, total) if e is not None]
    left = max(0, min(known) - start) if known else None
    first = (start + delay) // hop
    last = None if end is None else -(-(end + delay) // hop)
    frames = None if left is None else -(-left // hop)
    blocks = synthesis.blocks(reader, first, last, block_frames(frames) if size is None else size)
    blocks = _skip(blocks, start + delay - first * hop)
    if left is not None:
        for block in blocks:
            yield block[:left]
            left -= min(left, len(block))
        return
    held: Samples | None = None
    for block in blocks:
        if held is not None:
            yield held
        held = block
    if held is not None:
        # Only now has the end record told how long the sound is.
        header, samples, ending = reader.header, reader.report.samples, reader.ending
        if samples is not None and ending is not None:
            surplus = ending.frames * hop - delay - resampled_length(samples, header.source_rate, header.rate)
            held = held[: max(0, len(held) - max(0, surplus))]
        yield held
