"""The format's parts as targets of fuzzing, and the record of what was tried.

The first byte of an input says which part reads the rest: the header (as it is, or with its CRC made right), the head
of a packet, the end record, the entropy decoder (without or with a context network), the whole reader over a sound
header, or the reader over any bytes.
Only the format's own errors may come out, within bounds of time and memory.
"""

from __future__ import annotations

import json
import resource
import time
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from bitstream import Header, Reader, RvcError, Tables, coder
from bitstream.header import sealed
from bitstream.packet import max_payload, parse_head
from bitstream.trailer import Trailer
from bitstream.vectors import networked

SECONDS = 1.0  # of processor time, far more than any input of a hundred bytes may take
MEBIBYTES = 64  # above what is in use when the fuzzing begins
CODES = np.round(np.random.default_rng(0).laplace(size=(200, 4)) * [5, 2, 0.8, 0.2]).astype(np.int32)
TABLES = Tables.fit({0: CODES, 3: CODES // 2})
HEADER = Header(components=4, frames_per_packet=8, tables_id=TABLES.id)
SOUND_HEADER = HEADER.to_bytes()
NETWORKED = networked()
SHAPES = ((1, 1, 4), (1, 3, 4), (2, 2, 4), (1, 2, 1))


def whole_header(rest: bytes) -> None:
    """The header, byte for byte."""
    Header.measure(rest)


def sealed_header(rest: bytes) -> None:
    """A header of any fields whose CRC is right."""
    Header.measure(sealed(rest))


def packet_head(rest: bytes) -> None:
    """The bytes before a payload."""
    head = parse_head(rest, 0, max_payload(HEADER), HEADER.frames_per_packet)
    assert head is None or (head.size <= len(rest) and head.payload_size <= max_payload(HEADER))


def end_record(rest: bytes) -> None:
    """The payload of the end record, for a file of as many packets as its first byte says."""
    if rest:
        Trailer.parse(rest[0], rest[1:], HEADER)


def entropy(rest: bytes) -> None:
    """The entropy decoder on any bytes, at a step that has its own tables and at one that has not."""
    if rest:
        shape = SHAPES[rest[0] & 3]
        codes = coder.decode(rest[1:], TABLES, (0, 3, 2, -8)[rest[0] >> 2 & 3], shape)
        assert codes.shape == shape and np.abs(codes).max(initial=0) < 1 << 20


def context_entropy(rest: bytes) -> None:
    """The entropy decoder with a context network: any bytes, and beside them a sound packet that must not mind."""
    if rest:
        channels, frames, _ = SHAPES[rest[0] & 3]
        shape = channels, frames, 2 + (rest[0] >> 4 & 3)
        found, zeros = coder.decode_all([rest[1:], silence(shape)], NETWORKED, 0, shape)
        assert found is None or (found.shape == shape and np.abs(found).max(initial=0) < 1 << 20)
        assert zeros is not None and not zeros.any()


@lru_cache
def silence(shape: tuple[int, int, int]) -> bytes:
    """The payload of a packet of zeros."""
    return coder.encode(np.zeros(shape, np.int32), NETWORKED, 0)


def reader(rest: bytes) -> None:
    """The reader over a sound header and any bytes."""
    for packet in islice(Reader.from_bytes(SOUND_HEADER + rest).walk(), 16):
        assert packet.frames >= 0


def whole_file(rest: bytes) -> None:
    """The reader over the bytes themselves."""
    for packet in islice(Reader.from_bytes(rest).walk(), 16):
        assert packet.frames >= 0


PARTS = (whole_header, sealed_header, packet_head, end_record, entropy, context_entropy, whole_file, reader)


class Record:
    """What was tried so far, written down every 100,000 inputs into `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tried = dict.fromkeys((part.__name__ for part in PARTS), 0)
        self.refused = dict.fromkeys(self.tried, 0)
        self.repeats = 0  # inputs that were made again and not tried
        self.slowest = 0.0
        self.base = peak_mebibytes()
        self.start = time.time()

    @property
    def inputs(self) -> int:
        """Inputs given to a part."""
        return sum(self.tried.values())

    def one_input(self, data: bytes) -> None:
        """Give an input to the part that it names; AssertionError beyond the bounds, or whatever the part raises."""
        if not data:
            return
        part = PARTS[data[0] & 7]
        start = time.process_time()
        try:
            part(data[1:])
        except RvcError:
            self.refused[part.__name__] += 1
        self.slowest = max(self.slowest, time.process_time() - start)
        self.tried[part.__name__] += 1
        assert self.slowest < SECONDS, "too slow"
        if self.inputs % 100_000 == 0:
            self.write()

    def write(self) -> None:
        """Write it down; AssertionError if more memory was taken than may be."""
        peak = peak_mebibytes() - self.base
        figures = {"inputs": self.inputs, "repeats": self.repeats, "tried": self.tried, "refused": self.refused}
        figures |= {"slowest_ms": round(1000 * self.slowest, 1), "peak_above_base_mib": round(peak, 1)}
        figures |= {"seconds": round(time.time() - self.start)}
        self.path.write_text(json.dumps(figures, indent=1) + "\n")
        assert peak < MEBIBYTES, f"{peak:.0f} MiB above the base"


def peak_mebibytes() -> float:
    """The most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
