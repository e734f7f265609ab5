"""Coded files cut to fewer components, by fidelity, number or bitrate, without the network."""

from __future__ import annotations

from typing import BinaryIO

from bitstream import FidelityRule, Reader
from bitstream.thin import Thinned, cut, thinned_header, write_codes
from ravecodec.basis import RULES
from ravecodec.errors import UsageError
from ravecodec.modeldata import ModelData
from ravecodec.rate import NullFile


def thin(
    source: BinaryIO,
    out: BinaryIO,
    data: ModelData,
    *,
    components: int | None = None,
    fidelity: float | None = None,
    rule: str = "sigma",
    bitrate: float | None = None,
) -> Thinned:
    """Write a file with fewer components: byte for byte what encoding with so many would have written.

    Exactly one of: a number of components; a fidelity, by the model's singular values; a bitrate in kbit/s of the
    whole file, for which as many are kept as it allows. Lost packets stay lost.

    Raises:
        UsageError: the file has fewer components, or is larger than the bitrate even with one.
        bitstream.FormatError, bitstream.ModelError: it cannot be read.
    """
    if [components, fidelity, bitrate].count(None) != 2:
        raise UsageError("give one of components, fidelity and bitrate")
    reader = Reader(source, data.tables)
    header = reader.header
    packets = list(reader.packets())
    report = reader.report

    def write(count: int, to: BinaryIO) -> Thinned:
        try:
            kept = thinned_header(header, count, fidelity, FidelityRule(RULES.index(rule)))
        except ValueError as error:
            raise UsageError(str(error)) from error
        writer = write_codes((cut(packet, count) for packet in packets), to, kept, data.tables)
        writer.close(report.samples if header.samples is None else None)
        return Thinned(writer.header, writer.bytes_written, report)

    if fidelity is not None:
        try:
            components = data.components_for(fidelity, rule)
        except ValueError as error:
            raise UsageError(str(error)) from error
    elif bitrate is not None:
        samples = report.samples
        seconds = header.seconds(report.frames) if samples is None else samples / header.source_rate
        low, high = 0, header.components
        while low < high:
            middle = (low + high + 1) // 2
            fits = write(middle, NullFile()).bytes * 8 <= bitrate * 1000 * seconds  # type: ignore[arg-type]
            low, high = (middle, high) if fits else (low, middle - 1)
        if not low:
            raise UsageError(f"{bitrate:g} kbit/s is not enough for one component at this step")
        components = low
    assert components is not None
    return write(components, out)
