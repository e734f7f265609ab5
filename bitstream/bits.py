"""Where the bits of a file go: model bits of each packet and component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .header import Header
from .packet import Kind, Packet
from .reader import Reader
from .report import Report
from .tables import Tables


@dataclass(frozen=True, eq=False)
class BitMap:
    """Model bits -sum(log2 p) [packets, components] of a file; a lost packet, and a silent one, has none.

    `packets` are without their codes.
    """

    header: Header
    packets: tuple[Packet, ...]
    bits: NDArray[np.float64]
    report: Report

    @property
    def seconds(self) -> float:
        """Duration of the packets."""
        return self.report.frames * self.header.hop / self.header.rate


def bit_map(source: BinaryIO, tables: Tables) -> BitMap:
    """Decode a file and count what every component of every packet costs; FormatError, ModelError."""
    reader = Reader(source, tables)
    packets: list[Packet] = []
    rows: list[NDArray[np.float64]] = []
    for packet in reader.packets():
        codes = packet.codes
        if codes is None or packet.kind == Kind.ZERO:
            rows.append(np.zeros(reader.header.components))
        else:
            coded = codes[:, :1] if packet.kind == Kind.STEADY else codes
            rows.append(tables.component_bits(coded, reader.header.step + packet.coarser, reader.header.linked))
        packets.append(Packet(**{**vars(packet), "codes": None}))
    bits = np.array(rows).reshape(len(rows), reader.header.components)
    return BitMap(reader.header, tuple(packets), bits, reader.report)
