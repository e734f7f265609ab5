"""Whether coded files are what was written: every check there is, without the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bitstream import Reader, Report, RvcError
from ravecodec.errors import PathLike, RaveCodecError, one_line
from ravecodec.modeldata import data_for
from ravecodec.streams import open_coded


@dataclass(frozen=True)
class Verdict:
    """What was found: `problems` in words, none if all is well; seconds of sound, packets, bytes."""

    file: str
    problems: tuple[str, ...]
    seconds: float = 0.0
    packets: int = 0
    bytes: int = 0
    report: Report | None = None

    @property
    def whole(self) -> bool:
        """Whether all checks were made and none failed."""
        return not self.problems


def verify(file: PathLike, *, model: PathLike | None = None, integers: bool = True) -> Verdict:
    """Check a file: header, every packet's CRC and order, totals, index, and the hash of all integers.

    Nothing is raised: what cannot be read or checked is a problem too.

    Args:
        file: a path, a URL that fsspec knows, or "-".
        model: a model's name or path; by default the one the file names, of which only the tables are read.
        integers: decode and hash them; without, neither model nor constriction is needed, and a packet of another
            file that was coded with the same settings and the same first packet would not be noticed.
    """
    try:
        with open_coded(file) as stream:
            return _verify(str(file), stream, model, integers)
    except (RvcError, RaveCodecError, OSError) as error:
        return Verdict(str(file), (one_line(error).removeprefix(f"{file}: "),))


def _verify(name: str, stream: BinaryIO, model: PathLike | None, integers: bool) -> Verdict:
    reader = Reader(stream)
    missing = None
    if integers:
        try:
            reader.tables = data_for(reader.header, model).tables
        except RvcError as error:
            missing = f"its integers could not be checked: {error}"
    for _ in reader.walk() if reader.tables is None else reader.packets():
        pass
    header, report, end = reader.header, reader.report, reader.ending
    problems = report.problems() + ([missing] if missing else [])
    if end is not None:
        samples = header.samples if header.samples is not None else end.samples
        if samples is not None and end.frames * header.hop * header.source_rate < samples * header.rate:
            problems.append(f"{end.frames} frames are too few for its {samples} samples")
        if header.samples is not None and end.samples != header.samples:
            problems.append("header and end record name different lengths")
        if not reader.index_fits():
            problems.append("the seek index does not fit the file")
    seconds = report.samples / header.source_rate if report.samples is not None else header.seconds(report.frames)
    return Verdict(name, tuple(problems), seconds, report.packets, reader.bytes_read, report)


def find_files(inputs: list[str]) -> list[str]:
    """The files named, and all .rvc files of the folders named, in order; hidden ones are left out."""
    found = []
    for name in inputs:
        if Path(name).is_dir():
            inside = sorted(p for p in Path(name).rglob("*") if p.suffix.lower() == ".rvc" and p.is_file())
            found += [str(p) for p in inside if not any(part.startswith(".") for part in p.relative_to(name).parts)]
        else:
            found.append(name)
    return found
