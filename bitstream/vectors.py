"""Conformance vectors: small files of every feature, and what a decoder must get out of them.

    python -m bitstream.vectors --write tests/vectors     # only when the format has changed on purpose
    python -m bitstream.vectors tests/vectors             # do files, integers and headers still agree?

Everything is made by integer formulas, so that the files come out the same on every machine. `vectors.json` holds for
each file its SHA-256, that of its integers (as in SPEC.md section 9, all 32 bytes), its header and its packets, or the
error a reader must give; `tables.json` the sets of tables as plain lists.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .context import ACROSS_SIZE, AROUND_SIZE, BESIDE_SIZE, STATE_SIZE, Context
from .errors import RvcError
from .header import MAGIC, FidelityRule, Header, Layout, sealed
from .reader import Reader
from .tables import CHOSEN, ROW_SUM, Row, Tables
from .writer import Writer, seed_of

STEPS, COMPONENTS = (-12, 0, 7), 10
LARGEST = (1 << 20) - 1


@lru_cache
def plain() -> Tables:
    """Tables of three steps without a network: wide rows, narrow ones, one with an escape alone."""
    return Tables.from_rows({step: [_row(c, step) for c in range(COMPONENTS)] for step in STEPS})


@lru_cache
def networked(extreme: bool = False, switched: bool = False) -> Tables:
    """The same with a context network for seven components of ten, its weights by formula or, `extreme`, at their ends.

    What such a network says is as good as noise, but the arithmetic is all there. With `switched` three of them are
    switched by others, one of these by another one still.
    """
    chosen = np.array([0, 1, 2, 4, 5, 7, 8])
    parts, hidden, steps = len(chosen), 6, len(STEPS)
    rows = [_row(component, step) for component in range(COMPONENTS) for step in STEPS]
    narrow = [(-half, _counts(half)) for half in range(1, 9)]
    row_of = np.array([[component * steps + place for component in range(COMPONENTS)] for place in range(steps)])
    row_of[:, chosen] = CHOSEN
    seed = 100

    def drawn(limit: int, *shape: int) -> NDArray[np.int64]:
        nonlocal seed
        seed += 1
        bits = hashed(seed, int(np.prod(shape))).reshape(shape)
        return np.where(bits & 1, limit - 1, -limit) if extreme else bits % (2 * limit) - limit

    context = Context(
        components=chosen,
        normal=np.abs(drawn(1 << 30 if extreme else 1 << 12, steps, parts)),
        scale=np.abs(drawn(1 << 24 if extreme else 1 << 10, steps, parts)),
        level=drawn(1 << 20 if extreme else 1 << 13, steps, parts),
        feed=drawn(128 if extreme else 24, parts, AROUND_SIZE, hidden),
        straight=drawn(128 if extreme else 12, parts, AROUND_SIZE, parts),
        beside=drawn(128 if extreme else 24, parts, BESIDE_SIZE, hidden),
        across=drawn(128 if extreme else 24, parts, ACROSS_SIZE, hidden),
        state=drawn(128 if extreme else 16, parts, STATE_SIZE, hidden),
        out=drawn(128 if extreme else 8, parts, hidden + BESIDE_SIZE + ACROSS_SIZE, 2),
        base=drawn(1 << 24 if extreme else 1 << 9, parts, 2),
        bank=len(rows) + np.minimum(np.arange(12)[:, None] // 2 + np.arange(8) % 2, len(narrow) - 1),
        switch=np.array([-1, 0, -1, 1, 2, -1, -1]) if switched else None,
    )
    every = rows + narrow
    return Tables(
        STEPS, row_of, [low for low, _ in every], [len(counts) for _, counts in every],
        [count for _, counts in every for count in counts], context,
    )  # fmt: skip


def _row(component: int, step: int) -> Row:
    """Counts that fall off on either side of a row's middle, the narrower the later the component."""
    if component == COMPONENTS - 1:
        return 0, (ROW_SUM,)
    half = max(1, (24 - step) // (2 + component))
    return -half, _counts(half)


def _counts(half: int) -> list[int]:
    weights = [1 + 4096 // (1 + abs(n) ** 2) for n in range(-half, half)] + [3]
    counts = [1 + weight * (ROW_SUM - len(weights)) // sum(weights) for weight in weights]
    counts[half] += ROW_SUM - sum(counts)
    return counts


def hashed(seed: int, count: int) -> NDArray[np.int64]:
    """Numbers 0 to 2^32 - 1: a 32-bit hash of their place."""
    place = np.arange(count, dtype=np.uint32) + np.uint32(seed * 0x9E3779B1 & 0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        place = (place ^ place >> np.uint32(shift)) * np.uint32(factor)
    return (place ^ place >> np.uint32(16)).astype(np.int64)


def noise(seed: int, shape: tuple[int, int, int], spread: int = 6) -> NDArray[np.int32]:
    """Integers [channels, frames, components], smaller in later components."""
    bits = hashed(seed, int(np.prod(shape))).reshape(shape)
    size = 1 + spread // (1 + np.arange(shape[2]) // 2)
    low, high = bits % (2 * size + 1), (bits >> 8) % (2 * size + 1)  # a triangle
    return ((low + high) // 2 - size).astype(np.int32)


SETS: dict[str, Callable[[], Tables]] = {
    "plain": plain, "context": networked, "extreme-context": partial(networked, True),
    "switched-context": partial(networked, switched=True),
}  # fmt: skip


def _write(
    header: Header,
    codes: NDArray[np.int32],
    lost: int | None = None,
    coarser: Sequence[int] = (),
    tables: Tables | None = None,
    **close: Any,
) -> bytes:
    out = io.BytesIO()
    full = header.frames_per_packet
    tables = tables or plain()
    codes = tables.switched(codes, header.layout != Layout.DISCRETE).astype(np.int32)
    header = replace(header, seed=seed_of(codes[:, :full]), tables_id=tables.id, model_id=bytes(range(16)))
    writer = Writer(out, header, tables)
    for number, start in enumerate(range(0, codes.shape[1], full)):
        part = codes[:, start : start + full]
        if number == lost:
            writer.lose(part.shape[1])
        else:
            writer.write(part, coarser[number] if coarser else 0)
    writer.close(**close)
    return out.getvalue()


def files() -> Iterator[tuple[str, bytes]]:
    """Every vector: its name and its bytes."""
    usual = Header(components=8, frames_per_packet=16, samples=100 * 2048 - 700)
    mono = noise(1, (1, 100, 8))
    yield "mono", _write(usual, mono)
    yield "one-frame", _write(replace(usual, samples=1), mono[:, :1])
    yield "empty", _write(replace(usual, samples=0), mono[:, :0])
    yield "unknown-length", _write(replace(usual, samples=None, source_rate=44100), mono, samples=188_000)
    yield "never-known-length", _write(replace(usual, samples=None), mono)
    stereo = replace(usual, channels=2, layout=Layout.JOINT, source_rate=44100, samples=150_000)
    yield "joint", _write(stereo, noise(2, (2, 80, 8)))
    yield "discrete", _write(replace(usual, channels=8, layout=Layout.DISCRETE), noise(3, (8, 20, 8)))
    for step in STEPS:
        yield f"step{step:+d}", _write(replace(usual, step=step), noise(4, (1, 50, 8), 14 - step))
    for count in (1, COMPONENTS):
        yield f"components-{count}", _write(replace(usual, components=count), noise(5, (1, 50, count)))
    silent = noise(6, (1, 96, 8))
    silent[:, 16:32], silent[:, 48:64], silent[:, 80:] = 0, silent[:, 48:49], silent[:, 80:81]
    yield "zero-and-steady", _write(usual, silent)
    wild = noise(7, (1, 20, COMPONENTS))
    wild[0, 3:13, 0] = wild[0, 5:15, 9] = [LARGEST, -LARGEST, 999, -999, 32768, -32769, 40, -40, 13, -13]
    yield "escapes", _write(replace(usual, components=COMPONENTS), wild)
    yield "live", _write(replace(usual, frames_per_packet=1, samples=None), noise(8, (1, 30, 8)), samples=61_440)
    yield "long-packet", _write(replace(usual, frames_per_packet=1024), noise(9, (1, 300, 8)))
    yield "lost-packet", _write(usual, mono, lost=2)
    fine = replace(usual, step=-12, samples=98 * 2048)
    yield "coarser-packets", _write(fine, mono[:, :98], coarser=(0, 12, 19, 0, 12, 0, 12))
    yield "coarser-frames", _write(replace(fine, frames_per_packet=1), mono[:, :4], coarser=(12, 0, 19, 12))
    family = replace(usual, rate=32000, hop=1024, latents=64, source_rate=48000, samples=150_000)
    yield "other-family", _write(family, mono)
    about = replace(
        usual, fidelity=0.987654, fidelity_rule=FidelityRule.SIGMA_SQUARED, model_name="mödel",
        tags={"title": "Ä=B", "artist": ""}, unknown=((6, b"later"), (1000, b"")),
    )  # fmt: skip
    yield "all-fields", _write(about, mono)
    yield "coherence", _write(replace(stereo, coherence=0.6), noise(2, (2, 20, 8)))
    wide = replace(usual, components=COMPONENTS, samples=None)
    for name, known in (("context", networked()), ("extreme-context", networked(True))):
        yield f"{name}-mono", _write(wide, noise(11, (1, 100, COMPONENTS)), tables=known)
        sides = replace(wide, channels=2, layout=Layout.JOINT)
        yield f"{name}-joint", _write(sides, noise(12, (2, 37, COMPONENTS)), tables=known)
        yield f"{name}-escapes", _write(wide, wild, tables=known)
    many = replace(wide, channels=3, layout=Layout.DISCRETE, components=6, frames_per_packet=33, step=7)
    yield "context-discrete", _write(many, noise(13, (3, 70, 6), 3), tables=networked())
    yield "context-live", _write(replace(wide, frames_per_packet=1), noise(14, (1, 9, COMPONENTS)), tables=networked())
    still = np.repeat(noise(15, (1, 1, COMPONENTS)), 40, axis=1)
    still[:, 16:32] = 0
    yield "context-zero-and-steady", _write(wide, still, tables=networked())
    steps = replace(wide, step=-12)
    yield "context-coarser", _write(steps, noise(16, (1, 60, COMPONENTS)), coarser=(0, 12, 19, 12), tables=networked())
    known = networked(switched=True)
    yield "switched-context-mono", _write(wide, noise(17, (1, 100, COMPONENTS)), tables=known)
    yield "switched-context-joint", _write(sides, noise(18, (2, 37, COMPONENTS)), tables=known)
    yield "switched-context-discrete", _write(many, noise(19, (3, 70, 6), 3), tables=known)
    yield "switched-context-escapes", _write(wide, wild, tables=known)
    data = _write(usual, mono)
    yield "cut-short", data[: len(data) * 2 // 3]
    middle = len(data) // 2
    yield "flipped-bit", data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
    yield "trailing-bytes", data + b"more"
    yield "newer-version", data[:8] + b"\x02" + data[9:]
    yield "newer-flag", sealed(_core(data, first=0x80))
    yield "no-such-layout", sealed(_core(data, first=0x08))
    yield "critical-field", sealed(_core(data) + b"\x07\x01x")
    yield "header-damaged", data[:20] + bytes([data[20] ^ 1]) + data[21:]


def _core(data: bytes, first: int = 0) -> bytes:
    """The core fields of a header without optional ones, bits of their first byte flipped."""
    core = data[len(MAGIC) + 2 : Reader.from_bytes(data).header_bytes - 4]
    return bytes([core[0] ^ first]) + core[1:]


def expected(data: bytes) -> dict[str, Any]:
    """What a decoder gets out of a file."""
    found: dict[str, Any] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    digest = hashlib.sha256()
    try:
        reader = Reader.from_bytes(data)
        known = next(name for name, tables in SETS.items() if tables().id == reader.header.tables_id)
        reader.tables = SETS[known]()
        packets = list(reader.packets())
    except RvcError as error:
        return found | {"error": type(error).__name__}
    for packet in packets:
        if packet.codes is not None:
            digest.update(packet.codes.transpose(1, 0, 2).astype("<i4").tobytes())
    report = reader.report
    return found | {
        "tables": known,
        "integers_sha256": digest.hexdigest(),
        "frames": report.frames,
        "samples": report.samples,
        "packets": [
            {"index": p.index, "frames": p.frames, "coarser": p.coarser,
             "kind": None if p.kind is None or p.lost else int(p.kind)}
            for p in packets
        ],
        "hash_holds": report.hash_ok,
        "complete": report.complete,
        "header": header_dict(reader.header),
    }


def header_dict(header: Header) -> dict[str, Any]:
    """The fields of a header as plain values; ids and unknown fields in hexadecimal."""
    fields = {name: getattr(header, name) for name in Header.__dataclass_fields__}
    fields |= {name: int(fields[name]) for name in ("layout", "fidelity_rule")}
    fields |= {name: fields[name].hex() for name in ("model_id", "tables_id")}
    return fields | {"tags": dict(header.tags), "unknown": [[kind, data.hex()] for kind, data in header.unknown]}


def documents() -> dict[str, bytes]:
    """All that is written, by file name."""
    made = {f"{name}.rvc": data for name, data in files()}
    arrays = {
        name: {"id": tables().id.hex()} | {key: array.tolist() for key, array in tables().to_arrays().items()}
        for name, tables in SETS.items()
    }
    about = {name: expected(data) for name, data in made.items()}
    made["tables.json"] = json.dumps(arrays).encode() + b"\n"
    made["vectors.json"] = json.dumps(about, indent=1, ensure_ascii=False).encode() + b"\n"
    return made


def differences(folder: Path) -> list[str]:
    """In words, what of a folder of vectors is not what this version would write; empty if all is."""
    made = documents()
    there = {path.name for path in folder.iterdir() if path.suffix in (".rvc", ".json")}
    found = [f"{name}: is no vector" for name in sorted(there - set(made))]
    for name, data in made.items():
        if name not in there:
            found.append(f"{name}: is missing")
        elif (folder / name).read_bytes() != data:
            found.append(f"{name}: differs")
    return found


def main(argv: list[str] | None = None, say: Callable[[str], object] = sys.stdout.write) -> int:
    """Write or check a folder of vectors; the exit status."""
    parser = argparse.ArgumentParser(description="Write or check the conformance vectors of the .rvc format.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="write them, replacing what is there")
    arguments = parser.parse_args(argv)
    if not arguments.write:
        found = differences(arguments.folder)
        say("".join(f"{line}\n" for line in found) or "all vectors hold\n")
        return 1 if found else 0
    made = documents()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for old in arguments.folder.glob("*.rvc"):
        old.unlink()
    for name, data in made.items():
        (arguments.folder / name).write_bytes(data)
    say(f"{len(made)} files, {sum(map(len, made.values()))} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
