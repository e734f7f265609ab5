"""What a report lets people listen to: clips that stand for their kind, and a few operating points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from eval import curves
from eval.curves import Cloud, System
from eval.findings import spoken
from eval.results import Results

LEADING = "fine_structure"
"""The metric by which clips and points are chosen where the record holds it: it sees lost harmonics."""

Role = Literal["original", "ours", "other", "anchor"]


@dataclass(frozen=True)
class Pick:
    """An operating point to listen to."""

    codec: str
    settings: Mapping[str, Any]
    label: str
    role: Role


def leading(results: Results) -> str:
    """The metric that choices rest on: fine structure, or the record's first."""
    return LEADING if LEADING in results.metrics else next(iter(results.metrics))


def points(results: Results, each: int = 3) -> list[Pick]:
    """Of ravecodec and of Opus the cheapest, the best and those between, one of other codecs; the vocoder.

    Along the monotone part of each curve by the leading metric, evenly from the lowest to the highest rate.
    A codec that is alone in its record is spread too.
    """
    picks: list[Pick] = []
    known = curves.systems(results)
    for system in known.values():
        role: Role = "ours" if system.codec == "ravecodec" else "other"
        spread = system.codec in ("ravecodec", "opus") or len(known) == 1
        picks += _spread(results, system, role, each if spread else 1)
    # The vocoder lets people hear what envelope metrics forgive.
    for row in results.rows:
        if row.codec == "noise-vocoder":
            picks.append(Pick(row.codec, row.settings, row.label, "anchor"))
            break
    return sorted(picks, key=lambda pick: ("ours", "other", "anchor").index(pick.role))


def clips(results: Results, each: int = 2) -> list[str]:
    """For every kind `each` clips, evenly from the worse half to the better half by the leading metric.

    At ravecodec's middle point, so that a report shows neither the best nor the worst of what there is.
    """
    cloud = _cloud(results)
    chosen: list[str] = []
    for kind in dict.fromkeys(row.kind for row in results.rows):
        names = list(dict.fromkeys(row.clip for row in results.rows if row.kind == kind))
        if cloud is not None and set(names) & set(cloud.clips):
            rates, quality = cloud.means()
            front = curves.front(rates, quality)
            values = cloud.sign * cloud.values[front[len(front) // 2]]
            known = dict(zip(cloud.clips, values, strict=True))
            names = sorted((name for name in names if name in known), key=lambda name: known[name])
        count = min(each, len(names))
        picked = [names[int((number + 0.5) / count * len(names))] for number in range(count)]
        chosen += picked
    return chosen


def rule(results: Results) -> str:
    """How the clips were chosen, in words."""
    title = results.metrics[leading(results)]["title"]
    return (
        f"Within each kind the clips stand evenly between the worst and the best by {spoken(title)} "
        "at the middle operating point; nobody picked them."
    )


def _cloud(results: Results) -> Cloud | None:
    known = curves.systems(results)
    system = next((each for each in known.values() if each.codec == "ravecodec"), None)
    system = system or next(iter(known.values()), None)
    return curves.cloud(results, system, leading(results)) if system else None


def _spread(results: Results, system: System, role: Role, count: int) -> Sequence[Pick]:
    cloud = curves.cloud(results, system, leading(results))
    if not cloud.clips:
        return []
    front = curves.front(*cloud.means())
    if count == 1:
        places = [len(front) // 2]
    else:
        places = sorted(set(np.linspace(0, len(front) - 1, min(count, len(front))).round().astype(int)))
    rows = [system.points[front[place]][0] for place in places]
    return [Pick(row.codec, row.settings, row.label, role) for row in rows]
