"""The registry of metrics: name → distance, direction, and the kinds of sound that it applies to.

To add one, write a file beside these with a function on two vectors and its formula in the docstring, and add
its `Metric` to the list below.
"""

from __future__ import annotations

from collections.abc import Iterable

from eval.errors import MetricError, Unavailable
from eval.metrics import (
    bandwidth,
    fine_structure,
    intelligibility,
    log_mel,
    loudness,
    pitch,
    repetition,
    si_sdr,
    spectral_distance,
    visqol,
    zimtohrli,
)
from eval.metrics.metric import Metric, comparable, per_channel

__all__ = ["ALL", "DEFAULT", "METRICS", "Metric", "comparable", "left_out", "per_channel", "select"]

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        spectral_distance.METRIC,
        log_mel.METRIC,
        fine_structure.METRIC,
        repetition.METRIC,
        visqol.METRIC,
        zimtohrli.METRIC,
        intelligibility.ESTOI,
        intelligibility.PESQ,
        pitch.PITCH,
        pitch.GROSS_PITCH,
        pitch.VOICING,
        si_sdr.METRIC,
        loudness.METRIC,
        bandwidth.METRIC,
    )
}

DEFAULT = "default"
"""Stands for the metrics that are quick and installed."""
ALL = "all"
"""Stands for every metric that is installed, the slow ones too."""


def select(names: Iterable[str] | None = None) -> list[Metric]:
    """The metrics of these names, each once, in the order given (None: "default").

    "default" and "all" stand for what is installed of the quick and of all metrics; a metric that was asked for by
    its own name must be there. MetricError names an unknown one, Unavailable says what to install.
    """
    chosen: dict[str, Metric] = {}
    unknown = []
    for name in [DEFAULT] if names is None else names:
        if name in (DEFAULT, ALL):
            chosen.update({metric.name: metric for metric in _group(name) if not metric.missing})
        elif name not in METRICS:
            unknown.append(name)
        elif METRICS[name].missing:
            metric = METRICS[name]
            raise Unavailable(f"{name} needs {', '.join(metric.missing)}, not installed: {metric.install}")
        else:
            chosen[name] = METRICS[name]
    if unknown:
        raise MetricError(f"no metric {', '.join(unknown)}: there are {', '.join(METRICS)}; {DEFAULT}, {ALL}")
    return list(chosen.values())


def left_out(names: Iterable[str] | None = None) -> dict[str, str]:
    """What "default" and "all" passed over because it is not installed: name → the command that installs it."""
    groups = [name for name in ([DEFAULT] if names is None else names) if name in (DEFAULT, ALL)]
    return {m.name: m.install for group in groups for m in _group(group) if m.missing}


def _group(name: str) -> list[Metric]:
    return [metric for metric in METRICS.values() if metric.default or name == ALL]
