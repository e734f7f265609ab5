"""What helps a decoder: equal-compute trials of stage 2, judged by BD-rate.

    python benchmarks/decoders.py STORE CLIPS [--model default] [--minutes 12] [--arms usual ...] [--jobs 2]
        [--out benchmarks/decoders]

Every arm trains the decoder of the model for the same time on one thread of its own, changing one thing of the usual
stage 2, and keeps all of what it learned. The encoder, the basis and the tables stay, so all arms send the same bits.
Every third clip of each kind of CLIPS (a folder or a manifest) is swept over five steps and compared with the first
arm, and so is the model that they began from. Writes OUT.csv and OUT.md.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from arms import Arm
from torch import Tensor, nn
from trials import ALONE, some

from eval import compare
from eval.metrics.log_mel import BANDS, WINDOW, filterbank
from eval.provenance import machine
from eval.results import Results
from ravecodec.modelfile import load_model, save_model
from ravecodec.training import run, stages
from ravecodec.training.calibrate import load_network
from ravecodec.training.losses import stft
from ravecodec.training.options import TrainOptions

STEPS = ("-8", "-2", "4", "10", "16")
METRICS = ("spectral_distance", "log_mel", "fine_structure", "estoi", "pesq", "zimtohrli")
FIELDS = ("arm", "what", "metric", "kind", "rate", "low", "high", "verdict", "updates", "minutes", "machine", "torch")
USUAL: dict[str, Any] = {
    "stage": 2, "learning_rate": 5e-4, "adversarial_weight": 0.3, "matching_weight": 2.0, "waveform_weight": 5.0,
    "structure_weight": 8.0, "envelope_weight": 6.0, "modulation_weight": 4.0, "steadiness_weight": 5.0, "speed": 1.1,
    "weights": {"speech": 1.2, "effects": 1.5}, "warmup": 50, "decay": 0.4, "ema": 0.99, "batch": 4,
}  # fmt: skip


class SpectrumDiscriminator(nn.Module):
    """Convolutions over the real and imaginary part of a spectrum, after Defossez et al. 2022."""

    def __init__(self, window: int, channels: int = 12) -> None:
        super().__init__()
        self.window = window
        plan = [(2, channels, (9, 3), (2, 1)), *[(channels, channels, (9, 3), (2, 1))] * 3]
        layers = [nn.Conv2d(a, b, size, stride, (size[0] // 2, size[1] // 2)) for a, b, size, stride in plan]
        layers.append(nn.Conv2d(channels, 1, 3, padding=1))
        self.layers = nn.ModuleList([nn.utils.parametrizations.weight_norm(layer) for layer in layers])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Sound [batch, n] to feature maps, the score last."""
        x = torch.view_as_real(stft(x.float(), self.window) / self.window**0.5).permute(0, 3, 1, 2).contiguous()
        features = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number < len(self.layers) - 1:
                x = nn.functional.leaky_relu(x, 0.2)
            features.append(x)
        return features


def whole() -> None:
    """Latents stay as the encoder means them."""

    def as_they_are(self: Any, latents: Tensor) -> tuple[Tensor, Tensor]:
        return latents, latents.new_zeros(len(latents), 1)

    stages.Truncation.forward = as_they_are  # type: ignore[method-assign, assignment]


def complex_spectra() -> None:
    """Another discriminator beside the usual one."""

    class Both(stages.Discriminator):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.spectra = nn.ModuleList([SpectrumDiscriminator(window) for window in (2048, 1024, 512)])

        def forward(self, x: Tensor) -> list[list[Tensor]]:
            return super().forward(x) + [each(x[:, 0]) for each in self.spectra]

    stages.Discriminator = Both  # type: ignore[misc]


def below_16k() -> None:
    """Distances that hear nothing above 16 kHz."""

    def cut(sound: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(sound)
        audible = torch.arange(spectrum.shape[-1]) < spectrum.shape[-1] * 16 / 24
        return torch.fft.irfft(spectrum * audible, n=sound.shape[-1])

    def deaf(distance: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda x, y, *rest: distance(cut(x), cut(y), *rest)

    stages.spectral_distance = deaf(stages.spectral_distance)
    stages.envelope_distance = deaf(stages.envelope_distance)  # type: ignore[assignment]


def log_mel() -> None:
    """The log-mel distance as a loss."""
    plain, bank = stages.spectral_distance, torch.from_numpy(filterbank(48000, BANDS, WINDOW)).float()

    def bands(sound: Tensor) -> Tensor:
        spectrum = stft(sound, WINDOW)
        return (bank @ (spectrum.real.square() + spectrum.imag.square() + 1e-12).sqrt()).clamp_min(1e-5).log10()

    stages.spectral_distance = lambda x, y: plain(x, y) + 10 * (bands(x) - bands(y)).abs().mean()  # type: ignore[assignment]


ARMS: dict[str, Arm] = {
    "usual": Arm("fidelity and step drawn for each example, real rounding"),
    "whole": Arm("latents as the encoder means them: not cut, not quantised", code="whole"),
    "distances": Arm(
        "no discriminator's say: the distances alone", options={"adversarial_weight": 0.0, "matching_weight": 0.0}
    ),
    "complex_spectra": Arm(
        "a discriminator of complex spectra (windows 2048, 1024, 512) beside the usual one", code="complex_spectra"
    ),
    "below_16k": Arm("the spectral and the envelope distance hear nothing above 16 kHz", code="below_16k"),
    "log_mel": Arm("the log-mel distance, times 10, beside the spectral distance", code="log_mel"),
    "small_batches": Arm("batches of 1", options={"batch": 1}),
}
CODE = {each.__name__: each for each in (whole, complex_spectra, below_16k, log_mel)}


def train(arm: str, store: Path, model: str, minutes: float, folder: Path) -> None:
    """Train an arm and leave its model in the folder."""
    asked = ARMS[arm]
    if asked.code:
        CODE[asked.code]()
    options = {**ALONE, **USUAL, **asked.options}
    trainer = run.Trainer(TrainOptions(store, folder / "run", init_from=model, minutes=minutes, **options))
    trainer.run(lambda step, values: None)
    trainer.save()
    net, notes = load_network(str(folder / "run"))
    start = load_model(model)
    save_model(folder / "model.safetensors", net, arm, start.basis, start.tables, notes=notes)
    (folder / "updates").write_text(str(trainer.step))


def sweep(model: str, clips: Path, folder: Path) -> None:
    """Measure a model."""
    subprocess.run(
        [sys.executable, "-m", "ravecodec", "sweep", "--data", str(clips), "--out", str(folder), "--model", model,
         "--no-anchors", "--fidelity", "0.99", "--step", *STEPS, "--metrics", *METRICS], check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def subset(clips: Path, folder: Path) -> Path:
    """A manifest of every third clip of each kind."""
    lines = ["file,kind", *(f"{clip.path.resolve()},{clip.kind}" for clip in some(clips))]
    manifest = folder / "clips.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def rows(arms: list[str], work: Path, minutes: float) -> list[dict[str, Any]]:
    """The comparisons of all arms, and of the beginning, with the first arm."""
    records = {arm: Results.read(work / arm / "sweep" / "results.json") for arm in arms}
    shared = {"minutes": minutes, "machine": machine()["processor"], "torch": torch.__version__}
    found = []
    for each in compare.compare(records):
        before = each.label == "before"
        value = each.delta.rate
        found.append({
            "arm": each.label, "metric": each.delta.metric, "kind": each.kind, "rate": value.value, "low": value.low,
            "what": "the model that all began from" if before else ARMS[each.label].what,
            "high": value.high, "verdict": each.verdict,
            "updates": 0 if before else int((work / each.label / "updates").read_text()), **shared,
        })  # fmt: skip
    return found


def write(out: Path, found: list[dict[str, Any]], first: str, minutes: float) -> None:
    """OUT.csv and OUT.md."""
    with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    columns = list(dict.fromkeys((row["metric"], row["kind"]) for row in found if row["kind"] != "overall"))
    lines = [
        "# What helps a decoder", "", "Written by `benchmarks/decoders.py`, which says how.", "",
        f"BD-rate in percent against `{first}` ({ARMS[first].what}) after {minutes:g} minutes on one thread: "
        f"{machine()['processor']}. Less is better; in bold what lies beyond its 95 % interval; a dash where curves do "
        "not meet.", "",
    ]  # fmt: skip
    lines += ["| " + " | ".join(["arm", "what", "updates", *(f"{m}, {k}" for m, k in columns)]) + " |"]
    lines += ["|" + " --- |" * (len(columns) + 3)]
    for arm in dict.fromkeys(row["arm"] for row in found):
        own = {(row["metric"], row["kind"]): row for row in found if row["arm"] == arm}
        any_row = next(iter(own.values()))
        cells = []
        for column in columns:
            row = own.get(column)
            text = "–" if row is None or row["rate"] is None else f"{row['rate']:+.1f}"
            cells.append(f"**{text}**" if row is not None and row["verdict"] in ("better", "worse") else text)
        lines.append("| " + " | ".join([arm, any_row["what"], str(any_row["updates"]), *cells]) + " |")
    out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Train and measure the arms, each in a process of its own, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/decoders"), help="for models and records of sweeps")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/decoders"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # train one arm
    options = parser.parse_args()
    if options.here:
        arm = options.arms[0]
        train(arm, options.store, options.model, options.minutes, options.work / arm)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    clips = subset(options.clips, options.work)

    def one(arm: str) -> None:
        folder, model = options.work / arm, options.model
        if arm != "before" and not (folder / "model.safetensors").exists():
            command = [sys.executable, __file__, str(options.store), str(options.clips), "--here", "--arms", arm]
            command += ["--model", model, "--minutes", str(options.minutes), "--work", str(options.work)]
            subprocess.run(command, check=True)
        sweep(model if arm == "before" else str(folder / "model.safetensors"), clips, folder / "sweep")
        print(f"{arm}: done", flush=True)

    arms = [*options.arms, "before"]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, arms))
    write(options.out, rows(arms, options.work, options.minutes), arms[0], options.minutes)


if __name__ == "__main__":
    main()
