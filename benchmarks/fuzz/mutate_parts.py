"""Millions of mutated inputs for the format's parts, without coverage: many times faster than `fuzz_parts.py`.

    python benchmarks/fuzz/mutate_parts.py 10000000 SEEDS... [--seed 0] [--record build/mutations.json]

SEEDS are folders: what `fuzz_parts.py` found, and files of the format (tests/vectors); beside them stand sound inputs
made here. Every input is one of them with one to four changes, and the parts are tried in turn. No input of a run is
tried twice: the record counts those that were passed over. An input that breaks a rule is left beside the record as
crash-*.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
from pathlib import Path

import numpy as np
from parts import HEADER, PARTS, TABLES, Record

from bitstream import Reader, RvcError, Writer
from bitstream.binary import read_varint
from bitstream.header import MAGIC
from bitstream.packet import Kind, max_payload, parse_head

TELLING = (0x00, 0x01, 0x7F, 0x80, 0x81, 0xFE, 0xFF)
LONGEST = 600  # bytes of a seed that are kept


class Seen:
    """Remembers inputs by 64 bits of a hash, in a table of numbers: a set of as many would take gigabytes."""

    def __init__(self, most: int) -> None:
        self._table = np.full(1 << (2 * most).bit_length(), 0, np.uint64)  # written to: its memory is in use at once

    def add(self, data: bytes) -> bool:
        """Whether an input is new; a new one is taken for an old one once in 10^12 times."""
        number = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1
        table, mask = self._table, len(self._table) - 1
        place = number & mask
        while (there := int(table[place])) != number:
            if not there:
                table[place] = number
                return True
            place = (place + 1) & mask
        return False


def mutate(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """The data with one change: a bit, a byte, some bytes more or less, or another input's end."""
    if not data:
        return other
    place, change = dice.randrange(len(data)), dice.randrange(6)
    if change == 0:
        return data[:place] + bytes([data[place] ^ 1 << dice.randrange(8)]) + data[place + 1 :]
    if change == 1:
        return data[:place] + bytes([dice.choice(TELLING)]) + data[place + 1 :]
    if change == 2:
        return data[:place] + dice.randbytes(dice.randrange(1, 5)) + data[place:]
    if change == 3:
        return data[:place] + data[place + dice.randrange(1, 5) :]
    if change == 4:
        return data[:place] + other[dice.randrange(len(other) + 1) :]
    return data[:place] + data[place : place + 8] + data[place:]


def files(count: int) -> list[bytes]:
    """Small files of the parts' header and tables."""
    made = []
    for n in range(count):
        out = io.BytesIO()
        codes = np.round(np.random.default_rng(n).laplace(size=(1, 2 + 5 * n, 4)) * [6, 2, 1, 0.3]).astype(np.int32)
        with Writer(out, HEADER, TABLES) as writer:
            for start in range(0, codes.shape[1], HEADER.frames_per_packet):
                writer.write(codes[:, start : start + HEADER.frames_per_packet])
        made.append(out.getvalue())
    return made


def seeds_of(folders: list[Path]) -> dict[str, list[bytes]]:
    """Sound inputs of each part, cut to a length that is read quickly: files made here and those of the folders."""
    read = [path.read_bytes() for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
    seeds: dict[str, list[bytes]] = {part.__name__: [] for part in PARTS}
    for data in read:
        if not data.startswith(MAGIC) and data:  # an input that fuzz_parts.py found
            seeds[PARTS[data[0] & 7].__name__].append(data[1:])
    own = files(12)
    for data in own + [d for d in read if d.startswith(MAGIC)]:
        seeds["whole_header"].append(data)
        seeds["whole_file"].append(data)
        try:
            size, start = read_varint(data, len(MAGIC) + 1)
        except RvcError:
            continue
        seeds["sealed_header"].append(data[start : start + size])
    for data in own:
        place = Reader.from_bytes(data).header_bytes
        seeds["reader"].append(data[place:])
        while (head := parse_head(data, place, max_payload(HEADER), HEADER.frames_per_packet)) is not None:
            payload = data[place + head.size : place + head.total]
            seeds["packet_head"].append(data[place : place + head.total])
            if head.kind == Kind.END:
                seeds["end_record"].append(bytes([head.index]) + payload)
            elif head.kind == Kind.CODED:
                seeds["entropy"].append(bytes([0]) + payload)
                seeds["context_entropy"] += [bytes([kind]) + payload for kind in (0, 0x21, 0x72)]
            place += head.total
    return {name: [seed[:LONGEST] for seed in found] for name, found in seeds.items()}


def main() -> None:
    """Try as many inputs as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=int)
    parser.add_argument("seeds", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, default=Path("mutations.json"))
    options = parser.parse_args()
    dice, seeds = random.Random(options.seed), seeds_of(options.seeds)
    seen = Seen(options.inputs)  # before the record begins, which knows how much memory was in use then
    record = Record(options.record)
    while record.inputs < options.inputs:
        part = record.inputs % len(PARTS)
        known = seeds[PARTS[part].__name__]
        data = dice.choice(known)
        for _ in range(dice.randrange(1, 5)):
            data = mutate(data, dice.choice(known), dice)
        data = bytes([part]) + data
        if not seen.add(data):
            record.repeats += 1
            continue
        try:
            record.one_input(data)
        except BaseException:
            name = f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
            options.record.with_name(name).write_bytes(data)
            raise
    record.write()


if __name__ == "__main__":
    main()
