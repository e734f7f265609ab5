"""Reading an .rvc file: packets in the order of the sound, whatever became of the file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from .errors import FormatError, ModelError, RvcError
from .header import Header
from .packet import MAX_END, Kind, Packet, Record, coarsened, crc_holds, parse_head, unpack_codes
from .report import Report
from .source import ByteSource, Scanner
from .tables import Tables
from .trailer import NO_HASH, SIZE_BYTES, IntegerHash, Trailer

WINDOW = 4  # packets held back while an earlier one may still come
# A jump of the index is believed up to this many lost packets, and this many more for each packet read: a
# crafted file cannot make a reader hand out silence without end.
JUMP, JUMP_PER_PACKET = 4096, 16


class Reader:
    """Reads an .rvc file from anything that has `read`; FormatError if its header is not sound.

    With `tables`, `packets` decodes; ModelError at once if they are not those the header names. Without,
    `walk` still gives every packet's place and size. Damage to packets raises nothing: such packets come
    out as lost, and `report` tells what was found. A file that can seek may be read any number of times,
    a pipe once.
    """

    def __init__(self, file: BinaryIO, tables: Tables | None = None) -> None:
        self._file = file
        self._seekable = _can_seek(file)
        self._base = file.tell() if self._seekable else 0
        self.header, self.header_bytes = Header.measure(file)
        self.report = Report(samples=self.header.samples)
        self.tables = tables
        self.bytes_read = self.header_bytes  # how far into the file the last reading came
        self.ending: Trailer | None = None  # the end record that the last reading came to
        self._end: tuple[Trailer, int] | None = None  # the end record found from the end of the file
        self._begun = False
        if tables is not None:
            if tables.id != self.header.tables_id:
                expected, found = self.header.tables_id.hex(), tables.id.hex()
                raise ModelError(
                    f"the file needs the tables {expected}"
                    f" (model {self.header.model_name or self.header.model_id.hex()}), these are {found}",
                    name=self.header.model_name, expected=expected, found=found,
                )
            tables.rows(self.header.step, self.header.components)

    @classmethod
    def from_bytes(cls, data: bytes, tables: Tables | None = None) -> Reader:
        """A reader over bytes in memory."""
        return cls(io.BytesIO(data), tables)

    def packets(self, start: int = 0, stop: int | None = None) -> Iterator[Packet]:
        """Packets from the index `start` to before `stop`, decoded; lost ones have `codes` None and the right
        number of frames.

        A file that can seek is entered at its seek index, and only the bytes between the indexed places
        around the span are read. ModelError if the reader has no tables.
        """
        if self.tables is None:
            raise ModelError(
                f"decoding needs the tables {self.header.tables_id.hex()}",
                name=self.header.model_name, expected=self.header.tables_id.hex(),
            )
        return self._packets(start, stop, self.tables)

    def walk(self, start: int = 0, stop: int | None = None) -> Iterator[Packet]:
        """As `packets`, but nothing is decoded: `codes` is always None, and `lost` tells lost packets."""
        return self._packets(start, stop, None)

    def payloads(self) -> Iterator[tuple[Packet, bytes | None]]:
        """As `walk` over the whole file, and with each packet its payload as it stands; None for a lost one."""
        for packet, payload in self._ordered(0, None, None):
            yield self._finish(packet, None, None, None), payload

    def trailer(self) -> Trailer | None:
        """The end record, looked up from the end of a file that can seek; None if there is no sound one."""
        found = self._find_end()
        return None if found is None else found[0]

    def _find_end(self) -> tuple[Trailer, int] | None:
        """The end record and its place in the file."""
        if not self._seekable or self._end is not None:
            return self._end
        place = self._file.tell()
        try:
            end = self._file.seek(0, io.SEEK_END)
            self._file.seek(max(self._base, end - SIZE_BYTES))
            size = int.from_bytes(self._file.read(SIZE_BYTES), "little")
            if not SIZE_BYTES < size <= min(end - self._base - self.header_bytes, 1 << 17):
                return None
            self._file.seek(end - size)
            data = self._file.read(size)
        finally:
            self._file.seek(place)
        head = parse_head(data, 0, MAX_END, self.header.frames_per_packet)
        if head is None or head.total != len(data) or not crc_holds(data, 0, head, self.header.stream_crc):
            return None
        place = end - size - self._base
        trailer = self.parse_end(Record(head, data[head.size :], place))
        self._end = None if trailer is None else (trailer, place)
        return self._end

    def index_fits(self) -> bool:
        """Whether the seek index covers exactly what lies between the header and the end record.

        False for a file that cannot seek, whose index nobody can use.
        """
        found = self._find_end()
        return found is not None and found[0].span(0)[1] == found[1] - self.header_bytes

    def parse_end(self, record: Record) -> Trailer | None:
        """What an end record says; None if the packet is none, or contradicts itself."""
        if record.head.kind != Kind.END:
            return None
        try:
            return Trailer.parse(record.head.index, record.payload, self.header)
        except FormatError:
            return None

    def _enter(self, start: int, stop: int | None) -> tuple[Scanner, Trailer | None]:
        """A scanner from the last indexed packet before `start` to the first one after `stop`, and the index used."""
        if self._begun and not self._seekable:
            raise ValueError("a pipe can be read only once")
        self._begun = True
        if self._seekable:
            offset, end = self.header_bytes, None
            trailer = None
            # Where bytes were lost or added the index leads astray; the whole is searched then.
            if (start or stop is not None) and self.index_fits():
                trailer = self.trailer()
                assert trailer is not None
                first, last = trailer.span(start, stop)
                offset, end = offset + first, None if stop is None else offset + last
            self._file.seek(self._base + offset)
            return Scanner(ByteSource(self._file, offset, end), self.header), trailer
        return Scanner(ByteSource(self._file, self.header_bytes), self.header), None

    def _packets(self, start: int, stop: int | None, tables: Tables | None) -> Iterator[Packet]:
        integers = IntegerHash() if tables is not None else None
        for packet, payload in self._ordered(start, stop, integers):
            yield self._finish(packet, payload, tables, integers)

    def _ordered(
        self, start: int, stop: int | None, integers: IntegerHash | None
    ) -> Iterator[tuple[Packet, bytes | None]]:
        """Packets and payloads in order; `integers` is the hash of what is decoded of them meanwhile."""
        if start < 0 or (stop is not None and stop < start):
            raise ValueError(f"packets {start} to {stop} do not exist")
        report = self.report = Report(samples=self.header.samples, whole=start == 0 and stop is None)
        scanner, index = self._enter(start, stop)
        ordering = _Ordering(self.header, report, start, stop)
        trailer: Trailer | None = None
        while trailer is None and not ordering.finished:
            record = scanner.next()
            report.skipped_bytes = scanner.skipped_bytes
            if record is None:
                break
            if record.head.kind == Kind.END:
                trailer = self.parse_end(record)
                if trailer is None or not ordering.believable(trailer.packets - 1):
                    trailer = None
                    report.foreign += 1
                continue
            yield from ordering.take(record)
        yield from ordering.drain(trailer or index)
        self.ending = trailer or index
        if ordering.finished or (index is not None and stop is not None):
            report.complete = True
            if index is not None and report.samples is None:
                report.samples = index.samples
        elif trailer is not None:
            self._check_end(trailer, scanner, None if integers is None else integers.digest())
        self.bytes_read = scanner.offset + report.trailing_bytes
        report.finished = True

    def _finish(
        self, packet: Packet, payload: bytes | None, tables: Tables | None, integers: IntegerHash | None
    ) -> Packet:
        """Decode a packet, or count it as lost."""
        if payload is not None and tables is not None and integers is not None and packet.kind is not None:
            try:
                header = coarsened(self.header, packet.coarser)
                codes = unpack_codes(packet.kind, payload, packet.frames, header, tables)
                integers.update(codes)
                packet = replace(packet, codes=codes)
            except RvcError:
                self.report.undecodable += 1
                packet = replace(packet, lost=True)
        if packet.lost:
            self.report.note_lost(packet.index, packet.frames)
        self.report.packets += 1
        self.report.frames += packet.frames
        return packet

    def _check_end(self, trailer: Trailer, scanner: Scanner, digest: bytes | None) -> None:
        report = self.report
        report.complete = True
        if report.samples is None:
            report.samples = trailer.samples
        if report.whole and report.frames != trailer.frames:
            report.hash_ok = False
        elif trailer.digest == NO_HASH:
            report.unhashed = True
        elif report.whole and digest is not None and not report.lost:
            report.hash_ok = digest == trailer.digest
        if self._seekable:
            report.trailing_bytes = self._file.seek(0, io.SEEK_END) - self._base - scanner.offset


class _Ordering:
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


def _can_seek(file: BinaryIO) -> bool:
    try:
        return file.seekable()
    except (AttributeError, OSError):
        return False
