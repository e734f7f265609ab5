"""Records of sweeps made by formula: clips of random quality at rates that are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eval.measure import Measurement
from eval.metrics import METRICS
from eval.results import Results
from eval.summary import Row, summarise

SECONDS = 10.0
CLIPS = {"s1": "speech", "s2": "speech", "s3": "speech", "m1": "music", "m2": "music", "m3": "music"}
FIDELITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def quality(kbps: float) -> float:
    """A curve that rises with the logarithm of the rate, from 0.2 at 1 kbit/s to 0.7 at 32."""
    return 0.2 + 0.1 * float(np.log2(kbps))


def points(
    kbps: Sequence[float],
    codec: str = "ravecodec",
    value: Callable[[float], float] = quality,
    settings: Mapping[str, Any] | None = None,
    clips: Mapping[str, str] = CLIPS,
) -> list[Row]:
    """Rows of a codec at rates in kbit/s; each clip is better or worse than the curve by its own amount."""
    rows = []
    for number, rate in enumerate(kbps):
        turned = {"fidelity": FIDELITIES[number]} if codec == "ravecodec" else {"bitrate": rate}
        for index, (clip, kind) in enumerate(clips.items()):
            fine = value(rate) + 0.02 * np.sin(3 * index)
            measurement = Measurement(
                seconds=SECONDS,
                channels=1,
                bytes=round(rate * 1000 * SECONDS / 8),
                facts={"components": 10.0 * (number + 1), "payload_bits": rate * 9e3, "model_bits": rate * 8e3}
                if codec == "ravecodec"
                else {},
                metrics={
                    "fine_structure": fine,
                    "spectral_distance": 20 * (1 - fine),
                    **({"estoi": fine, "pesq": 1 + 3 * fine} if kind == "speech" else {}),
                },
            )
            label = f"ravecodec f={FIDELITIES[number]}" if codec == "ravecodec" else f"{codec.capitalize()} {rate:g}"
            rows.append(Row(codec, label, {**(settings or {}), **turned}, clip, kind, measurement))
    return rows


def anchor(codec: str, label: str, values: Mapping[str, float], clips: Mapping[str, str] = CLIPS) -> list[Row]:
    """Rows of an anchor, which has no rate and the same values on every clip."""
    return [
        Row(codec, label, {}, clip, kind, Measurement(seconds=SECONDS, channels=1, metrics=dict(values)))
        for clip, kind in clips.items()
    ]


def record(
    *groups: list[Row], metrics: Sequence[str] = ("spectral_distance", "fine_structure", "estoi", "pesq")
) -> Results:
    """A record of these rows."""
    rows = [row for group in groups for row in group]
    found = {row.clip: row.kind for row in rows}
    kinds = {kind: sum(each == kind for each in found.values()) for kind in found.values()}
    about = {
        "created": "2026-01-01T00:00:00+00:00",
        "corpus": {"name": "made", "clips": len(found), "kinds": kinds, "sha256": {clip: clip for clip in found}},
        "seed": 0,
        "bootstrap": {"resamples": 2000, "level": 0.95},
        "machine": {"processor": "none", "processors": 1, "system": "none", "python": "3"},
        "packages": {"numpy": np.__version__},
        "git": None,
        "points": [],
        "metrics": {name: METRICS[name].about() for name in metrics},
    }
    return Results(about, rows, summarise(rows, metrics))


def same(a: Results, b: Results) -> bool:
    """Equal but for the time they took and the time they were made."""

    def plain(results: Results) -> list[Any]:
        clocks = {"encode_seconds", "decode_seconds", "metric_seconds"}
        return [
            (row.label, row.clip, {k: v for k, v in row.measurement.to_json().items() if k not in clocks})
            for row in results.rows
        ]  # fmt: skip

    return plain(a) == plain(b)
