"""Packets as they stand in a file: a short head, a CRC-32 and a payload.

    head     varint: payload bytes << 3 | more << 2 | kind
    index    varint: 0, 1, 2, ... in the order of the sound
    more     varint, only if `more` is set: how much coarser the step is than the header's, times frames per packet,
             plus the frames of a packet that is shorter, as only the last may be
    crc      4 bytes, little-endian: CRC-32 of the header's core fields, the bytes above and the payload
    payload  the range coder's bytes, or those of the end record
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .binary import crc32, read_varint, write_varint
from .errors import FormatError
from .header import STEP_RANGE, Header

MAX_PACKETS = 1 << 28
MAX_END = 1 << 16  # bytes of the end record's payload
MIN_HEAD, MAX_HEAD = 6, 16  # bytes before the payload, CRC included
MAX_COARSER = STEP_RANGE[1] - STEP_RANGE[0]


class Kind(IntEnum):
    """What a payload holds."""

    CODED = 0  # all frames
    ZERO = 1  # nothing: every integer is 0
    STEADY = 2  # one frame, which all the others equal
    END = 3  # the end record: no sound, the index and the hash


_KINDS = tuple(Kind)


@dataclass(frozen=True, slots=True)
class Head:
    """The bytes before a payload, parsed. `frames` is None for a packet of the usual length; the step of the packet is
    the header's plus `coarser`.
    """

    kind: Kind
    index: int
    frames: int | None
    payload_size: int
    crc: int
    size: int
    coarser: int = 0

    @property
    def total(self) -> int:
        """Bytes of the packet, head and payload."""
        return self.size + self.payload_size


@dataclass(frozen=True)
class Record:
    """A packet whose CRC holds: its head, its payload, and where in the file it starts."""

    head: Head
    payload: bytes
    offset: int


@dataclass(frozen=True, eq=False)
class Packet:
    """One packet of sound as the reader hands it out.

    `codes` is int32 [channels, frames, components]; None if the packet is lost, or if only walked over.
    """

    index: int
    start_frame: int
    frames: int
    codes: NDArray[np.int32] | None = None
    lost: bool = False
    kind: Kind | None = None
    payload_bytes: int = 0
    total_bytes: int = 0
    offset: int | None = None
    coarser: int = 0  # the integers are of the header's step plus this


def max_payload(header: Header) -> int:
    """Bytes no honest payload of this file exceeds: an escaped integer costs less than 8 bytes."""
    return max(MAX_END, 8 * header.packet_symbols + 16)


def seal(kind: Kind, index: int, more: int | None, payload: bytes, stream_crc: int) -> bytes:
    """Bytes of a packet around its payload; `more` is the frames of a packet shorter than the header says, and what
    `with_coarser` makes of them.
    """
    head = write_varint(len(payload) << 3 | (more is not None) << 2 | kind) + write_varint(index)
    if more is not None:
        head += write_varint(more)
    crc = crc32(payload, crc32(head, stream_crc))
    return head + crc.to_bytes(4, "little") + payload


def parse_head(data: bytes | bytearray, pos: int, limit: int, full: int) -> Head | None:
    """The head that starts at `pos`, or None if none can stand there.

    `limit` is the file's `max_payload`, `full` its frames per packet.
    """
    start = pos
    frames, coarser = None, 0
    try:
        word, pos = read_varint(data, pos, limit << 3 | 7)
        index, pos = read_varint(data, pos, MAX_PACKETS)
        if word & 4:
            more, pos = read_varint(data, pos, full * (MAX_COARSER + 1) - 1)
            frames, coarser = more % full or None, more // full
    except FormatError:
        return None
    kind, size = _KINDS[word & 3], word >> 3
    if pos + 4 > len(data) or (word & 4 and frames is None and not coarser):
        return None
    if (kind == Kind.ZERO and size) or (kind == Kind.END and (word & 4 or size > MAX_END)):
        return None
    crc = int.from_bytes(data[pos : pos + 4], "little")
    return Head(kind, index, frames, size, crc, pos + 4 - start, coarser)


def with_coarser(frames: int, coarser: int, full: int) -> int | None:
    """What `seal` writes for a packet of so many frames and a step so much coarser; None for a usual one."""
    more = coarser * full + frames % full
    return more or None


def crc_holds(data: bytes | bytearray, pos: int, head: Head, stream_crc: int) -> bool:
    """Whether the packet with this head at `pos` is whole; all its bytes must be in `data`."""
    with memoryview(data) as view:
        crc = crc32(view[pos : pos + head.size - 4], stream_crc)
        return crc32(view[pos + head.size : pos + head.total], crc) == head.crc
