"""Random tables with context networks, and files coded with them, for tests that compare decoders.

`python tests/context_streams.py 10000` compares the package's decoder with the reference on so many files.
"""

from __future__ import annotations

import io
import sys

import numpy as np

from bitstream import Header, Layout, Reader, Tables, Writer
from bitstream.context import ACROSS_SIZE, AROUND_SIZE, BESIDE_SIZE, STATE_SIZE, Context
from bitstream.escape import VALUE_MAX
from bitstream.reference import decoder as reference
from bitstream.tables import CHOSEN, ROW_SUM


def random_rows(dice: np.random.Generator, count: int, least: int) -> list[tuple[int, list[int]]]:
    """Rows of random width, place and shape."""
    rows = []
    for _ in range(count):
        weights = dice.exponential(size=int(dice.integers(least, 24)))
        counts = 1 + np.floor(weights / weights.sum() * (ROW_SUM - len(weights))).astype(int)
        counts[int(dice.integers(len(counts)))] += ROW_SUM - counts.sum()
        rows.append((int(dice.integers(-12, 3)), counts.tolist()))
    return rows


def random_context(
    dice: np.random.Generator, steps: int, components: np.ndarray, bank: np.ndarray, hidden: int, extreme: bool = False
) -> Context:
    """A network of random weights; with `extreme` they all lie at their bounds."""
    parts = len(components)

    def drawn(limit: int, *shape: int) -> np.ndarray:
        if extreme:
            found: np.ndarray = dice.choice([-limit, limit - 1], size=shape)
        else:
            found = dice.integers(-limit, limit, shape)
        return found

    return Context(
        components=components,
        normal=np.abs(drawn(1 << 30 if extreme else 1 << 17, steps, parts)),
        scale=np.abs(drawn(1 << 24 if extreme else 1 << 14, steps, parts)),
        level=drawn(1 << 20 if extreme else 1 << 13, steps, parts),
        feed=drawn(128, parts, AROUND_SIZE, hidden),
        straight=drawn(128, parts, AROUND_SIZE, parts),
        beside=drawn(128, parts, BESIDE_SIZE, hidden),
        across=drawn(128, parts, ACROSS_SIZE, hidden),
        state=drawn(128, parts, STATE_SIZE, hidden),
        out=drawn(128 if extreme else 8, parts, hidden + BESIDE_SIZE + ACROSS_SIZE, 2),
        base=drawn(1 << 24 if extreme else 1 << 12, parts, 2),
        bank=bank,
        switch=np.array([int(dice.integers(-1, n)) if n and dice.random() < 0.3 else -1 for n in range(parts)]),
    )


def random_tables(dice: np.random.Generator, extreme: bool = False) -> Tables:
    """Tables of a few steps and components, some of them the network's."""
    count, steps = int(dice.integers(1, 7)), np.sort(dice.choice(np.arange(-64, 64), 2, replace=False))
    classes = int(dice.integers(1, 6))
    rows = random_rows(dice, 3, 1) + random_rows(dice, 4, 2)
    bank = dice.integers(3, 7, (classes, 8))
    components = np.flatnonzero(dice.random(count) < 0.7)
    row_of = dice.integers(0, 3, (len(steps), count))
    context = None
    if len(components):
        row_of[:, components] = CHOSEN
        context = random_context(dice, len(steps), components, bank, int(dice.integers(1, 9)), extreme)
    return Tables(
        steps, row_of, [low for low, _ in rows], [len(c) for _, c in rows], [n for _, c in rows for n in c], context
    )


def random_codes(dice: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Integers of varying spread, a few of them anywhere within the format's bounds."""
    spread = dice.choice([0.0, 0.4, 2.0, 30.0])
    codes = np.rint(dice.laplace(size=shape) * spread).astype(np.int32)
    far = dice.random(shape) < dice.choice([0, 0, 0.02])
    codes[far] = dice.integers(-VALUE_MAX, VALUE_MAX + 1, int(far.sum()))
    return codes


def random_file(seed: int, extreme: bool = False) -> tuple[bytes, Tables, np.ndarray]:
    """A whole file, its tables and its integers [channels, frames, components]."""
    dice = np.random.default_rng(seed)
    tables = random_tables(dice, extreme)
    channels, full = int(dice.integers(1, 4)), int(dice.choice([1, 2, 7, 20, 40]))
    frames, components = int(dice.integers(0, 60)), int(dice.integers(1, tables.components + 1))
    layout = (Layout.MONO, Layout.JOINT, Layout.DISCRETE)[channels - 1]
    header = Header(
        components, channels, layout, step=int(dice.choice(tables.steps)), frames_per_packet=full, tables_id=tables.id,
        seed=seed, samples=None if seed % 2 else 2048 * frames, tags={"seed": str(seed)} if seed % 3 else {},
        rate=48000 if seed % 5 else 44100,
    )  # fmt: skip
    codes = random_codes(dice, (channels, frames, components))
    if seed % 4 == 0:
        codes[:, : 2 * full] = codes[:, :1]
    codes = tables.switched(codes, linked=layout != Layout.DISCRETE)
    out = io.BytesIO()
    with Writer(out, header, tables) as writer:
        for first in range(0, frames, full):
            coarser = int(tables.steps[-1]) - header.step
            writer.write(codes[:, first : first + full], coarser=coarser if dice.random() < 0.3 else 0)
    return out.getvalue(), tables, codes


def flat(tables: Tables) -> dict[str, list[int]]:
    """Tables as the reference decoder holds them."""
    arrays = {name.removeprefix("context_"): array for name, array in tables.to_arrays().items()}
    return {name: array.ravel().tolist() for name, array in arrays.items()}


def agree(seed: int, extreme: bool) -> bool:
    """Whether both decoders give the integers of a random file."""
    data, tables, codes = random_file(seed, extreme)
    packets = list(Reader.from_bytes(data, tables).packets())
    found = np.concatenate([codes[:, :0], *(packet.codes for packet in packets if packet.codes is not None)], 1)
    plain, _ = reference.decode(data, flat(tables))
    return np.array_equal(found, codes) and plain == codes.transpose(1, 0, 2).tolist()


if __name__ == "__main__":
    count = int(sys.argv[1])
    wrong = [seed for seed in range(count) if not agree(seed, seed % 2 == 1)]
    sys.stdout.write(f"{count - len(wrong)} of {count} files agree {wrong[:9] or ''}\n")
    sys.exit(bool(wrong))
