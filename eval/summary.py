"""Rows of clips → one line for each operating point and kind, with bootstrap intervals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval.measure import Measurement

OVERALL = "overall"
RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Row:
    """One clip at one operating point."""

    codec: str
    label: str
    settings: Mapping[str, Any]
    clip: str
    kind: str
    measurement: Measurement


@dataclass(frozen=True)
class Estimate:
    """A mean over clips with its 95 % interval; `clips` is how many had a value."""

    mean: float
    low: float
    high: float
    clips: int


@dataclass(frozen=True)
class Line:
    """An operating point over the clips of one kind, or over all ("overall").

    The rates are kbit/s of sound: all bits over all seconds. `file_kbps` counts whole files; `payload_kbps`
    and `model_kbps` (-Σ log2 p) are what the codec's file states, None where it states nothing.
    `encode_speed` and `decode_speed` are multiples of real time in the run that measured them.
    """

    codec: str
    label: str
    settings: Mapping[str, Any]
    kind: str
    clips: int
    failures: int
    seconds: float
    file_kbps: float | None
    payload_kbps: float | None
    model_kbps: float | None
    components: float | None
    encode_speed: float | None
    decode_speed: float | None
    metrics: Mapping[str, Estimate | None]

    def to_json(self) -> dict[str, Any]:
        """The line as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Line:
        """The inverse of `to_json`."""
        metrics = {name: Estimate(**value) if value else None for name, value in values["metrics"].items()}
        return cls(**{**values, "metrics": metrics})


def summarise(rows: Sequence[Row], metrics: Sequence[str], seed: int = 0) -> list[Line]:
    """Lines by operating point, in order of appearance, and kind, "overall" last if kinds are several."""
    kinds = list(dict.fromkeys(row.kind for row in rows))
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        # By settings, not by label: models in two folders may be called alike.
        groups.setdefault((row.codec, json.dumps(dict(row.settings), sort_keys=True)), []).append(row)
    lines = []
    for members in groups.values():
        for kind in kinds:
            chosen = [row for row in members if row.kind == kind]
            if chosen:
                lines.append(_line(chosen, kind, metrics, seed))
        if len(kinds) > 1:
            lines.append(_line(members, OVERALL, metrics, seed))
    return lines


def bootstrap(values: Iterable[float], seed: int = 0) -> Estimate | None:
    """The mean over clips with its 95 % percentile bootstrap interval (Efron and Tibshirani 1993).

    Resamples depend on the seed and the number of values only: two codecs on the same clips are drawn
    alike. None for no values.
    """
    array = np.fromiter(values, np.float64)
    if not array.size:
        return None
    draws = np.random.default_rng([seed, array.size]).integers(0, array.size, (RESAMPLES, array.size))
    means = array[draws].mean(axis=1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(array.mean()), float(low), float(high), int(array.size))


def _line(rows: Sequence[Row], kind: str, metrics: Sequence[str], seed: int) -> Line:
    done = [row.measurement for row in rows if row.measurement.error is None]
    seconds = sum(measurement.seconds for measurement in done)

    def rate(bits: Sequence[float | None]) -> float | None:
        known = [value for value in bits if value is not None]
        return sum(known) / seconds / 1000 if known and len(known) == len(bits) else None

    def speed(spent: float) -> float | None:
        return seconds / spent if spent > 0 else None

    estimates = {}
    for name in metrics:
        values = [measurement.metrics.get(name) for measurement in done]
        estimates[name] = bootstrap((value for value in values if value is not None), seed)
    components = [m.facts["components"] for m in done if "components" in m.facts]
    return Line(
        codec=rows[0].codec,
        label=rows[0].label,
        settings=rows[0].settings,
        kind=kind,
        clips=len(done),
        failures=len(rows) - len(done),
        seconds=seconds,
        file_kbps=rate([None if m.bytes is None else 8 * m.bytes for m in done]),
        payload_kbps=rate([m.facts.get("payload_bits") for m in done]),
        model_kbps=rate([m.facts.get("model_bits") for m in done]),
        components=sum(components) / len(components) if components else None,
        encode_speed=speed(sum(m.encode_seconds for m in done)),
        decode_speed=speed(sum(m.decode_seconds for m in done)),
        metrics=estimates,
    )
