"""The order of packets: what comes late, twice, never or from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from .header import Header
from .packet import Packet, Record
from .report import Report
from .trailer import Trailer

WINDOW = 4  # packets held back while an earlier one may still come
# A jump of the index is believed up to this many lost packets, and this many more for each packet read: a
# crafted file cannot make a reader hand out silence without end.
JUMP, JUMP_PER_PACKET = 4096, 16


class Ordering:
    """Puts packets into the order of their index and fills the gaps with lost ones."""

    def __init__(self, header: Header, report: Report, start: int, stop: int | None = None) -> None:
        self._stop = stop
        self._full = header.frames_per_packet
        self._report = report
        self._start = self._next = start
        self._held: dict[int, Record] = {}
        self._highest = -1
        self._believed = JUMP  # lost packets that would still be believed
        self._last: int | None = None  # index of the short packet that ends the sound

    @property
    def finished(self) -> bool:
        """Whether the span asked for is complete."""
        return self._stop is not None and self._next >= self._stop

    def believable(self, index: int) -> bool:
        """Whether a packet of this index may come now."""
        after_end = self._last is not None and index > self._last
        return not after_end and index - self._next <= self._believed

    def take(self, record: Record) -> Iterator[tuple[Packet, bytes | None]]:
        """Accept a packet; yields those that are now due, each with its payload (None if lost)."""
        index = record.head.index
        if index < self._start:
            return
        if index < self._next or index in self._held:
            self._report.duplicates += 1
            return
        short = record.head.frames is not None
        if not self.believable(index) or (short and index < self._highest):
            self._report.foreign += 1
            return
        if short:
            self._last = index
        if index < self._highest:
            self._report.reordered += 1
        self._highest = max(self._highest, index)
        self._believed += JUMP_PER_PACKET
        self._held[index] = record
        yield from self._due(WINDOW)

    def drain(self, trailer: Trailer | None) -> Iterator[tuple[Packet, bytes | None]]:
        """What is left at the end of the file; up to the last packet, if the end record tells which it is."""
        yield from self._due(0)
        while trailer is not None and self._next < trailer.packets and not self.finished:
            yield self._lost(min(self._full, trailer.frames - self._next * self._full))

    def _due(self, window: int) -> Iterator[tuple[Packet, bytes | None]]:
        while self._held and not self.finished:
            record = self._held.pop(self._next, None)
            if record is not None:
                yield self._packet(record), record.payload
            elif len(self._held) > window:
                yield self._lost(self._full)
            else:
                return

    def _lost(self, frames: int) -> tuple[Packet, None]:
        self._believed -= 1
        packet = Packet(self._next, self._next * self._full, frames, lost=True)
        self._next += 1
        return packet, None

    def _packet(self, record: Record) -> Packet:
        head = record.head
        self._next += 1
        return Packet(
            head.index, head.index * self._full, head.frames or self._full, kind=head.kind,
            payload_bytes=head.payload_size, total_bytes=head.total, offset=record.offset, coarser=head.coarser,
        )
