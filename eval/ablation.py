"""The table of an ablation: the systems of a record in their order, each against the one before and the first.

`ravecodec ablate` makes such a record: fixed-length codes, static tables, contexts, rate-distortion optimised
quantisation. Any record will do whose systems are named in the order in which something was added.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eval import bd, curves, table
from eval.bd import Delta, Value
from eval.curves import Bits
from eval.errors import EvalError
from eval.results import Results


@dataclass(frozen=True)
class Stage:
    """One system by one metric on the clips of one kind: against the system before it, and against the first."""

    system: str
    metric: str
    kind: str
    before: Delta
    first: Delta

    def to_json(self) -> dict[str, Any]:
        """The BD-rates and quality gains as plain JSON values."""
        return {
            "system": self.system,
            "metric": self.metric,
            "kind": self.kind,
            **{
                f"against_{which}": {
                    "system": delta.reference,
                    "clips": delta.clips,
                    "bd_rate": _value(delta.rate),
                    "quality": _value(delta.quality),
                }
                for which, delta in (("before", self.before), ("first", self.first))
            },
        }


def stages(
    results: Results, *, codec: str = "ravecodec", bits: Bits = "file", seed: int = 0, resamples: int = bd.RESAMPLES
) -> list[Stage]:
    """Every system of the codec but the first, by metric and kind; EvalError for fewer than two systems."""
    systems = [system for system in curves.systems(results).values() if system.codec == codec]
    if len(systems) < 2:
        raise EvalError(f"{len(systems)} system of {codec} in the record: an ablation needs two")
    found = []
    for metric in results.metrics:
        for kind in curves.kinds(results, metric):
            clouds = [curves.cloud(results, system, metric, kind, bits) for system in systems]
            for before, cloud in itertools.pairwise(clouds):
                one = bd.delta(before, cloud, seed=seed, resamples=resamples)
                whole = one if before is clouds[0] else bd.delta(clouds[0], cloud, seed=seed, resamples=resamples)
                found.append(Stage(cloud.name, metric, kind, one, whole))
    return found


def text(found: Sequence[Stage], results: Results) -> str:
    """An aligned table for each metric and kind, with the reasons of what cannot be given below."""
    blocks = []
    for metric, kind in dict.fromkeys((stage.metric, stage.kind) for stage in found):
        members = [stage for stage in found if (stage.metric, stage.kind) == (metric, kind)]
        title = f"{metric} {table.ARROWS[results.metrics[metric]['better']]} {kind}, {members[0].before.clips} clips"
        rows = [[title, "BD-rate % against the one before", "against the first"]]
        rows.append([members[0].first.reference, table.MISSING, table.MISSING])
        rows += [[stage.system, _shown(stage.before.rate), _shown(stage.first.rate)] for stage in members]
        reasons = [f"  {d.test}: {d.rate.reason}" for s in members for d in (s.before, s.first) if d.rate.reason]
        blocks.append("\n".join([table.align(rows), *dict.fromkeys(reasons)]))
    return "\n\n".join(blocks) + "\n"


def _shown(rate: Value) -> str:
    if rate.value is None:
        return table.MISSING
    if rate.low is None or rate.high is None:
        return f"{rate.value:+.1f}"
    return f"{rate.value:+.1f} ({rate.low:+.1f} to {rate.high:+.1f})"


def _value(value: Value) -> dict[str, float | str | None]:
    return {"value": value.value, "low": value.low, "high": value.high, "reason": value.reason}
