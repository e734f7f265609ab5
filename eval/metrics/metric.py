"""What a metric is, and what two sounds must fulfil to be compared."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from eval.audio import RATE, Audio, columns
from eval.errors import MetricError

Mono = Callable[[Audio, Audio, int], "float | None"]
"""A distance between two vectors [n] of one length at one rate; None where it is not defined."""


@dataclass(frozen=True)
class Metric:
    """A named distance between an original and a decoded sound.

    `kinds` are the kinds of clip that it applies to (None: all). `version` stands in every cached result:
    raise it when the formula changes. A call returns a finite number, or None where the metric is not defined
    for the pair (a silent original, too little speech, ...); it is never NaN and never a made-up zero.
    `packages` are the imports that it needs and `extra` the extra of this package that brings them. `default`
    says whether a sweep that was told of no metrics measures it: what costs seconds a clip does not.
    """

    name: str
    title: str
    better: Literal["lower", "higher"]
    function: Callable[[Audio, Audio, int], float | None]
    definition: str
    unit: str = ""
    kinds: frozenset[str] | None = None
    version: int = 1
    packages: tuple[str, ...] = ()
    extra: str = "eval"
    default: bool = True

    @property
    def install(self) -> str:
        """The command that installs what the metric needs."""
        return f"pip install 'ravecodec[{self.extra}]'"

    @property
    def missing(self) -> list[str]:
        """The packages that the metric needs and that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]

    @property
    def versioned(self) -> str:
        """The name under which caches keep values of this formula."""
        return f"{self.name}@{self.version}"

    def about(self) -> dict[str, Any]:
        """What a record of results states about the metric, as plain JSON values."""
        return {
            "title": self.title,
            "better": self.better,
            "unit": self.unit,
            "kinds": sorted(self.kinds) if self.kinds else None,
            "definition": self.definition,
            "version": self.version,
        }

    def applies(self, kind: str) -> bool:
        """Whether clips of this kind are measured."""
        return self.kinds is None or kind in self.kinds

    def __call__(self, original: Audio, decoded: Audio, rate: int = RATE) -> float | None:
        """The distance between two sounds [n] or [n, ch] of one shape at `rate` Hz; else MetricError."""
        original, decoded = comparable(original, decoded)
        value = self.function(original, decoded, rate)
        if value is not None and not np.isfinite(value):
            raise MetricError(f"{self.name} is {value}: a fault of the metric")
        return None if value is None else float(value)


def comparable(original: Audio, decoded: Audio) -> tuple[Audio, Audio]:
    """Both sounds as float64 [n, ch], once they are known to have one shape, samples, and only finite ones.

    Nothing is aligned, cut or padded here: a codec whose delay is not zero, or whose output has another
    length, is at fault, and a metric that hid it would reward it.
    """
    original, decoded = columns(np.asarray(original, np.float64)), columns(np.asarray(decoded, np.float64))
    if original.shape != decoded.shape:
        raise MetricError(
            f"the original has {original.shape[0]} samples in {original.shape[1]} channels, "
            f"the decoded sound {decoded.shape[0]} in {decoded.shape[1]}"
        )
    if not original.size:
        raise MetricError("no samples to compare")
    for which, wav in (("original", original), ("decoded sound", decoded)):
        if not np.isfinite(wav).all():
            raise MetricError(f"the {which} has samples that are not finite")
    return original, decoded


def per_channel(function: Mono) -> Callable[[Audio, Audio, int], float | None]:
    """A distance on vectors made into one on [n, ch]: the mean over the channels for which it is defined."""

    def averaged(original: Audio, decoded: Audio, rate: int) -> float | None:
        values = [function(original[:, c], decoded[:, c], rate) for c in range(original.shape[1])]
        defined = [value for value in values if value is not None]
        return sum(defined) / len(defined) if defined else None

    return averaged
