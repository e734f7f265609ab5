"""What each metric cost in processor time: so that people can choose what a sweep measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eval.measure import Measurement
from eval.results import Results
from eval.table import align

SOUND_SECONDS = 10.0


def per_metric(measurements: Iterable[Measurement]) -> dict[str, float]:
    """Processor seconds by metric for 10 s of one channel of sound: the mean over everything that was measured."""
    spent: dict[str, float] = {}
    heard: dict[str, float] = {}
    for measurement in measurements:
        for name, seconds in measurement.metric_seconds.items():
            spent[name] = spent.get(name, 0.0) + seconds
            heard[name] = heard.get(name, 0.0) + measurement.seconds * measurement.channels
    return {name: SOUND_SECONDS * spent[name] / heard[name] for name in spent if heard[name] > 0}


def text(results: Results) -> str:
    """A plain table of the costs that the record states, dearest first; empty where it states none."""
    cost: Mapping[str, Any] = results.about.get("cost", {})
    if not cost:
        return ""
    dearest = sorted(cost.items(), key=lambda entry: -entry[1])
    rows = [["metric", "seconds"], *([name, f"{seconds:.3f}"] for name, seconds in dearest)]
    left = [f"not installed: {name} ({command})" for name, command in results.about.get("left_out", {}).items()]
    return "\n".join(["cost of the metrics: processor seconds for 10 s of one channel", align(rows), *left]) + "\n"
