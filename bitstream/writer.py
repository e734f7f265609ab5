"""Writing an .rvc file, packet by packet, to anything that has `write`."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .content import pack
from .errors import ModelError
from .header import MAX_SAMPLES, Header
from .packet import MAX_HEAD, MAX_PACKETS, Kind, seal, with_coarser
from .tables import Tables
from .trailer import NO_HASH, GroupIndex, IntegerHash, Trailer


def seed_of(codes: NDArray[np.integer]) -> int:
    """The noise seed of a file whose first packet has these codes: a CRC-32 of them.

    A seed of the sound's own tells its packets from those of another file with the same settings.
    """
    return zlib.crc32(np.ascontiguousarray(codes, "<i4").tobytes())


class PacketWriter:
    """Writes a header, packets that are coded already, and the end record; never seeks, so a pipe will do.

    With `flush` the file is flushed after each packet.
    """

    def __init__(self, file: BinaryIO, header: Header, *, flush: bool = False) -> None:
        self.header = header
        self.packets = 0
        self.frames = 0
        self.bytes_written = 0
        self.payload_bytes = 0
        self._file = file
        self._flush = flush
        self._stream_crc = header.stream_crc
        self._index = GroupIndex(header.frames_per_packet)
        self._ended = self._closed = False
        self._put(header.to_bytes())

    def put(self, kind: Kind, frames: int, payload: bytes, coarser: int = 0) -> int:
        """Write the next packet and return its bytes; ValueError if it cannot follow what is written."""
        self._check(frames)
        data = self._sealed(kind, frames, payload, coarser)
        self._put(data)
        self.payload_bytes += len(payload)
        self._count(frames, len(data))
        return len(data)

    def lose(self, frames: int) -> None:
        """Pass over a packet that is lost: its index and its frames count, and readers will miss it."""
        self._check(frames)
        self._count(frames, 0)

    def end(self, samples: int | None, digest: bytes) -> None:
        """Write the end record; `samples` per channel at the source rate, if the header did not know them."""
        if self._closed:
            return
        known = self.header.samples
        if samples is None:
            samples = known
        elif known not in (None, samples) or not 0 <= samples <= MAX_SAMPLES:
            raise ValueError(f"{samples} samples, but the header says {known}")
        index = self._index
        trailer = Trailer(self.packets, self.frames, samples, digest, index.stride, tuple(index.groups))
        # The record ends with its size, and the size of its head depends on that of its payload.
        payload = trailer.to_payload(MAX_HEAD)
        head_size = len(seal(Kind.END, self.packets, None, payload, 0)) - len(payload)
        self._put(seal(Kind.END, self.packets, None, trailer.to_payload(head_size), self._stream_crc))
        self._ended = self._closed = True

    def _sealed(self, kind: Kind, frames: int, payload: bytes, coarser: int) -> bytes:
        more = with_coarser(frames, coarser, self.header.frames_per_packet)
        return seal(kind, self.packets, more, payload, self._stream_crc)

    def _check(self, frames: int) -> None:
        if self._ended:
            raise ValueError("a short packet or close() has ended the file")
        if not 1 <= frames <= self.header.frames_per_packet:
            raise ValueError(f"a packet has 1 to {self.header.frames_per_packet} frames, not {frames}")
        if self.packets >= MAX_PACKETS:
            raise ValueError(f"a file holds at most {MAX_PACKETS} packets")

    def _count(self, frames: int, size: int) -> None:
        self._index.add(size)
        self.packets += 1
        self.frames += frames
        self._ended = frames < self.header.frames_per_packet

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self.bytes_written += len(data)
        if self._flush:
            self._file.flush()


class Writer(PacketWriter):
    """Codes integers and writes them as packets.

    As a context manager it closes the file's structure (not the file) on success; after an exception it
    leaves the end record out, so that readers see a cut file. ModelError if the tables are not those the
    header names. With `flush` the file is flushed after each packet.
    """

    def __init__(self, file: BinaryIO, header: Header, tables: Tables, *, flush: bool = False) -> None:
        if tables.id != header.tables_id:
            raise ModelError(
                f"the header names the tables {header.tables_id.hex()}, these are {tables.id.hex()}",
                name=header.model_name, expected=header.tables_id.hex(), found=tables.id.hex(),
            )
        tables.rows(header.step, header.components)  # a step without rows is refused before any byte
        self.tables = tables
        self._hash: IntegerHash | None = IntegerHash()
        super().__init__(file, header, flush=flush)

    def write(self, codes: NDArray[np.integer], coarser: int = 0) -> int:
        """Write one packet of codes [channels, frames, components] and return its bytes.

        Each packet has `frames_per_packet` frames; a shorter one ends the sound. The codes are of the header's step
        plus `coarser`. ValueError for a wrong shape, TypeError for anything but integers.
        """
        return self.write_all([codes], coarser)

    def write_all(
        self, packets: Sequence[NDArray[np.integer]], coarser: int = 0, coded: Sequence[bytes] | None = None
    ) -> int:
        """As `write`, one after another: the same bytes in less time, since they are coded side by side.

        `coded` are the packets' payloads (`optimise_coded`), if they are known; they have to be those of these codes.
        """
        full = self.header.frames_per_packet
        channels, components = self.header.channels, self.header.components
        for codes in packets:
            if codes.ndim != 3 or codes.shape[::2] != (channels, components) or not 1 <= codes.shape[1] <= full:
                raise ValueError(f"codes {codes.shape} should be [{channels}, 1..{full}, {components}]")
            self._check(codes.shape[1])
        size = 0
        for codes, (kind, payload) in zip(packets, self._packed(packets, coarser, coded), strict=True):
            size += self.put(kind, codes.shape[1], payload, coarser)
            if self._hash is not None:
                self._hash.update(codes)
        return size

    def size_of(self, codes: NDArray[np.integer], coarser: int = 0) -> int:
        """Bytes that `write` would write."""
        ((kind, payload),) = self._packed([codes], coarser)
        return len(self._sealed(kind, codes.shape[1], payload, coarser))

    def _packed(
        self, packets: Sequence[NDArray[np.integer]], coarser: int, coded: Sequence[bytes] | None = None
    ) -> list[tuple[Kind, bytes]]:
        return pack(packets, self.tables, self.header.step + coarser, self.header.linked, coded)

    def lose(self, frames: int) -> None:
        """As `PacketWriter.lose`; the file then names no hash of its integers."""
        super().lose(frames)
        self._hash = None

    def close(self, samples: int | None = None) -> None:
        """Write the end record; `samples` per channel at the source rate, if the header did not know them."""
        self.end(samples, NO_HASH if self._hash is None else self._hash.digest())

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
