"""Cutting components off a file that is coded already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from typing import BinaryIO

from .content import batches
from .header import FidelityRule, Header
from .packet import Packet
from .reader import Reader
from .report import Report
from .tables import Tables
from .writer import Writer, seed_of


@dataclass(frozen=True)
class Thinned:
    """The header written, the bytes of the file, and the reader's account of the source."""

    header: Header
    bytes: int
    report: Report


def thin(
    source: BinaryIO,
    out: BinaryIO,
    tables: Tables,
    components: int,
    *,
    fidelity: float | None = None,
    rule: FidelityRule = FidelityRule.SIGMA,
) -> Thinned:
    """Write a file with the first `components` only: what encoding with so many would have written.

    Packets that are lost stay lost. `fidelity` and its rule are for the header. ValueError if the file has fewer
    components; FormatError, ModelError.
    """
    reader = Reader(source, tables)
    header = thinned_header(reader.header, components, fidelity, rule)
    writer = write_codes((cut(packet, components) for packet in reader.packets()), out, header, tables)
    known = reader.report.samples
    writer.close(None if header.samples is not None else known)
    return Thinned(writer.header, writer.bytes_written, reader.report)


def thinned_header(
    header: Header, components: int, fidelity: float | None = None, rule: FidelityRule = FidelityRule.SIGMA
) -> Header:
    """The header of a file that keeps so many components; its seed is still that of the whole."""
    if not 1 <= components <= header.components:
        raise ValueError(f"the file has {header.components} components; {components} cannot be kept")
    return replace(header, components=components, fidelity=fidelity, fidelity_rule=rule)


def cut(packet: Packet, components: int) -> Packet:
    """A packet with its first components only."""
    return packet if packet.codes is None else replace(packet, codes=packet.codes[..., :components])


def write_codes(packets: Iterable[Packet], out: BinaryIO, header: Header, tables: Tables) -> Writer:
    """Write packets that were decoded; the writer, still to be closed.

    The seed is that of the first packet's codes, as an encoder chooses it; the header's own if that packet is lost.
    """
    packets = iter(packets)
    begin = list(islice(packets, 1))
    if begin and begin[0].codes is not None:
        header = replace(header, seed=seed_of(begin[0].codes))
    writer = Writer(out, header, tables)
    for (lost, coarser), run in groupby(chain(begin, packets), lambda packet: (packet.codes is None, packet.coarser)):
        for group in batches(run, header):
            if lost:
                for packet in group:
                    writer.lose(packet.frames)
            else:
                writer.write_all([packet.codes for packet in group if packet.codes is not None], coarser)
    return writer
