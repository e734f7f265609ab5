"""`ravecodec info`: what an .rvc file holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravecodec.cli.common import DAMAGED, Commands, duration

if TYPE_CHECKING:
    from bitstream import FileInfo
    from bitstream.bits import BitMap


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="say what an .rvc file holds",
        description="Print the header, sizes and bitrates of an .rvc file. The bitrate is that of the whole file.",
        epilog="Packets are checked, and decoded only for --bits and --plot, which need the model's tables; status 3 if"
        " any is damaged or missing.",
    )
    parser.add_argument("input", metavar="FILE", help="an .rvc file, its URL, or - for standard input")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--bits", action="store_true", help="also where the bits go: by component and by packet")
    parser.add_argument("--plot", metavar="OUT", help="draw that: a .png, .svg or .pdf file")
    parser.add_argument("--model", metavar="NAME|PATH", help="the model to take the tables from")
    parser.add_argument("--force", action="store_true", help="replace a picture that is there already")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    import bitstream  # and not ravecodec.files, which would bring soundfile
    from ravecodec.streams import STANDARD, open_coded

    if not (arguments.bits or arguments.plot):
        with open_coded(arguments.input) as file:
            found = bitstream.info(file)
        _print(arguments, as_dict(found, arguments.input), as_text(found, arguments.input))
        return DAMAGED if found.report.problems() else 0
    from bitstream.bits import bit_map
    from ravecodec.errors import UsageError
    from ravecodec.modeldata import data_for

    kind = _picture(arguments.plot)
    if arguments.input == STANDARD:
        raise UsageError("standard input is read once, and --bits and --plot read twice", advice="give a file")
    with open_coded(arguments.input) as file:
        found = bitstream.info(file)
        file.seek(0)
        bits = bit_map(file, data_for(found.header, arguments.model).tables)
    values, text = as_dict(found, arguments.input), as_text(found, arguments.input)
    if arguments.bits:
        values |= bits_dict(bits)
        text += "\n" + bits_text(bits)
    if arguments.plot:
        from ravecodec.bitplot import draw
        from ravecodec.destination import replacing

        title = f"{Path(arguments.input).name}: {found.kbps:.2f} kbit/s"
        with replacing(arguments.plot, force=arguments.force) as out:
            draw(bits, title, out, kind)
    _print(arguments, values, text)
    return DAMAGED if found.report.problems() else 0


def _print(arguments: argparse.Namespace, values: dict[str, Any], text: str) -> None:
    print(json.dumps(values, indent=2, ensure_ascii=False) if arguments.json else text)


def _picture(name: str | None) -> str:
    from ravecodec.errors import UsageError

    kind = "png" if name is None else Path(name).suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise UsageError("names no kind of picture", file=name, advice="end it in .png, .svg or .pdf")
    return kind


def bits_dict(found: BitMap) -> dict[str, Any]:
    """Model bits by component and by packet, as plain values."""
    header = found.header
    packets = [
        {
            "index": packet.index,
            "seconds": packet.start_frame * header.hop / header.rate,
            "frames": packet.frames,
            "kind": "lost" if packet.lost or packet.kind is None else packet.kind.name.lower(),
            "bytes": packet.total_bytes,
            "model_bits": round(float(bits.sum()), 3),
            "component_bits": [round(float(b), 3) for b in bits],
        }
        for packet, bits in zip(found.packets, found.bits, strict=True)
    ]
    whole = found.bits.sum(0)
    return {
        "model_bits": round(float(whole.sum()), 3),
        "component_bits": [round(float(b), 3) for b in whole],
        "packet_bits": packets,
    }


def bits_text(found: BitMap) -> str:
    """The same as two tables."""
    values = bits_dict(found)
    seconds, whole = found.seconds or 1.0, values["model_bits"] or 1.0
    lines, below = ["", "  component     bit/s   share   up to it"], 0.0
    for number, bits in enumerate(values["component_bits"], 1):
        below += bits
        lines.append(f"  {number:9}  {bits / seconds:8.1f}  {bits / whole:5.1%}  {below / whole:7.1%}")
    lines += ["", "     packet    second  frames    kind    bytes  model bits"]
    for row in values["packet_bits"]:
        lines.append(
            f"  {row['index']:9}  {row['seconds']:8.2f}  {row['frames']:6}  {row['kind']:>6}  {row['bytes']:7}"
            f"  {row['model_bits']:10.1f}"
        )
    return "\n".join(lines)


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
        "coherence": header.coherence,
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
    layout = values["layout"]
    if header.coherence is not None:
        layout += f", coherence {header.coherence:.2f}"
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
