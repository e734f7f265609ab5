"""What the entropy model saves: correlation and entropy of each component, and bits at equal integers.

    python benchmarks/entropy.py STORE CLIPS [--model default] [--out benchmarks/entropy]

STORE is a training store, whose held-out part the model's own tables were fitted on; the plainer codes are fitted on
the same. CLIPS (a folder or a manifest) is what all are measured on: sound that no table has seen. Compared are

    static    a row of counts for every step and component
    counted   a row for every step, component and state: the integer of the frame before, and how large the two lower
              components of the frame and the frame before that are
    network   the model as it is

Writes OUT.md, and OUT.csv with a line for every component.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ravecodec
from bitstream import escape
from bitstream.fit import fit_row
from bitstream.tables import ROW_SUM, Row
from eval.corpus import load
from ravecodec.audio import read_audio
from ravecodec.codec import Codec
from ravecodec.training.store import Store

STEPS = (-8, -4, -2, 0, 4, 8, 12, 16)
NEAR, SIZES = 3, (1, 3)  # the frame before is told apart to +-3; sizes of the other integers in three classes
FEW = 60  # a state met less often is coded by the component's static row
Codes = list[NDArray[np.int32]]  # packets [channels, frames, components]


def coded(codec: Codec, audio: NDArray, rate: int, step: int) -> tuple[Codes, list[int]]:
    """Packets of a sound at a step with all components, and the bytes of their payloads."""
    reader = codec.reader(io.BytesIO(codec.encode(audio, rate, components=codec.latents, step=step)))
    packets = [p for p in reader.packets() if p.codes is not None]
    return [p.codes for p in packets if p.codes is not None], [p.payload_bytes for p in packets]


def cost(row: Row, values: NDArray) -> float:
    """Bits of integers [n] by one row."""
    low, counts = row
    bits = np.log2(ROW_SUM / np.array(counts))
    place = values - low
    escaped = (place < 0) | (place >= len(counts) - 1)
    total = bits[np.where(escaped, len(counts) - 1, place)].sum()
    if escaped.any():
        ends = np.full(int(escaped.sum()), low), np.full(int(escaped.sum()), low + len(counts) - 2)
        total += escape.bits(values[escaped], *ends).sum()
    return float(total)


def states(packet: NDArray) -> NDArray[np.int64]:
    """The state [channels, frames, components] that each integer of a packet is coded in."""
    ahead = np.pad(packet, ((0, 0), (2, 0), (2, 0)))
    before = np.clip(ahead[:, 1:-1, 2:], -NEAR, NEAR) + NEAR
    about = np.abs(ahead[:, 2:, 1:-1]) + np.abs(ahead[:, 2:, :-2]) + np.abs(ahead[:, :-2, 2:])
    return before * (len(SIZES) + 1) + np.digitize(about, SIZES)


def fit_counted(packets: Codes, component: int, static: Row) -> dict[int, Row]:
    """Rows of a component by state; a state seldom met has the static one."""
    values = np.concatenate([p[:, :, component].ravel() for p in packets])
    state = np.concatenate([states(p)[:, :, component].ravel() for p in packets])
    known = {}
    for s in np.unique(state).tolist():
        met = values[state == s]
        known[s] = fit_row(met) if len(met) >= FEW else static
    return known


def counted_bits(known: dict[int, Row], static: Row, packet: NDArray, component: int) -> float:
    """Bits of a component's integers of a packet, by their states."""
    values, state = packet[:, :, component], states(packet)[:, :, component]
    return sum(cost(known.get(s, static), values[state == s]) for s in np.unique(state).tolist())


def entropy(values: NDArray) -> float:
    """Bits of an integer by the histogram of these themselves."""
    share = np.unique(values, return_counts=True)[1] / values.size
    return float(-(share * np.log2(share)).sum())


def correlation(packets: Codes, component: int) -> float:
    """Of a component's integers with those of the frame before, in the same packets; NaN if they never change."""
    pairs = [(p[:, :-1, component].ravel(), p[:, 1:, component].ravel()) for p in packets]
    first, second = (np.concatenate(side).astype(float) for side in zip(*pairs, strict=True))
    if not first.std() or not second.std():
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/entropy"))
    options = parser.parse_args()
    codec, store, clips = ravecodec.load(options.model), Store(options.store), load(options.clips)
    bits: dict[tuple[str, int, str], float] = defaultdict(float)  # kind, step, code
    seconds: dict[str, float] = defaultdict(float)
    rows = []
    for step in STEPS:
        known: Codes = []
        for excerpt in store.held_out():
            known += coded(codec, store.read(excerpt), store.rate, step)[0]
        columns = [np.concatenate([p[:, :, k].ravel() for p in known]) for k in range(codec.latents)]
        static = [fit_row(column) for column in columns]
        counted = [fit_counted(known, k, static[k]) for k in range(codec.latents)]
        of_component = np.zeros((3, codec.latents))
        met: Codes = []
        for clip in clips:
            audio, rate = read_audio(clip.path)
            packets, sizes = coded(codec, audio, rate, step)
            met += packets
            if step == STEPS[0]:
                seconds[clip.kind] += len(audio) / rate
            for packet, size in zip(packets, sizes, strict=True):
                each = np.array(
                    [
                        [cost(static[k], packet[:, :, k].ravel()) for k in range(codec.latents)],
                        [counted_bits(counted[k], static[k], packet, k) for k in range(codec.latents)],
                        codec.tables.component_bits(packet, step),
                    ]
                )
                of_component += each
                for name, total in zip(("static", "counted", "network"), each.sum(1), strict=True):
                    bits[clip.kind, step, name] += total
                bits[clip.kind, step, "payload"] += 8 * size
                bits[clip.kind, step, "packets"] += 1
        frames = sum(p.shape[0] * p.shape[1] for p in met)
        for k in range(codec.latents):
            values = np.concatenate([p[:, :, k].ravel() for p in met])
            rows.append(
                [step, k, f"{correlation(met, k):.3f}", f"{entropy(values):.4f}"]
                + [f"{b:.4f}" for b in of_component[:, k] / frames]
            )
        print(f"step {step}: done", flush=True)
    write(options.out, codec, rows, bits, seconds)


def write(out: Path, codec: Codec, rows: list, bits: dict, seconds: dict) -> None:
    """The record as a table of all components and a page in Markdown."""
    head = ["step", "component", "correlation", "entropy", "static", "counted", "network"]
    with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    kinds = sorted(seconds)
    text = [
        "# What the entropy model saves",
        "",
        f"Model `{codec.name}`, id `{codec.model.id.hex()}`; written by `benchmarks/entropy.py`, which says what the",
        "codes are. All components, equal integers, on sound that no table has seen: "
        + ", ".join(f"{seconds[kind]:.0f} s of {kind}" for kind in kinds)
        + ".",
        "",
        "| kind | step | static, kbit/s | counted, kbit/s | network, kbit/s | network against static | against counted"
        " | payload over the model's bits | bytes a packet |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in kinds:
        for step in STEPS:
            b = {name: bits[kind, step, name] for name in ("static", "counted", "network", "payload", "packets")}
            over = b["payload"] - b["network"]
            cells = [kind, str(step)]
            cells += [f"{b[name] / seconds[kind] / 1000:.3f}" for name in ("static", "counted", "network")]
            cells += [f"{b['network'] / b[name] - 1:+.1%}" for name in ("static", "counted")]
            cells += [f"{over / b['network']:+.2%}", f"{over / 8 / b['packets']:.2f}"]
            text.append(f"| {' | '.join(cells)} |")
    text += [
        "",
        "Components in groups, all kinds, step -2: correlation with the frame before, and bits of an integer.",
        "",
        "| components | correlation | entropy of each alone | static | counted | network |",
        "|---|---|---|---|---|---|",
    ]
    chosen = np.array([[float(x) for x in row[1:]] for row in rows if row[0] == -2])
    for first in range(0, len(chosen), 8):
        part = chosen[first : first + 8]
        values = [f"{np.nanmean(part[:, 1]):.2f}"] + [f"{part[:, c].mean():.3f}" for c in (2, 3, 4, 5)]
        text.append(f"| {first}-{first + len(part) - 1} | " + " | ".join(values) + " |")
    out.with_suffix(".md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
