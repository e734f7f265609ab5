"""Operating points: which codecs at which settings a sweep measures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval import codecs
from eval.errors import EvalError

FIDELITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
STEPS = (-8, 0, 8)
"""Step indices q in eighths of an octave: half, one and two times the natural step."""


@dataclass(frozen=True)
class Point:
    """An operating point: the name of a registered codec and its settings (plain JSON values)."""

    codec: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The point as one string, equal for equal points."""
        return json.dumps([self.codec, dict(self.settings)], sort_keys=True)

    def create(self) -> codecs.Codec:
        """The codec at these settings."""
        return codecs.create(self.codec, self.settings)


def parse(text: str) -> Point:
    """A point written as NAME or NAME:KEY=VALUE,...: "vorbis:bitrate=48", "codec2:mode=700C".

    A value is a number or true or false where it reads as one (JSON), else a string; EvalError without a "=".
    """
    name, _, rest = text.partition(":")
    settings: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise EvalError(f"{text}: {part!r} is not KEY=VALUE")
        try:
            settings[key] = json.loads(value)
        except ValueError:
            settings[key] = value
    try:
        codecs.create(name, settings)
    except (TypeError, ValueError) as error:
        raise EvalError(f"{text}: {error}") from error
    return Point(name, settings)


def usual(
    model: str = "default",
    fidelities: Sequence[float] = FIDELITIES,
    steps: Sequence[int] = STEPS,
    opus: Sequence[float] = (),
    anchors: bool = True,
) -> list[Point]:
    """The points of a usual sweep.

    ravecodec with `model` at every fidelity and step index, Opus at every bitrate (kbit/s), and the anchors.
    """
    grid = [
        Point("ravecodec", {"model": model, "fidelity": fidelity, "step": step})
        for step, fidelity in itertools.product(steps, fidelities)
    ]
    others = [Point("opus", {"bitrate": bitrate}) for bitrate in opus]
    known = [Point(name, settings) for name, settings in codecs.anchors()] if anchors else []
    return [*grid, *others, *known]
