"""The training store: mono 16-bit sound at one rate in one flat file, and an index of what stands where."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

EDGE = 64  # samples beside a crop that is to be played faster or slower
GRAIN = 4096  # its length is a multiple of this: Fourier transforms of other lengths are slow
HELD_OUT = 20  # every twentieth excerpt is kept out of training, for calibration
T = TypeVar("T")
SOUND, INDEX, SKIPPED, FORMAT = "sound.i16", "index.jsonl", "skipped.csv", "store.json"


@dataclass(frozen=True)
class Excerpt:
    """A run of samples in the store."""

    source: str
    kind: str
    start: int
    length: int


class Store:
    """Read access to a store made by `ravecodec prepare`; raises FileNotFoundError or ValueError naming the folder."""

    def __init__(self, folder: Path) -> None:
        if not (folder / INDEX).is_file():
            raise FileNotFoundError(f"{folder}: not a training store (make one with 'ravecodec prepare')")
        self.folder = folder
        self.rate = int(json.loads((folder / FORMAT).read_text())["rate"])
        self.excerpts = [Excerpt(**json.loads(line)) for line in _whole_lines(folder / INDEX)]
        if not self.excerpts:
            raise ValueError(f"{folder}: the training store is empty")
        self.sound = np.memmap(folder / SOUND, dtype="<i2", mode="r")

    @property
    def seconds(self) -> float:
        """Duration of all excerpts."""
        return sum(e.length for e in self.excerpts) / self.rate

    def training(self) -> list[Excerpt]:
        """The excerpts to train on."""
        return trained_on(self.excerpts)

    def held_out(self) -> list[Excerpt]:
        """The excerpts that are never trained on."""
        return kept_out(self.excerpts)

    def read(self, excerpt: Excerpt) -> np.ndarray:
        """Samples of an excerpt, float32 [n] in -1 ... 1."""
        samples: np.ndarray = self.sound[excerpt.start : excerpt.start + excerpt.length].astype(np.float32) / 32768
        return samples

    def seconds_by_kind(self) -> dict[str, float]:
        """Duration of each kind of sound."""
        total: dict[str, float] = {}
        for e in self.excerpts:
            total[e.kind] = total.get(e.kind, 0.0) + e.length / self.rate
        return total


def trained_on(items: Sequence[T]) -> list[T]:
    """Those of excerpts, in order, that are trained on."""
    return [item for number, item in enumerate(items) if number % HELD_OUT != HELD_OUT - 1]


def kept_out(items: Sequence[T]) -> list[T]:
    """Those that are not."""
    return list(items[HELD_OUT - 1 :: HELD_OUT])


def cut(excerpts: Sequence[Excerpt], longest: int) -> list[Excerpt]:
    """The same sound in excerpts of at most so many samples."""
    return [
        replace(e, start=e.start + begin, length=min(longest, e.length - begin))
        for e in excerpts
        for begin in range(0, e.length, longest)
    ]


def spread(excerpts: Sequence[Excerpt], weights: Mapping[str, float], most: float) -> list[Excerpt]:
    """Evenly spread ones of some excerpts, about `most` samples in all at most.

    Kinds of sound stand in them as they are drawn in training: by length times weight (1 for a kind without one).
    """
    weighted = [(e, weights.get(e.kind, 1.0)) for e in excerpts]
    total = sum(e.length * weight for e, weight in weighted)
    if total <= 0:
        return []
    share = min(1 / max(weight for _, weight in weighted), most / total)
    due: dict[str, float] = {}
    taken = []
    for e, weight in weighted:
        due[e.kind] = due.get(e.kind, 0.0) + share * weight
        if due[e.kind] >= 1 - 1e-9:
            due[e.kind] -= 1
            taken.append(e)
    return taken


def _whole_lines(path: Path) -> list[str]:
    # A line without its end is one that a killed 'prepare' was writing.
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()


class Sampler:
    """Random crops with random gain and polarity, on the device that holds the sound.

    The chance of an excerpt is its length times the weight of its kind; half of the crops are played up to `speed`
    times faster or slower. `seed` and the number of batches drawn decide everything.
    """

    def __init__(
        self, store: Store, weights: dict[str, float], device: torch.device, seed: int, speed: float = 1.0
    ) -> None:
        # On a CPU the operating system pages the file in; an accelerator holds the whole of it.
        self.sound = torch.from_numpy(np.memmap(store.folder / SOUND, np.int16, "c")).to(device)
        excerpts = store.training()
        self.starts = torch.tensor([e.start for e in excerpts], device=device)
        self.lengths = torch.tensor([e.length for e in excerpts], device=device)
        weight = torch.tensor([weights.get(e.kind, 1.0) for e in excerpts], device=device)
        self.chance = self.lengths * weight
        self.chance = self.chance / self.chance.sum()
        self.device, self.seed, self.speed = device, seed, speed

    def batch(self, number: int, count: int, length: int) -> Tensor:
        """Crops [count, 1, length] in about -1 ... 1: batch `number` of this seed."""
        dice = torch.Generator(device=self.device).manual_seed(self.seed * 1_000_003 + number)
        chosen = torch.multinomial(self.chance, count, replacement=True, generator=dice)
        uniform = torch.rand(5 if self.speed > 1 else 3, count, generator=dice, device=self.device)
        taken = length if self.speed <= 1 else math.ceil((length * self.speed + 2 * EDGE) / GRAIN) * GRAIN
        lengths = self.lengths[chosen]
        first = self.starts[chosen] + (uniform[0] * ((lengths - taken).clamp_min(0) + 1)).long()
        # A short excerpt is repeated, so that nothing of its neighbours, which may be held out, comes in.
        places = torch.arange(taken, device=self.device)[None] % lengths.clamp_max(taken)[:, None]
        crops = self.sound[first[:, None] + places].float() / 32768
        if self.speed > 1:
            factor = torch.where(uniform[3] < 0.5, self.speed ** (2 * uniform[4] - 1), 1.0)
            crops = played(crops, factor, length)
        gain = 10 ** ((uniform[1] * 18 - 12) / 20) * torch.where(uniform[2] < 0.5, -1.0, 1.0)
        # Never louder than full scale.
        gain = gain / (crops.abs().amax(1) * gain.abs()).clamp_min(1.0)
        return (crops * gain[:, None])[:, None]


def played(sound: Tensor, speed: Tensor, length: int) -> Tensor:
    """`length` samples of each sound [batch, n], played at a `speed` [batch] of its own; pitch follows.

    Band-limited: four samples for one by a Fourier transform, then straight lines between them.
    """
    count = sound.shape[1]
    spectrum = torch.fft.rfft(sound)
    # What would come to lie above half the rate goes.
    limit = 0.5 * count / speed.clamp_min(1.0)
    spectrum = spectrum * (torch.arange(spectrum.shape[1], device=sound.device)[None] < limit[:, None])
    fine = torch.fft.irfft(spectrum, n=4 * count) * 4
    place = 4 * (EDGE + torch.arange(length, device=sound.device)[None] * speed.double()[:, None])
    before = place.long().clamp_max(4 * count - 2)
    return torch.lerp(fine.gather(1, before), fine.gather(1, before + 1), (place - before).float())
