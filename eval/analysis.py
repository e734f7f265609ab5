"""What follows from a record: hulls, equivalent Opus bitrates and BD-rates, as analysis.json and analysis.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval import bd, curves, equivalent, findings, table
from eval.curves import System
from eval.results import Results

REFERENCE = "Opus"


def hulls(results: Results) -> dict[str, dict[str, dict[str, list[str]]]]:
    """The labels of the points on the lower convex hull, by system, metric and kind (`curves.hull`)."""
    return {
        name: {
            metric: {
                kind: [cloud.labels[index] for index in curves.hull(*cloud.means())]
                for kind in curves.kinds(results, metric)
                if (cloud := curves.cloud(results, system, metric, kind)).clips
            }
            for metric in results.metrics
        }
        for name, system in curves.systems(results).items()
    }


def equivalents(results: Results, reference: str = REFERENCE) -> dict[str, dict[str, dict[str, str]]]:
    """For each point but the reference's, and each anchor: the reference's rate of equal value, by label, metric, kind.

    Rates in kbit/s as text: "9.3", "below 6.4", "above 28.4". Empty without the reference.
    """
    known = curves.systems(results)
    found: dict[str, dict[str, dict[str, str]]] = {}
    if reference not in known:
        return found
    rated: list[tuple[System, curves.Bits]] = [(known[name], "file") for name in known if name != reference]
    unrated: list[tuple[System, curves.Bits]] = [(anchor, "none") for anchor in curves.anchors(results)]
    for system, bits in rated + unrated:
        for metric in results.metrics:
            for kind in curves.kinds(results, metric):
                base = curves.cloud(results, known[reference], metric, kind)
                cloud = curves.cloud(results, system, metric, kind, bits)
                for label, rate in equivalent.equivalents(base, cloud).items():
                    found.setdefault(label, {}).setdefault(metric, {})[kind] = str(rate)
    return found


def deltas(
    results: Results, reference: str = REFERENCE, seed: int = 0, resamples: int = bd.RESAMPLES
) -> list[tuple[str, bd.Delta]]:
    """Every system of the record against the reference (or the first), by kind and metric: (kind, delta)."""
    known = curves.systems(results)
    if len(known) < 2:
        return []
    base = known.get(reference) or next(iter(known.values()))
    return [
        (kind, bd.delta(*clouds, seed=seed, resamples=resamples))
        for system in known.values()
        if system is not base
        for metric in results.metrics
        for kind in curves.kinds(results, metric)
        for clouds in [[curves.cloud(results, each, metric, kind) for each in (base, system)]]
    ]


def analyse(results: Results, resamples: int = bd.RESAMPLES) -> dict[str, Any]:
    """All of it as plain JSON values."""
    return {
        "hull": hulls(results),
        "equivalent_opus_kbps": equivalents(results),
        "bd": [
            {"kind": kind, **asdict(delta)}
            for kind, delta in deltas(results, seed=results.about.get("seed", 0), resamples=resamples)
        ],
    }


def write(results: Results, folder: Path, resamples: int = bd.RESAMPLES) -> dict[str, Any]:
    """Writes analysis.json and analysis.md into the folder; returns what it wrote."""
    found = analyse(results, resamples)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    (folder / "analysis.json").write_text(text, encoding="utf-8")
    (folder / "analysis.md").write_text(markdown(results, found), encoding="utf-8")
    return found


def markdown(results: Results, found: Mapping[str, Any]) -> str:
    """The equivalent Opus bitrates and the BD-rates as Markdown tables, all metrics in each, and what anchors show."""
    blocks = []
    rates = found["equivalent_opus_kbps"]
    kinds = dict.fromkeys(kind for by_metric in rates.values() for by_kind in by_metric.values() for kind in by_kind)
    for kind in kinds:
        used = {name: curves.kind_for(results, name, kind) for name in results.metrics}
        metrics = [name for name in results.metrics if any(used[name] in by.get(name, {}) for by in rates.values())]
        heads = [name if used[name] == kind else f"{name}, {used[name]}" for name in metrics]
        rows = [["point", *heads]]
        for label, by_metric in rates.items():
            cells = [by_metric.get(name, {}).get(used[name], table.MISSING) for name in metrics]
            if any(cell != table.MISSING for cell in cells):
                rows.append([label, *cells])
        blocks.append(table.titled(f"Equivalent Opus bitrate, kbit/s: {kind}", rows))
    if found["bd"]:
        rows = [["system, metric, kind", "BD-rate %", "quality at equal rate", "clips"]]
        for each in found["bd"]:
            name = f"{each['test']} against {each['reference']}, {each['metric']}, {each['kind']}"
            rows.append([name, _value(each["rate"]), _value(each["quality"]), str(each["clips"])])
        blocks.append(table.titled("BD-rate (akima) and quality gain, 95 % intervals", rows))
    kinds_of = dict.fromkeys(line.kind for line in results.lines)
    blind = [f"{kind}: {sentence}" for kind in kinds_of for sentence in findings.anchors(results, kind)]
    if blind:
        listed = "\n".join(f"- {text}" for text in blind)
        blocks.append(f"**What the metrics are blind to**\n\n{listed}")
    return "\n\n".join(blocks or ["One codec alone: there is nothing to compare it with."]) + "\n"


def _value(value: Mapping[str, Any]) -> str:
    if value["value"] is None:
        return f"none: {value['reason']}"
    if value["low"] is None:
        return f"{value['value']:+.3g}"
    return f"{value['value']:+.3g} ({value['low']:+.3g} to {value['high']:+.3g})"
