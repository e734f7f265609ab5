"""The registry of metrics: name → distance, direction, and the kinds of sound that it applies to.

To add one, write a file beside these with a function on two vectors and its formula in the docstring, and add
its `Metric` to the list below.
"""

from __future__ import annotations

from collections.abc import Iterable

from eval.errors import MetricError
from eval.metrics import (
    bandwidth,
    fine_structure,
    intelligibility,
    log_mel,
    loudness,
    si_sdr,
    spectral_distance,
)
from eval.metrics.metric import Metric, comparable, per_channel

__all__ = ["DEFAULT", "METRICS", "Metric", "comparable", "per_channel", "select"]

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        spectral_distance.METRIC,
        log_mel.METRIC,
        fine_structure.METRIC,
        intelligibility.ESTOI,
        intelligibility.PESQ,
        si_sdr.METRIC,
        loudness.METRIC,
        bandwidth.METRIC,
    )
}

DEFAULT = tuple(METRICS)


def select(names: Iterable[str] | None = None) -> list[Metric]:
    """The metrics of these names in the given order (None: all); MetricError names an unknown one."""
    chosen = list(DEFAULT if names is None else names)
    unknown = [name for name in chosen if name not in METRICS]
    if unknown:
        raise MetricError(f"no metric {', '.join(unknown)}: there are {', '.join(METRICS)}")
    return [METRICS[name] for name in chosen]
