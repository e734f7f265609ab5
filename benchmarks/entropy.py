"""What the entropy model saves: correlation and entropy of each component, and bits at equal integers.

    python benchmarks/entropy.py STORE CLIPS [--model default] [--out benchmarks/entropy]

STORE is a training store, whose held-out part the rows of the model's own tables were fitted on; the plainer codes are
fitted on the same. What chooses the model's rows, the network, learned from the training part as well. CLIPS (a folder
or a manifest) is what all are measured on: sound that no table has seen. Compared are

    static    a row of counts for every step and component
    counted   a row for every step, component and state: the integer of the frame before, and how large the two lower
              components of the frame and the frame before that are
    network   the model as it is

Writes OUT.md, and OUT.csv with a line for every component.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ravecodec
from bitstream import Tables
from bitstream.content import pack
from bitstream.fit import fit_row
from eval.corpus import load
from ravecodec.analysis import Analysis
from ravecodec.audio import as_samples, read_audio
from ravecodec.codec import Codec
from ravecodec.quantiser import Quantiser
from ravecodec.training.store import Store

STEPS = (-8, -4, -2, 0, 4, 8, 12, 16)
NEAR, SIZES = 3, (1, 3)  # the frame before is told apart to +-3; sizes of the other integers in three classes
FEW = 60  # a state met less often is coded by the component's static row
STATES = (2 * NEAR + 1) * (len(SIZES) + 1)
Codes = list[NDArray]  # packets [channels, frames, components]


def latents(codec: Codec, audio: NDArray, rate: int) -> Codes:
    """A sound's packets as all components, unrounded [channels, frames, components]: the network runs once."""
    samples = as_samples(audio)
    quantiser = Quantiser(codec.basis, codec.tables)
    means = Analysis(codec.network).latents([samples], rate, samples.shape[1])
    return [quantiser.rotated(part) for part in means]


def states(packet: NDArray) -> NDArray[np.int64]:
    """The state [channels, frames, components] that each integer of a packet is coded in."""
    ahead = np.pad(packet, ((0, 0), (2, 0), (2, 0)))
    before = np.clip(ahead[:, 1:-1, 2:], -NEAR, NEAR) + NEAR
    about = np.abs(ahead[:, 2:, 1:-1]) + np.abs(ahead[:, 2:, :-2]) + np.abs(ahead[:, :-2, 2:])
    return before * (len(SIZES) + 1) + np.digitize(about, SIZES)


class Counted:
    """A row of counts for every state of a component; a state seldom met has the component's static row."""

    def __init__(self, packets: Codes, component: int) -> None:
        values = np.concatenate([p[:, :, component].ravel() for p in packets])
        state = np.concatenate([states(p)[:, :, component].ravel() for p in packets])
        rows, place = [fit_row(values)], np.zeros(STATES, np.int64)
        for s in np.flatnonzero(np.bincount(state, minlength=STATES) >= FEW):
            place[s] = len(rows)
            rows.append(fit_row(values[state == s]))
        self._component, self._tables = component, Tables.from_rows({0: rows})
        self._rows = self._tables.rows(0, len(rows))[place]

    def bits(self, packet: NDArray, state: NDArray) -> float:
        """Bits of the component's integers of a packet [channels, frames, components], whose states these are."""
        rows = self._rows[state[..., self._component]]
        return float(self._tables.price(packet[..., self._component].astype(np.int64), rows).sum())


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
    quantiser = Quantiser(codec.basis, codec.tables)

    def integers(sounds: Iterable[Codes], step: int) -> list[Codes]:
        return [[quantiser.integers(part, step, codec.latents) for part in sound] for sound in sounds]

    held_out = [latents(codec, store.read(excerpt), store.rate) for excerpt in store.held_out()]
    measured = []
    for clip in clips:
        audio, rate = read_audio(clip.path)
        measured.append(latents(codec, audio, rate))
        seconds[clip.kind] += len(audio) / rate
    for step in STEPS:
        known = list(chain.from_iterable(integers(held_out, step)))
        static = Tables.fit({step: np.concatenate([p.reshape(-1, codec.latents) for p in known])})
        counted = [Counted(known, k) for k in range(codec.latents)]
        of_component = np.zeros((3, codec.latents))
        met: Codes = []
        for clip, packets in zip(clips, integers(measured, step), strict=True):
            met += packets
            for packet, (_, payload) in zip(packets, pack(packets, codec.tables, step), strict=True):
                state = states(packet)
                each = np.array(
                    [
                        static.component_bits(packet, step),
                        [rows.bits(packet, state) for rows in counted],
                        codec.tables.component_bits(packet, step),
                    ]
                )
                of_component += each
                for name, total in zip(("static", "counted", "network"), each.sum(1), strict=True):
                    bits[clip.kind, step, name] += total
                bits[clip.kind, step, "payload"] += 8 * len(payload)
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
