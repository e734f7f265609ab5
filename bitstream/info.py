"""What a file is and where its bytes go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .content import packet_bits
from .header import Header
from .reader import Reader
from .report import Report
from .tables import Tables


@dataclass(frozen=True, eq=False)
class FileInfo:
    """Figures of an .rvc file. Sizes are in bytes; `model_bits` is None unless tables were given.

    file_bytes = header_bytes + payload_bytes + packet_overhead + end_bytes.
    """

    header: Header
    report: Report
    file_bytes: int
    header_bytes: int
    payload_bytes: int
    packet_overhead: int
    packets: int
    frames: int
    samples: int | None
    seconds: float
    model_bits: float | None = None

    @property
    def end_bytes(self) -> int:
        """Bytes that are neither header nor packet."""
        return self.file_bytes - self.header_bytes - self.payload_bytes - self.packet_overhead

    @property
    def kbps(self) -> float:
        """Of the whole file, in kbit/s: the honest bitrate."""
        return self._rate(8 * self.file_bytes)

    @property
    def payload_kbps(self) -> float:
        """Of the payloads alone, in kbit/s."""
        return self._rate(8 * self.payload_bytes)

    @property
    def model_kbps(self) -> float | None:
        """Of the model bits -sum(log2 p), in kbit/s."""
        return None if self.model_bits is None else self._rate(self.model_bits)

    def _rate(self, bits: float) -> float:
        return bits / self.seconds / 1000 if self.seconds else 0.0


def info(source: str | os.PathLike[str] | bytes | BinaryIO, tables: Tables | None = None) -> FileInfo:
    """Figures of a file: without `tables` by walking over its packets, with them by decoding every one.

    With tables the hash is checked (`report.hash_ok`) and the model bits are counted, as for any sound
    packet: one that is silent costs none, one that holds still costs its first frame. FormatError,
    ModelError; OSError.
    """
    if isinstance(source, bytes):
        return _info(Reader.from_bytes(source, tables))
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            return _info(Reader(file, tables))
    return _info(Reader(source, tables))


def _info(reader: Reader) -> FileInfo:
    header, tables = reader.header, reader.tables
    payload = overhead = 0
    bits = 0.0
    for packet in reader.walk() if tables is None else reader.packets():
        payload += packet.payload_bytes
        overhead += packet.total_bytes - packet.payload_bytes
        if tables is not None and packet.codes is not None:
            bits += packet_bits(packet.codes, tables, header.step + packet.coarser, header.linked)
    report = reader.report
    seconds = header.seconds(report.frames)
    if header.samples is None and report.samples is not None:
        seconds = report.samples / header.source_rate
    return FileInfo(
        header, report, reader.bytes_read, reader.header_bytes, payload, overhead,
        report.packets, report.frames, report.samples, seconds, None if tables is None else bits,
    )
