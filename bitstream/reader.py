"""Reading an .rvc file: packets in the order of the sound, whatever became of the file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from .content import batches, unpack
from .errors import FormatError, ModelError
from .header import Header
from .ordering import Ordering
from .packet import MAX_END, Kind, Packet, Record, crc_holds, parse_head
from .report import Report
from .source import ByteSource, Scanner
from .tables import Tables
from .trailer import NO_HASH, SIZE_BYTES, IntegerHash, Trailer


class Reader:
    """Reads an .rvc file from anything that has `read`; FormatError if its header is not sound.

    With `tables`, `packets` decodes; ModelError at once if they are not those the header names. Without,
    `walk` still gives every packet's place and size. Damage to packets raises nothing: such packets come
    out as lost, and `report` tells what was found. A file that can seek may be read any number of times,
    a pipe once; `seekable` says which it is.
    """

    def __init__(self, file: BinaryIO, tables: Tables | None = None) -> None:
        self._file = file
        self.seekable = _can_seek(file)
        self._base = file.tell() if self.seekable else 0
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
        reading = self._begin(0, None)
        for packet, payload in self._ordered(reading):
            yield self._counted(packet), payload
        self._conclude(reading, None)

    def trailer(self) -> Trailer | None:
        """The end record, looked up from the end of a file that can seek; None if there is no sound one."""
        found = self._find_end()
        return None if found is None else found[0]

    def _find_end(self) -> tuple[Trailer, int] | None:
        """The end record and its place in the file."""
        if not self.seekable or self._end is not None:
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

    def _begin(self, start: int, stop: int | None) -> _Reading:
        """Begin at the last indexed packet before `start`, to go to the first one after `stop`."""
        if start < 0 or (stop is not None and stop < start):
            raise ValueError(f"packets {start} to {stop} do not exist")
        if self._begun and not self.seekable:
            raise ValueError("a pipe can be read only once")
        self._begun = True
        report = self.report = Report(samples=self.header.samples, whole=start == 0 and stop is None)
        offset, end, index = self.header_bytes, None, None
        if self.seekable:
            # Where bytes were lost or added the index leads astray; the whole is searched then.
            if (start or stop is not None) and self.index_fits():
                index = self.trailer()
                assert index is not None
                first, last = index.span(start, stop)
                offset, end = offset + first, None if stop is None else offset + last
            self._file.seek(self._base + offset)
        scanner = Scanner(ByteSource(self._file, offset, end), self.header)
        return _Reading(scanner, Ordering(self.header, report, start, stop), index, stop)

    def _packets(self, start: int, stop: int | None, tables: Tables | None) -> Iterator[Packet]:
        reading = self._begin(start, stop)
        if tables is None:
            for packet, _ in self._ordered(reading):
                yield self._counted(packet)
            self._conclude(reading, None)
            return
        integers, ordered = IntegerHash(), self._ordered(reading)
        # What comes through a pipe is handed out at once; of a file some packets may be decoded side by side.
        groups = batches(ordered, self.header) if self.seekable else ([item] for item in ordered)
        for group in groups:
            for (packet, payload), codes in zip(group, unpack(group, self.header, tables), strict=True):
                if codes is not None:
                    integers.update(codes)
                elif payload is not None:
                    self.report.undecodable += 1
                yield self._counted(replace(packet, codes=codes, lost=codes is None))
        self._conclude(reading, integers.digest())

    def _ordered(self, reading: _Reading) -> Iterator[tuple[Packet, bytes | None]]:
        """Packets and payloads in the order of the sound."""
        report, ordering, scanner = self.report, reading.ordering, reading.scanner
        while reading.end is None and not ordering.finished:
            record = scanner.next()
            report.skipped_bytes = scanner.skipped_bytes
            if record is None:
                break
            if record.head.kind == Kind.END:
                reading.end = self.parse_end(record)
                if reading.end is None or not ordering.believable(reading.end.packets - 1):
                    reading.end = None
                    report.foreign += 1
                continue
            yield from ordering.take(record)
        yield from ordering.drain(reading.end or reading.index)

    def _counted(self, packet: Packet) -> Packet:
        """A packet that is about to be handed out."""
        if packet.lost:
            self.report.note_lost(packet.index, packet.frames)
        self.report.packets += 1
        self.report.frames += packet.frames
        return packet

    def _conclude(self, reading: _Reading, digest: bytes | None) -> None:
        """Say what the end of the file tells, once all packets are handed out; `digest` of what was decoded."""
        report, trailer, index = self.report, reading.end, reading.index
        self.ending = trailer or index
        if reading.ordering.finished or (index is not None and reading.stop is not None):
            report.complete = True
            if index is not None and report.samples is None:
                report.samples = index.samples
        elif trailer is not None:
            self._check_end(trailer, reading.scanner, digest)
        self.bytes_read = reading.scanner.offset + report.trailing_bytes
        report.finished = True

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
        if self.seekable:
            report.trailing_bytes = self._file.seek(0, io.SEEK_END) - self._base - scanner.offset


@dataclass
class _Reading:
    """One pass over a file: where it stands, the index that led there, and the end once that is found."""

    scanner: Scanner
    ordering: Ordering
    index: Trailer | None
    stop: int | None
    end: Trailer | None = None


def _can_seek(file: BinaryIO) -> bool:
    try:
        return file.seekable()
    except (AttributeError, OSError):
        return False
