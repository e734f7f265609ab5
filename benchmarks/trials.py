"""What makes a young network learn soonest: equal-compute trials of stage 1, each from nothing.

    python benchmarks/trials.py STORE CLIPS [--minutes 5] [--arms base snake ...] [--jobs 2] [--out benchmarks/trials]

Every arm (`arms.py`) changes one thing of the usual recipe, trains for the same time on one thread on every sixth
excerpt of STORE, and is then measured on CLIPS (a folder or a manifest): the averaged weights, the posterior sampled,
nothing quantised. Rates are those of the KL term at the end: they are steered to the same for all, which takes more
than a few hundred updates. (Samples are unkind to many rough latents, which integers are not: log 52 in `recipes`.)
Only arms of one machine, with the same --minutes and --jobs, may be compared. Writes
OUT.csv, where arms measured before stay, and OUT.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arms import ARMS, as_toml, changed, patch

from eval.corpus import Clip, load
from eval.metrics.fine_structure import fine_structure
from eval.metrics.intelligibility import estoi
from eval.metrics.log_mel import log_mel_distance
from eval.metrics.spectral_distance import spectral_distance
from eval.provenance import machine
from ravecodec.audio import read_audio
from ravecodec.modelfile import save_model
from ravecodec.network import vae
from ravecodec.network.config import load_preset
from ravecodec.training import run, stages
from ravecodec.training.options import TrainOptions
from ravecodec.training.store import FORMAT, INDEX, SOUND

SHARE = 6  # every sixth excerpt
EVERY = 3  # every third clip of each kind
ALONE: dict[str, Any] = {  # one thread, and nothing written on the way
    "accelerator": "cpu", "threads": 1, "checkpoint_seconds": 1e9, "audio_every": 10**9, "log_every": 10,
}  # fmt: skip
ADVERSARIAL = {"learning_rate": 5e-4, "adversarial_weight": 0.3, "matching_weight": 2.0, "warmup": 50}
METRICS = ("spectral", "log_mel", "fine", "estoi")
FIELDS = ("arm", "what", "kind", "clips", *METRICS, "kbps", "updates", "hours", "minutes", "machine", "torch")


def sixth(store: Path, out: Path) -> Path:
    """A store of every sixth excerpt, which shares the sound."""
    out.mkdir(parents=True, exist_ok=True)
    lines = (store / INDEX).read_text(encoding="utf-8").splitlines(keepends=True)
    (out / INDEX).write_text("".join(lines[::SHARE]), encoding="utf-8")
    (out / FORMAT).write_text((store / FORMAT).read_text())
    if not (out / SOUND).exists():
        (out / SOUND).symlink_to((store / SOUND).resolve())
    return out


def some(clips: Path) -> list[Clip]:
    """Every third clip of each kind."""
    numbers: dict[str, int] = {}
    chosen = []
    for clip in load(clips):
        numbers[clip.kind] = numbers.get(clip.kind, 0) + 1
        if numbers[clip.kind] % EVERY == 1:
            chosen.append(clip)
    return chosen


def trial(arm: str, store: Path, clips: Path, minutes: float) -> list[dict[str, Any]]:
    """Train and measure one arm in this process; a row for each kind of clip."""
    asked = ARMS[arm]
    patch(asked.code)
    config = changed(load_preset(asked.preset), asked.network)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "arm.toml"
        text.write_text(as_toml(config.to_dict()))
        usual = TrainOptions(
            sixth(store, Path(folder) / "store"), Path(folder) / "run", preset=str(text), batch=4, beta_start=0.02,
            minutes=minutes * (1 - asked.adversarial), **ALONE,
        )  # fmt: skip
        trainer = run.Trainer(replace(usual, **asked.options))
        last = trainer.run(lambda step, values: None)
        updates, seen = trainer.step, trainer.seen
        net = trainer.averaged_network()
        if asked.adversarial:
            start = Path(folder) / "stage1.safetensors"
            save_model(start, net, "stage1")
            second = replace(usual, out=Path(folder) / "second", stage=2, init_from=str(start), ema=0.99,
                             minutes=minutes * asked.adversarial, **ADVERSARIAL)  # fmt: skip
            trainer = run.Trainer(second)
            trainer.run(lambda step, values: None)
            updates, seen = updates + trainer.step, seen + trainer.seen
            net = trainer.averaged_network()
    found: dict[str, list[list[float]]] = {}
    for clip in some(clips):
        found.setdefault(clip.kind, []).append(measure(net, clip.path))
    return [
        {
            "arm": arm, "what": asked.what, "kind": kind, "clips": len(values),
            **{m: round(float(v), 4) for m, v in zip(METRICS, np.nanmean(np.array(values), 0), strict=True)},
            "kbps": round(last.get("kilobits", float("nan")), 3), "updates": updates,
            "hours": round(seen / 3600, 3), "minutes": minutes, "machine": machine()["processor"],
            "torch": torch.__version__,
        }
        for kind, values in found.items()
    ]  # fmt: skip


@torch.inference_mode()
def measure(net: vae.RaveNet, path: Path) -> list[float]:
    """The metrics of one clip, sent as samples of its posterior."""
    audio, rate = read_audio(path)
    x = np.asarray(audio, np.float32).reshape(len(audio), -1).mean(1)
    if rate != net.config.rate:
        raise SystemExit(f"{path}: at {rate} Hz, not {net.config.rate}")
    torch.manual_seed(0)
    sound = torch.from_numpy(np.pad(x, (0, -len(x) % net.config.hop)))[None, None]
    latents = net.encode(sound).sample()
    decoded = net.render(latents, stages.training_noise(net, sound))[0]
    y = decoded[0, 0, net.delay :].numpy()[: len(x)].astype(np.float64)
    x = x.astype(np.float64)[: len(y)]
    values = (spectral_distance(x, y), log_mel_distance(x, y), fine_structure(x, y), estoi(x, y))
    return [float("nan") if v is None else float(v) for v in values]


def write(out: Path, rows: list[dict[str, Any]]) -> None:
    """OUT.csv and OUT.md."""
    with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = ["# What makes a young network learn soonest", "", "Written by `benchmarks/trials.py`, which says how."]
    runs = sorted({(str(r["machine"]), str(r["minutes"])) for r in rows})
    for name, minutes in runs:
        these = [r for r in rows if (str(r["machine"]), str(r["minutes"])) == (name, minutes)]
        kinds = sorted({r["kind"] for r in these})
        lines += ["", f"## {minutes} minutes on one thread: {name}", ""]
        heads = [f"{k}: spectral / log-mel / fine" + (" / ESTOI" if k == "speech" else "") for k in kinds]
        lines += ["| " + " | ".join(["arm", "what", *heads, "kbit/s", "updates", "hours of sound"]) + " |"]
        lines += ["|" + " --- |" * (len(heads) + 5)]
        for arm in dict.fromkeys(r["arm"] for r in these):
            own = {r["kind"]: r for r in these if r["arm"] == arm}
            first = next(iter(own.values()))
            cells = [
                " / ".join(f"{float(own[k][m]):.3f}" for m in METRICS[: 4 if k == "speech" else 3]) for k in kinds
            ]
            told = [arm, first["what"], *cells, *(str(first[k]) for k in ("kbps", "updates", "hours"))]
            lines.append("| " + " | ".join(told) + " |")
    out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run the arms, each in a process of its own, and write the record after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/trials"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one arm, its rows to standard output
    options = parser.parse_args()
    if options.here:
        print(json.dumps(trial(options.arms[0], options.store, options.clips, options.minutes)))
        return
    table = options.out.with_suffix(".csv")
    rows: list[dict[str, Any]] = []
    if table.exists():
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))

    def one(arm: str) -> tuple[str, subprocess.CompletedProcess[str]]:
        command = [sys.executable, __file__, str(options.store), str(options.clips), "--here", "--arms", arm,
                   "--minutes", str(options.minutes)]  # fmt: skip
        return arm, subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)

    began = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        for arm, done in pool.map(one, options.arms):
            if done.returncode:
                print(f"{arm}: failed", file=sys.stderr)
                continue
            fresh = json.loads(done.stdout.splitlines()[-1])
            key = (arm, fresh[0]["machine"], str(fresh[0]["minutes"]))
            rows = [r for r in rows if (r["arm"], r["machine"], str(r["minutes"])) != key] + fresh
            write(options.out, rows)
            print(f"{arm}: done after {(time.monotonic() - began) / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
