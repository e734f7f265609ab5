"""`ravecodec info`: what an .rvc file holds."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ravecodec.cli.common import DAMAGED, Commands, duration

if TYPE_CHECKING:
    from bitstream import FileInfo


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="say what an .rvc file holds",
        description="Print the header, sizes and bitrates of an .rvc file. The bitrate is that of the whole file.",
        epilog="Packets are checked but not decoded; status 3 if any is damaged or missing.",
    )
    parser.add_argument("input", metavar="FILE", help="an .rvc file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    import bitstream  # and not ravecodec.files, which would bring soundfile

    found = bitstream.info(arguments.input)
    if arguments.json:
        print(json.dumps(as_dict(found, arguments.input), indent=2, ensure_ascii=False))
    else:
        print(as_text(found, arguments.input))
    return DAMAGED if found.report.problems() else 0


def as_dict(found: FileInfo, file: str) -> dict[str, Any]:
    """The figures of a file as plain values: bytes, samples, Hz, seconds, kbit/s; ids in hexadecimal."""
    header = found.header
    return {
        "file": file,
        "seconds": found.seconds,
        "samples": found.samples,
        "source_rate": header.source_rate,
        "channels": header.channels,
        "layout": header.layout.name.lower(),
        "file_bytes": found.file_bytes,
        "header_bytes": found.header_bytes,
        "payload_bytes": found.payload_bytes,
        "packet_overhead_bytes": found.packet_overhead,
        "end_bytes": found.end_bytes,
        "file_kbps": found.kbps,
        "payload_kbps": found.payload_kbps,
        "pcm_ratio": _ratio(found),
        "packets": found.packets,
        "frames": found.frames,
        "frames_per_packet": header.frames_per_packet,
        "rate": header.rate,
        "hop": header.hop,
        "latents": header.latents,
        "components": header.components,
        "fidelity": header.fidelity,
        "fidelity_rule": header.fidelity_rule.name.lower(),
        "step": header.step,
        "seed": header.seed,
        "model_name": header.model_name,
        "model_id": header.model_id.hex(),
        "tables_id": header.tables_id.hex(),
        "tags": dict(header.tags),
        "problems": found.report.problems(),
    }


def as_text(found: FileInfo, file: str) -> str:
    """The same for people: a line for each thing, in the order of interest."""
    header = found.header
    values = as_dict(found, file)
    layout = values["layout"].replace("_", "/")
    kept = f"{header.components} of {header.latents} components"
    if header.fidelity is not None:
        kept += f" (fidelity {header.fidelity:g} by {values['fidelity_rule'].replace('_', ' ')})"
    samples = "length unknown" if found.samples is None else f"{found.samples:,} samples"
    parts = (
        f"payload {found.payload_bytes:,}, packets {found.packet_overhead:,}, "
        f"header {found.header_bytes:,}, end {found.end_bytes:,}"
    )
    rows = [
        ("sound", f"{duration(found.seconds)}: {samples} at {header.source_rate} Hz, {header.channels} ({layout})"),
        ("file", f"{found.file_bytes:,} bytes ({parts})"),
        ("bitrate", f"{found.kbps:.3f} kbit/s of file, {found.payload_kbps:.3f} kbit/s of payload"),
        ("ratio", f"{_ratio(found):.0f} : 1 to 16-bit PCM" if _ratio(found) else "-"),
        ("packets", f"{found.packets} of up to {header.frames_per_packet} frames; {found.frames} frames in all"),
        ("latents", f"{header.rate / header.hop:.2f} frames a second ({header.rate} Hz / {header.hop}), {kept}"),
        ("step", f"{header.step} (eighths of an octave)"),
        ("model", f"{header.model_name or '?'}, id {header.model_id.hex()}"),
        ("tables", header.tables_id.hex()),
        ("seed", str(header.seed)),
        *((f"tag {key}", value) for key, value in header.tags.items()),
        *(("damage", problem) for problem in found.report.problems()),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join([str(file), *(f"  {name:<{width}}  {value}" for name, value in rows)])


def _ratio(found: FileInfo) -> float | None:
    """How many times smaller than the same sound as 16-bit PCM."""
    if not found.samples:
        return None
    return 2 * found.samples * found.header.channels / found.file_bytes
