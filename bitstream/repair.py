"""Making damaged files whole in structure: what can be read is kept, what is lost stays known as lost."""

from __future__ import annotations

from typing import BinaryIO

from .content import unpack
from .header import Header
from .ordering import JUMP, JUMP_PER_PACKET
from .reader import Reader
from .report import Report
from .tables import Tables
from .trailer import NO_HASH, IntegerHash, Trailer
from .writer import PacketWriter


def repair(source: BinaryIO, out: BinaryIO, tables: Tables | None = None) -> Report:
    """Write the whole packets of a file in their order, with a new index and end record; the report of what was found.

    Bytes of whole packets do not change. A lost packet keeps its index, which is missing then, so that later readers
    know it as lost; so does the tail of a file that was cut short, if its header says how long the sound is. The hash
    is that of the old end record; without one it is made anew if `tables` are given and nothing is lost, else left
    open. With tables, packets that do not decode are taken out. FormatError if the header is not sound, ModelError if
    the tables are not those it names.
    """
    reader = Reader(source, tables)
    writer = PacketWriter(out, reader.header)
    integers = IntegerHash()
    undecodable: list[tuple[int, int]] = []
    for packet, payload in reader.payloads():
        if payload is not None and tables is not None and packet.kind is not None:
            (codes,) = unpack([(packet, payload)], reader.header, tables)
            if codes is None:
                undecodable.append((packet.index, packet.frames))
                payload = None
            else:
                integers.update(codes)
        if payload is None or packet.kind is None:
            writer.lose(packet.frames)
        else:
            writer.put(packet.kind, packet.frames, payload, packet.coarser)
    report, ending = reader.report, reader.ending
    for index, frames in undecodable:
        report.undecodable += 1
        report.note_lost(index, frames)
    if ending is None:
        for frames in _missing_tail(reader.header, report):
            report.note_lost(writer.packets, frames)
            report.packets += 1
            report.frames += frames
            writer.lose(frames)
    digest = _digest(ending, report, integers if tables is not None else None)
    writer.end(ending.samples if ending is not None and reader.header.samples is None else None, digest)
    return report


def _digest(ending: Trailer | None, report: Report, integers: IntegerHash | None) -> bytes:
    found = NO_HASH if ending is None else ending.digest
    if found == NO_HASH and integers is not None and not report.lost:
        return integers.digest()
    if integers is not None and not report.lost:
        report.hash_ok = found == integers.digest()
    return found


def _missing_tail(header: Header, report: Report) -> list[int]:
    """Frames of each packet that a file cut short lacks, as far as its header tells and readers will believe."""
    if header.samples is None or report.frames % header.frames_per_packet:
        return []
    per_frame = header.source_rate * header.hop
    frames = (header.samples * header.rate + per_frame - 1) // per_frame - report.frames
    full = header.frames_per_packet
    believed = JUMP + JUMP_PER_PACKET * (report.packets - report.lost) - report.lost
    whole, rest = divmod(max(0, frames), full)
    return ([full] * whole + [rest] * (rest > 0))[: max(0, believed)]
