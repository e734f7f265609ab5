"""The interface that every codec of a comparison stands behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from eval.audio import Audio
from eval.errors import CodecError


class Codec(ABC):
    """A codec at one setting: sound → bytes → sound.

    A codec is made with its settings as keyword arguments, which are plain JSON values: they are its identity
    in results and caches. Whatever `encode` returns is what is counted, so it must be the whole file: headers
    included. A new codec needs `encode` and `decode`, and a line `register("name", ItsClass)`.
    """

    name: ClassVar[str]
    rated: ClassVar[bool] = True
    """Whether the bytes mean a rate. Anchors only carry sound from encode to decode: they have none."""
    faithful: bool = True
    """Whether what comes out means anything. Not with random weights: they are for timing, and no sweep takes them."""

    def __init__(self, **settings: Any) -> None:
        self.settings: Mapping[str, Any] = settings

    @property
    def label(self) -> str:
        """The name that tables and plots print."""
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.settings.items())])

    def identity(self) -> Mapping[str, str]:
        """What besides name and settings decides the result (a program's version, a model's hash).

        Called before a sweep starts; raises Unavailable where something is missing.
        """
        return {}

    def prepare(self) -> None:  # noqa: B027  (an empty default is meant)
        """Loads what coding needs, so that start-up does not count as coding time."""

    @abstractmethod
    def encode(self, wav: Audio, rate: int) -> bytes:
        """The sound [n, ch] at `rate` Hz as the bytes of a file; CodecError where it fails."""

    @abstractmethod
    def decode(self, data: bytes) -> tuple[Audio, int]:
        """What `encode` wrote, as sound [n, ch] (exactly as many samples as went in) and its rate in Hz."""

    def fit(self, decoded: Audio, samples: int) -> Audio:
        """The decoded sound at 48 kHz as it goes to the metrics, for an original of so many samples: unchanged.

        A codec whose file does not state its length cuts here what it appended (see `end_at`). Nothing is shifted.
        """
        return decoded

    def facts(self, data: bytes) -> Mapping[str, float]:
        """Figures that the file states about itself; known are payload_bits, model_bits and components."""
        return {}


def end_at(decoded: Audio, samples: int, most: int) -> Audio:
    """The sound [n, ch] cut, or filled with zeros, at its end to `samples`; CodecError over `most` samples off.

    For files that do not state their length. The start stays where it is: delays are known, not searched for.
    """
    if abs(len(decoded) - samples) > most:
        raise CodecError(f"{len(decoded)} samples came out where {samples} went in")
    return np.pad(decoded[:samples], ((0, max(0, samples - len(decoded))), (0, 0)))
