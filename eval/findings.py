"""What a record says, in words: which anchors a metric ranks above a codec, and where one codec beats another.

Every sentence is made from the figures. None rests on one metric: all distances of the record are named in each
comparison, on whichever side they fall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.curves import Cloud, System, cloud, front, systems
from eval.results import Results
from eval.summary import OVERALL, Line, bootstrap

NEEDED = {"fine_structure": None, "estoi": "speech", "pesq": "speech"}
"""Without these a table must not be believed: envelopes without harmonics pass the other metrics."""

DIAGNOSTICS = ("si_sdr", "loudness", "bandwidth")
"""Stand in tables, but in no sentence: they explain a difference and do not say how alike two sounds are."""

FEW = 8
"""Clips, below which a bootstrap interval is too narrow to lean on."""

LACKS = {
    "noise-vocoder": "which has no pitch",
    "lowpass": "which has nothing above its cutoff",
    "silence": "in which nothing is left",
}


def anchors(results: Results, kind: str) -> list[str]:
    """For each anchor that a metric ranks above points of a codec, a sentence that says so."""
    lines = [line for line in results.lines if line.kind == kind]
    known = [line for line in lines if line.file_kbps is None and line.codec in LACKS]
    sentences = []
    for anchor in sorted(known, key=lambda line: list(LACKS).index(line.codec)):
        parts = []
        for system in systems(results).values():
            labels = {rows[0].label for rows in system.points}
            points = [line for line in lines if line.label in labels and line.codec == system.codec]
            parts += _ranked_above(results, anchor, system, points)
        if parts:
            sentences.append(f"{_capital(anchor.label)}, {LACKS[anchor.codec]}, ranks above {'; above '.join(parts)}.")
    return sentences


def against(results: Results, kind: str, ours: str = "ravecodec", other: str = "Opus") -> str | None:
    """Our point of highest fine structure against the other's cheapest point, by every metric; or None."""
    known = systems(results)
    test = next((system for system in known.values() if system.codec == ours), None)
    if test is None or other not in known:
        return None
    leading = "fine_structure" if "fine_structure" in results.metrics else next(iter(results.metrics))
    clouds = cloud(results, test, leading, kind), cloud(results, known[other], leading, kind)
    if not clouds[0].clips or not clouds[1].clips:
        return None
    (rates, quality), (other_rates, _) = clouds[0].means(), clouds[1].means()
    point = front(rates, quality)[-1]
    cheapest = int(np.argmin(other_rates))
    sides: dict[str, list[str]] = {"better": [], "worse": [], "no different": []}
    for metric, about in _distances(results).items():
        if about["kinds"] is not None and kind not in about["kinds"]:
            continue
        pair = cloud(results, test, metric, kind), cloud(results, known[other], metric, kind)
        found = _difference(*pair, clouds[0].labels[point], clouds[1].labels[cheapest])
        if found:
            sides[found[0]].append(f"{spoken(about['title'])} ({found[1]})")
    if not any(sides.values()):
        return None
    where = "all clips together" if kind == OVERALL else kind
    beyond = {"better": "better", "worse": "worse", "no different": "within the interval of no difference"}
    said = "; ".join(f"{beyond[side]} by {_listed(names)}" for side, names in sides.items() if names)
    count = len(set(clouds[0].clips) & set(clouds[1].clips))
    caution = "" if count >= FEW else f" These are {count} clips: too few for a claim."
    return (
        f"On {where}, {clouds[0].labels[point]} at {rates[point]:.1f} kbit/s against "
        f"{clouds[1].labels[cheapest]} at {other_rates[cheapest]:.1f} kbit/s: {said}.{caution}"
    )


def missing(results: Results) -> list[str]:
    """A warning for each metric without which this record must not be believed."""
    found = {row.kind for row in results.rows}
    return [
        f"This record lacks {name.replace('_', ' ')}{f' on {kind}' if kind else ''}: "
        "the other metrics forgive lost harmonics, so no claim can be made from it."
        for name, kind in NEEDED.items()
        if name not in results.metrics and (kind is None or kind in found)
    ]


def spoken(title: str) -> str:
    """A metric's title inside a sentence: "Log-mel distance" → "log-mel distance"; "ESTOI, speech" → "ESTOI"."""
    title = title.partition(",")[0]
    # A single word is a name: Zimtohrli, ESTOI.
    return title[0].lower() + title[1:] if title[1:2].islower() and " " in title else title


def _distances(results: Results) -> dict[str, Mapping[str, Any]]:
    return {name: about for name, about in results.metrics.items() if name not in DIAGNOSTICS}


def _ranked_above(results: Results, anchor: Line, system: System, points: Sequence[Line]) -> list[str]:
    """What an anchor is ranked above: every point of a system by some metrics, some points by others."""
    every: list[str] = []
    some: dict[str, list[str]] = {}
    for name, about in _distances(results).items():
        level = anchor.metrics.get(name)
        known = {line.label: line.metrics[name] for line in points if line.metrics.get(name)}
        if level is None or not known:
            continue
        sign = 1 if about["better"] == "higher" else -1
        below = [label for label, e in known.items() if e and sign * level.mean > sign * e.mean]
        if len(below) == len(known):
            every.append(spoken(about["title"]))
        elif below:
            which = " and ".join(below) if len(below) < 3 else f"{len(below)} of {len(known)} points of {system.name}"
            some.setdefault(which, []).append(spoken(about["title"]))
    parts = [f"every point of {system.name} by {_listed(every)}"] if every else []
    return parts + [f"{which} by {_listed(names)}" for which, names in some.items()]


def _difference(test: Cloud, other: Cloud, point: str, cheapest: str) -> tuple[str, str] | None:
    """Which side a metric is on, by the bootstrap of the differences clip by clip, and both means."""
    if point not in test.labels or cheapest not in other.labels:
        return None
    common = [clip for clip in test.clips if clip in set(other.clips)]
    if not common:
        return None
    a = test.on(common).values[test.labels.index(point)]
    b = other.on(common).values[other.labels.index(cheapest)]
    estimate = bootstrap(test.sign * (a - b))
    assert estimate is not None  # there are clips
    side = "better" if estimate.low > 0 else "worse" if estimate.high < 0 else "no different"
    return side, f"{_number(a.mean())} against {_number(b.mean())}"


def _number(value: float) -> str:
    return (f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}").replace("-", "−")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
