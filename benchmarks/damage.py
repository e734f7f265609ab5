"""What becomes of a damaged file: every flipped bit, every length it can be cut to, every packet removed or doubled.

    python benchmarks/damage.py                 # a small file of integers made by formula
    python benchmarks/damage.py sound.rvc       # this file, with the tables of the installed model

For each kind of damage it counts the outcomes, and checks that a reader never gives other integers than those written
without saying so. The status is 1 if it ever does.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from bitstream import FormatError, Header, Reader, Tables, Writer

Damage = Iterator[bytes]


def sample() -> tuple[bytes, Tables]:
    """A small file: coded, silent and steady packets, a short one at the end."""
    rng = np.random.default_rng(1)
    codes = np.round(rng.laplace(size=(1, 91, 6)) * [6, 3, 1.5, 0.7, 0.3, 0.1]).astype(np.int32)
    codes[:, 32:48], codes[:, 48:64] = 0, codes[:, 48:49]
    tables = Tables.fit({0: codes[0]})
    out = io.BytesIO()
    header = Header(components=6, frames_per_packet=16, samples=91 * 2048 - 5, tables_id=tables.id, tags={"title": "x"})
    with Writer(out, header, tables) as writer:
        for start in range(0, 91, 16):
            writer.write(codes[:, start : start + 16])
    return out.getvalue(), tables


def places(data: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Bytes of the header, and where each packet begins and ends."""
    reader = Reader.from_bytes(data)
    spans = [(p.offset, p.offset + p.total_bytes) for p in reader.walk() if p.offset is not None]
    return reader.header_bytes, spans


def flips(data: bytes, first: int, last: int) -> Damage:
    """Every bit of the bytes first..last, flipped alone."""
    for place in range(8 * first, 8 * last):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        yield bytes(damaged)


def outcome(data: bytes, tables: Tables, written: dict[int, bytes]) -> str:
    """What a reader makes of the bytes, in a word or two; "WRONG" if it gives wrong integers in silence."""
    try:
        reader = Reader.from_bytes(data, tables)
        packets = list(reader.packets())
    except FormatError:
        return "refused: the header does not hold"
    report = reader.report
    wrong = any(p.codes is not None and p.codes.tobytes() != written.get(p.index) for p in packets)
    missing = sum(p.index in written for p in packets if p.codes is not None) < len(written)
    if wrong and not report.problems():
        return "WRONG integers in silence"
    if wrong:
        return "wrong integers, reported"
    if report.lost:
        return f"{report.lost} packet(s) lost, reported; the rest decodes"
    if missing and report.problems():
        return "cut short, reported; what is there decodes"
    if missing:
        return "WRONG: integers missing in silence"
    if not report.problems():
        return "nothing is wrong: the file as it was"
    said = "; ".join(problem.lstrip("0123456789 ") for problem in report.problems())
    return f"all integers right; reported: {said}"


def table(data: bytes, tables: Tables, every: int = 1) -> dict[str, Counter[str]]:
    """Outcomes of each kind of damage; with `every` only one in so many flips and cuts is tried."""
    reader = Reader.from_bytes(data, tables)
    written = {p.index: p.codes.tobytes() for p in reader.packets() if p.codes is not None}
    assert reader.report.exact
    start, spans = places(data)
    end = spans[-1][1]
    kinds: dict[str, Damage] = {
        "bit flipped in the header": flips(data, 0, start),
        "bit flipped in a packet": flips(data, start, end),
        "bit flipped in the end record": flips(data, end, len(data)),
        "cut inside the header": (data[:n] for n in range(start)),
        "cut behind it": (data[:n] for n in range(start, len(data))),
        "one packet removed": (data[:a] + data[b:] for a, b in spans),
        "one packet doubled": (data[:b] + data[a:] for a, b in spans),
        "neighbours exchanged": (
            data[:a] + data[c:d] + data[a:b] + data[d:] for (a, b), (c, d) in pairwise(spans)
        ),
        "16 bytes of noise put in": (data[:a] + bytes(range(200, 216)) + data[a:] for a, _ in spans),
        "end record removed": iter([data[:end]]),
        "bytes behind the end": iter([data + b"more"]),
    }
    found: dict[str, Counter[str]] = {}
    for kind, files in kinds.items():
        found[kind] = Counter()
        thinned = kind.startswith(("bit", "cut"))
        for number, damaged in enumerate(files):
            if not thinned or number % every == 0:
                found[kind][outcome(damaged, tables, written)] += 1
    return found


def show(found: dict[str, Counter[str]]) -> None:
    """Print the table in Markdown."""
    print("| damage | cases | outcome |\n|---|---|---|")
    for kind, outcomes in found.items():
        for text, count in outcomes.most_common():
            print(f"| {kind} | {count} | {text} |")


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description="What becomes of a damaged .rvc file.")
    parser.add_argument("file", nargs="?", help="an .rvc file (default: a small one made by formula)")
    parser.add_argument("--every", type=int, default=1, help="try one in so many flips and cuts")
    arguments = parser.parse_args()
    if arguments.file:
        from ravecodec.modeldata import data_for

        data = Path(arguments.file).read_bytes()
        tables = data_for(Header.parse(data)).tables
    else:
        data, tables = sample()
    start = time.perf_counter()
    found = table(data, tables, arguments.every)
    show(found)
    total = sum(sum(outcomes.values()) for outcomes in found.values())
    print(f"\n{len(data)} bytes, {total} damaged files read in {time.perf_counter() - start:.1f} s")
    return any("WRONG" in text for outcomes in found.values() for text in outcomes)


if __name__ == "__main__":
    sys.exit(main())
