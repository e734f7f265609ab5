"""Cutting components off a file that is coded already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .header import FidelityRule, Header
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
    parts = ((p.frames, None if p.codes is None else p.codes[..., :components]) for p in reader.packets())
    writer = write_codes(parts, out, header, tables)
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


def write_codes(
    parts: Iterable[tuple[int, NDArray[np.int32] | None]], out: BinaryIO, header: Header, tables: Tables
) -> Writer:
    """Write packets given as frames and codes (None if lost); the writer, still to be closed.

    The seed is that of the first packet's codes, as an encoder chooses it; the header's own if that packet is lost.
    """
    parts = iter(parts)
    first = next(parts, None)
    if first is not None and first[1] is not None:
        header = replace(header, seed=seed_of(first[1]))
    writer = Writer(out, header, tables)
    for frames, codes in _chain(first, parts):
        if codes is None:
            writer.lose(frames)
        else:
            writer.write(codes)
    return writer


def _chain(
    first: tuple[int, NDArray[np.int32] | None] | None, rest: Iterator[tuple[int, NDArray[np.int32] | None]]
) -> Iterator[tuple[int, NDArray[np.int32] | None]]:
    if first is not None:
        yield first
        yield from rest
