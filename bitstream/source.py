"""From a file to whole packets: a small buffer, and a scanner that finds the next packet after damage."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from .header import Header
from .packet import MAX_HEAD, MIN_HEAD, Record, crc_holds, max_payload, parse_head

# While scanning through damage, this many bytes may be summed for every byte passed, and this many more
# in all. Packets up to SCAN_PER_BYTE are thus always found, and time is bounded whatever the damage
# pretends to be.
SCAN_PER_BYTE = 1024
SCAN_POOL = 1 << 22
CHUNK = 1 << 16


class ByteSource:
    """A buffer in front of a file: bytes are looked at where they stand, then dropped."""

    def __init__(self, file: BinaryIO, offset: int = 0, end: int | None = None) -> None:
        self.buffer = bytearray()
        self.offset = offset  # of the buffer's first byte in the file
        self._left = None if end is None else max(0, end - offset)  # bytes that may still be read
        # What a pipe has at hand, not a full chunk: a live packet must not wait for the next one.
        self._read: Callable[[int], bytes | None] = getattr(file, "read1", file.read)
        self._ended = False

    def fill(self, size: int) -> int:
        """Read until the buffer holds `size` bytes or the file ends; returns how many it holds."""
        while len(self.buffer) < size and not self._ended:
            more = self._read(CHUNK if self._left is None else min(CHUNK, self._left))
            if more:
                self.buffer += more
                if self._left is not None:
                    self._left -= len(more)
            else:
                self._ended = True
        return len(self.buffer)

    def drop(self, size: int) -> None:
        """Forget the first `size` bytes."""
        del self.buffer[:size]
        self.offset += size


class Scanner:
    """Yields the packets whose CRC holds, in the order of the file, and counts the bytes between them."""

    def __init__(self, source: ByteSource, header: Header) -> None:
        self.skipped_bytes = 0
        self._source = source
        self._limits = max_payload(header), header.frames_per_packet
        self._stream_crc = header.stream_crc
        self._pool = SCAN_POOL

    @property
    def offset(self) -> int:
        """Place in the file of the first byte not yet consumed."""
        return self._source.offset

    def next(self) -> Record | None:
        """The next whole packet, or None at the end of the file."""
        source = self._source
        record = self._at(0, None)
        pos = 0
        while record is None:
            pos += 1
            if source.fill(pos + 1) <= pos:  # nothing left to try
                rest = len(source.buffer)
                self.skipped_bytes += rest
                source.drop(rest)
                return None
            if pos >= CHUNK:
                self.skipped_bytes += pos
                source.drop(pos)
                pos = 0
            self._pool += SCAN_PER_BYTE
            record = self._at(pos, self._pool)
        self.skipped_bytes += pos
        source.drop(pos + record.head.total)
        return record

    def _at(self, pos: int, budget: int | None) -> Record | None:
        """The whole packet at `pos` of the buffer, or None; nothing longer than `budget` is looked at."""
        source = self._source
        wanted = pos + MIN_HEAD  # no more than needed: in a pipe the next packet may be seconds away
        while True:
            held = source.fill(wanted)
            head = parse_head(source.buffer, pos, *self._limits)
            if head is not None or held < wanted or held >= pos + MAX_HEAD:
                break
            wanted = held + 1
        if head is None or (budget is not None and head.total > budget):
            return None
        if source.fill(pos + head.total) < pos + head.total:
            return None
        if budget is not None:
            self._pool -= head.total
        if not crc_holds(source.buffer, pos, head, self._stream_crc):
            return None
        payload = bytes(source.buffer[pos + head.size : pos + head.total])
        return Record(head, payload, source.offset + pos)
