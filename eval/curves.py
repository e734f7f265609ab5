"""A codec's operating points over clips as arrays: what hulls, BD-rates and equivalent rates are computed from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eval.errors import EvalError
from eval.results import Results
from eval.summary import OVERALL, Row

Vector = NDArray[np.float64]
Bits = Literal["file", "payload", "model", "none"]
"""What counts as rate; "none" is for anchors, which have no rate and no bits."""

SWEPT = ("fidelity", "components", "step", "bitrate", "quality", "bits", "bandwidth", "codebooks", "mode")
"""Settings that a user turns to choose a rate. Points that differ in anything else belong to other systems."""

SPELT = {
    "aac": "AAC", "codec2": "Codec 2", "dac": "DAC", "encodec": "EnCodec", "lc3": "LC3", "mp3": "MP3", "snac": "SNAC",
}  # fmt: skip
"""Names of codecs that are not written like a word."""


@dataclass(frozen=True)
class System:
    """A codec with everything fixed but what chooses its rate; `points` are the rows of each operating point."""

    name: str
    codec: str
    points: tuple[tuple[Row, ...], ...]


@dataclass(frozen=True)
class Cloud:
    """A system's operating points on the clips that have a value at each of them.

    `bits` and `values` are [points, clips], `seconds` [clips]. `values` are the metric's own; `better` says
    which way is up. A `grid` has points that differ in more than one of the settings that choose the rate.
    """

    name: str
    metric: str
    better: str
    labels: tuple[str, ...]
    clips: tuple[str, ...]
    bits: Vector
    values: Vector
    seconds: Vector
    grid: bool = False

    @property
    def sign(self) -> float:
        """What turns the metric into a quality, of which more is better."""
        return 1.0 if self.better == "higher" else -1.0

    def means(self, draw: NDArray[np.integer[Any]] | None = None) -> tuple[Vector, Vector]:
        """The rates in kbit/s (all bits over all seconds) and mean qualities [points] of all or drawn clips."""
        chosen = slice(None) if draw is None else draw
        rates = self.bits[:, chosen].sum(axis=1) / self.seconds[chosen].sum() / 1000
        return rates, self.sign * self.values[:, chosen].mean(axis=1)

    def on(self, clips: Sequence[str]) -> Cloud:
        """The same points on some of the clips."""
        index = [self.clips.index(clip) for clip in clips]
        return replace(
            self,
            clips=tuple(clips),
            bits=self.bits[:, index],
            values=self.values[:, index],
            seconds=self.seconds[index],
        )


def systems(results: Results) -> dict[str, System]:
    """The codecs of a record that have a rate, by name, in order of appearance."""
    points: dict[str, dict[str, list[Row]]] = {}
    codecs = {}
    for row in results.rows:
        # A point at which every clip failed has no bytes either; it adds no clip to a cloud.
        if row.measurement.bytes is None and row.measurement.error is None:
            continue
        name = system_name(row.codec, row.settings)
        codecs[name] = row.codec
        key = json.dumps(dict(row.settings), sort_keys=True)
        points.setdefault(name, {}).setdefault(key, []).append(row)
    return {
        name: System(name, codecs[name], tuple(tuple(rows) for rows in found.values()))
        for name, found in points.items()
        if any(row.measurement.bytes is not None for rows in found.values() for row in rows)
    }


def anchors(results: Results) -> list[System]:
    """The points of a record that never have a rate, each as a system of one point, in order of appearance."""
    found: dict[str, list[Row]] = {}
    rated = {row.codec for row in results.rows if row.measurement.bytes is not None}
    for row in results.rows:
        if row.codec not in rated and row.measurement.error is None:
            found.setdefault(row.label, []).append(row)
    return [System(label, rows[0].codec, (tuple(rows),)) for label, rows in found.items()]


def system_name(codec: str, settings: Mapping[str, Any]) -> str:
    """What stays of a codec and its settings without those that choose the rate."""
    if "title" in settings:
        return str(settings["title"])
    parts = [codec if codec == "ravecodec" else SPELT.get(codec, codec.capitalize())]
    for key, value in settings.items():
        if key == "model":
            parts += [] if value == "default" else [Path(str(value)).stem]
        elif key not in SWEPT:
            parts.append({True: key, False: f"no {key}"}[value] if isinstance(value, bool) else f"{key}={value}")
    return " ".join(parts)


def kinds(results: Results, metric: str) -> list[str]:
    """The kinds for which a metric is worth a line of its own.

    Those that it applies to, then "overall" if they are several: of one kind alone it would say the same again.
    """
    applies = results.metrics[metric]["kinds"]
    found = list(dict.fromkeys(row.kind for row in results.rows))
    chosen = [kind for kind in found if applies is None or kind in applies]
    return [*chosen, OVERALL] if len(chosen) > 1 else chosen


def kind_for(results: Results, metric: str, kind: str) -> str:
    """The kind whose figures a table of a kind shows: in one of all clips, those that the metric applies to.

    A table of all clips that left out what is for speech only would leave out what must not be missing.
    """
    applicable = kinds(results, metric)
    return applicable[0] if kind == OVERALL and len(applicable) == 1 else kind


def cloud(results: Results, system: System, metric: str, kind: str = OVERALL, bits: Bits = "file") -> Cloud:
    """The operating points of a system by one metric on the clips of a kind that the metric applies to.

    A clip that lacks the metric or the bits at one point is left out at all of them: otherwise the points of
    a curve would stand for different sounds. EvalError for a metric that the record does not hold.
    """
    if metric not in results.metrics:
        raise EvalError(f"no metric {metric!r} in the record: there are {', '.join(results.metrics)}")
    about = results.metrics[metric]
    by_point = [
        {
            row.clip: row
            for row in rows
            if kind in (OVERALL, row.kind)
            and (about["kinds"] is None or row.kind in about["kinds"])
            and row.measurement.metrics.get(metric) is not None
            and _bits(row, bits) is not None
        }
        for rows in system.points
    ]
    clips = [clip for clip in by_point[0] if all(clip in rows for rows in by_point)]
    shape = len(by_point), len(clips)
    cells = [[rows[clip] for clip in clips] for rows in by_point]
    return Cloud(
        name=system.name,
        metric=metric,
        better=about["better"],
        labels=tuple(rows[0].label for rows in system.points),
        clips=tuple(clips),
        bits=np.array([[_bits(row, bits) for row in line] for line in cells], np.float64).reshape(shape),
        values=np.array(
            [[row.measurement.metrics[metric] for row in line] for line in cells], np.float64
        ).reshape(shape),
        seconds=np.array([row.measurement.seconds for row in cells[0]], np.float64),
        grid=sum(len({str(rows[0].settings.get(key)) for rows in system.points}) > 1 for key in SWEPT) > 1,
    )


def front(rates: Vector, quality: Vector) -> list[int]:
    """The points that no other one beats, from the lowest rate up; rate and quality rise strictly along them.

    This is the monotone part of a cloud: a point that costs more and is no better than another is one that
    nobody would choose. Better means by more than a millionth of the range: fidelities that keep components
    without signal give the same sound but for rounding.
    """
    chosen: list[int] = []
    least = 1e-6 * float(np.ptp(quality)) if len(quality) else 0.0
    for index in sorted(range(len(rates)), key=lambda i: (rates[i], -quality[i])):
        if not chosen or quality[index] > quality[chosen[-1]] + least:
            chosen.append(index)
    return chosen


def hull(rates: Vector, quality: Vector) -> list[int]:
    """The lower convex hull of rate against distortion (Andrew's monotone chain), from the lowest rate up.

    In linear rate, where a mixture of two operating points lies on the line between them: every other point is
    beaten by such a mixture.
    """
    chosen: list[int] = []
    for index in front(rates, quality):
        while len(chosen) > 1:
            a, b = chosen[-2:]
            rise = (quality[b] - quality[a]) * (rates[index] - rates[a])
            if rise > (quality[index] - quality[a]) * (rates[b] - rates[a]):
                break
            chosen.pop()
        chosen.append(index)
    return chosen


def _bits(row: Row, bits: Bits) -> float | None:
    measurement = row.measurement
    if bits == "none":
        return 0.0
    if bits == "file":
        return None if measurement.bytes is None else 8.0 * measurement.bytes
    return measurement.facts.get(f"{bits}_bits")
