"""Records against the first of them: BD-rate and quality gain by metric and kind, on the same clips.

The regression gate of a model, and the table of an ablation: every further record, and every further system in
a record, is compared with the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from eval import bd, curves, table
from eval.bd import Delta, Value
from eval.curves import Bits, System
from eval.errors import EvalError
from eval.results import Results

Verdict = Literal["worse", "better", "same", "undecided"]
TOLERANCE = 0.5
"""Percent. Machines differ in the last bits of a sound; less than this is no regression."""


@dataclass(frozen=True)
class Comparison:
    """One system against the first, by one metric on the clips of one kind."""

    label: str
    reference: str
    kind: str
    delta: Delta
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain JSON values."""
        return asdict(self)


def compare(
    records: Mapping[str, Results],
    *,
    codec: str | None = "ravecodec",
    metrics: Sequence[str] | None = None,
    bits: Bits = "file",
    tolerance: float = TOLERANCE,
    seed: int = 0,
    resamples: int = bd.RESAMPLES,
) -> list[Comparison]:
    """Compares every system of the records with the first one, by every metric that both hold.

    records    by label, in order; the first system of the first one is the reference
    codec      systems of this codec only (None: all)
    metrics    names (None: those that the reference's record holds)
    bits       which bits are the rate: of whole files, of their payload, or -Σ log2 p of the model
    tolerance  percent of rate (or of the reference's range of quality) that is not yet a difference

    Clips count as the same by name and content. Raises EvalError where there is nothing to compare: fewer
    than two systems, no common clip, an unknown metric, other versions of a metric.
    """
    entries = [
        (f"{label}: {system.name}" if several else label, results, system)
        for label, results in records.items()
        for several, system in _systems(results, codec)
    ]
    if len(entries) < 2:
        what = codec or "codecs"
        raise EvalError(f"{' and '.join(records)}: {len(entries)} system of {what}, two are needed to compare")
    (first_label, base, reference), *others = entries
    found = []
    for label, results, system in others:
        _demand_common_clips(base, results, label)
        chosen = metrics or [name for name in base.metrics if name in results.metrics]
        for metric in chosen:
            _demand_same_metric(base, results, metric, label)
            for kind in curves.kinds(base, metric):
                first = curves.cloud(base, reference, metric, kind, bits)
                second = curves.cloud(results, system, metric, kind, bits)
                second = second.on([clip for clip in second.clips if _same(base, results, clip)])
                delta = bd.delta(first, second, seed=seed, resamples=resamples)
                found.append(Comparison(label, first_label, kind, delta, verdict(delta, tolerance)))
    return found


def verdict(delta: Delta, tolerance: float = TOLERANCE) -> Verdict:
    """Worse or better where the whole interval lies beyond the tolerance.

    By the rate; by the quality at equal rate where no BD-rate can be given; undecided where neither can, or
    where there is no interval.
    """
    rate, quality = delta.rate, delta.quality
    if rate.low is not None and rate.high is not None:
        return _side(rate.low, rate.high, tolerance, worse_is_more=True)
    if quality.low is not None and quality.high is not None:
        return _side(quality.low, quality.high, tolerance / 100 * delta.span, worse_is_more=False)
    return "undecided"


def failures(results: Results, codec: str | None = "ravecodec") -> int:
    """How many clips a codec (None: any) failed on, over all its points; failed clips are in no BD-rate."""
    return sum(codec in (None, row.codec) for row in results.failures)


def text(comparisons: Sequence[Comparison], about: Mapping[str, Mapping[str, Any]]) -> str:
    """The comparisons as an aligned table for each system, with the reasons of what cannot be given below."""
    blocks = []
    for label in dict.fromkeys(each.label for each in comparisons):
        members = [each for each in comparisons if each.label == label]
        head = ["metric, kind", "BD-rate %", "95 %", "quality", "95 %", "clips", "verdict"]
        rows = [head, *(_cells(each, about) for each in members)]
        reasons = [
            f"  {_name(each, about)}: {value.reason}"
            for each in members
            for value in (each.delta.rate, each.delta.quality)
            if value.reason
        ]
        title = f"{label} against {members[0].reference}"
        blocks.append("\n".join([title, table.align(rows), *dict.fromkeys(reasons)]))
    return "\n\n".join(blocks) + "\n"


def _systems(results: Results, codec: str | None) -> Iterable[tuple[bool, System]]:
    """The systems of a codec, and whether they are several."""
    found = [system for system in curves.systems(results).values() if codec in (None, system.codec)]
    return [(len(found) > 1, system) for system in found]


def _same(a: Results, b: Results, clip: str) -> bool:
    first, second = (results.about["corpus"]["sha256"].get(clip) for results in (a, b))
    return first is not None and first == second


def _demand_common_clips(base: Results, results: Results, label: str) -> None:
    if not any(_same(base, results, clip) for clip in base.about["corpus"]["sha256"]):
        raise EvalError(f"{label}: no clip of the same name and content as in the first record")


def _demand_same_metric(base: Results, results: Results, metric: str, label: str) -> None:
    for record in (base, results):
        if metric not in record.metrics:
            raise EvalError(f"no metric {metric!r} in every record: there are {', '.join(record.metrics)}")
    versions = [record.metrics[metric].get("version") for record in (base, results)]
    if versions[0] != versions[1]:
        raise EvalError(
            f"{label}: {metric} has version {versions[1]}, in the first record {versions[0]}: sweep again"
        )


def _side(low: float, high: float, tolerance: float, worse_is_more: bool) -> Verdict:
    if low > tolerance:
        return "worse" if worse_is_more else "better"
    if high < -tolerance:
        return "better" if worse_is_more else "worse"
    return "same"


def _name(each: Comparison, about: Mapping[str, Mapping[str, Any]]) -> str:
    arrow = table.ARROWS[about[each.delta.metric]["better"]]
    return f"{each.delta.metric} {arrow} {each.kind}"


def _cells(each: Comparison, about: Mapping[str, Mapping[str, Any]]) -> list[str]:
    delta = each.delta
    rate, quality = _pair(delta.rate, "{:+.1f}"), _pair(delta.quality, "{:+.3g}")
    return [_name(each, about), *rate, *quality, str(delta.clips), each.verdict]


def _pair(value: Value, form: str) -> list[str]:
    if value.value is None:
        return [table.MISSING, table.MISSING]
    if value.low is None or value.high is None:
        return [form.format(value.value), table.MISSING]
    return [form.format(value.value), f"{form.format(value.low)} to {form.format(value.high)}"]
