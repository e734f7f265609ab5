"""The record of a sweep: results.json holds everything that is needed to draw it again, the CSVs are for
people."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.errors import EvalError
from eval.measure import Measurement
from eval.summary import Line, Row

SCHEMA = "ravecodec-eval"
VERSION = 1


@dataclass(frozen=True)
class Results:
    """A sweep: `about` says how it came about, `rows` are clips at points, `lines` the summary.

    `about` holds: created, corpus, seed, bootstrap, machine, packages, git, points (settings of each, and
    what identifies its codec: a model's hash, a program's version), metrics (title, direction, unit, kinds,
    definition and version of each, in the order of the tables), cost (seconds by metric), left_out (metrics whose
    package is not installed, and the command that installs it).
    """

    about: Mapping[str, Any]
    rows: list[Row]
    lines: list[Line]

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """What the record states about each metric, by name."""
        metrics: Mapping[str, Mapping[str, Any]] = self.about["metrics"]
        return metrics

    @property
    def failures(self) -> list[Row]:
        """The clips on which a codec failed."""
        return [row for row in self.rows if row.measurement.error is not None]

    def write(self, folder: Path) -> None:
        """Writes results.json, results.csv (the summary) and clips.csv (every clip at every point)."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "schema": SCHEMA,
            "version": VERSION,
            **self.about,
            "summary": [line.to_json() for line in self.lines],
            "clips": [_row_to_json(row) for row in self.rows],
        }
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        (folder / "results.json").write_text(text, encoding="utf-8")
        (folder / "results.csv").write_text(self.csv(), encoding="utf-8")
        (folder / "clips.csv").write_text(_csv([_flat_row(row, self.metrics) for row in self.rows]), encoding="utf-8")

    def csv(self) -> str:
        """The summary as CSV: a line for each operating point and kind."""
        return _csv([_flat_line(line) for line in self.lines])

    @classmethod
    def read(cls, path: Path) -> Results:
        """The record in a results.json; EvalError when it is something else or of another version."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found = content.pop("schema"), content.pop("version")
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise EvalError(f"{path}: not a record of a sweep ({error})") from error
        if found != (SCHEMA, VERSION):
            raise EvalError(f"{path}: {found[0]} version {found[1]}, this program reads version {VERSION}")
        lines = [Line.from_json(values) for values in content.pop("summary")]
        rows = [_row_from_json(values) for values in content.pop("clips")]
        return cls(content, rows, lines)


def _row_to_json(row: Row) -> dict[str, Any]:
    head = {
        "codec": row.codec,
        "label": row.label,
        "settings": dict(row.settings),
        "clip": row.clip,
        "kind": row.kind,
    }
    return {**head, **row.measurement.to_json()}


def _row_from_json(values: dict[str, Any]) -> Row:
    head = {name: values.pop(name) for name in ("codec", "label", "settings", "clip", "kind")}
    return Row(**head, measurement=Measurement.from_json(values))


def _flat_line(line: Line) -> dict[str, Any]:
    flat = line.to_json()
    flat["settings"] = json.dumps(flat["settings"], sort_keys=True)
    del flat["metrics"]
    for name, estimate in line.metrics.items():
        flat[name] = estimate.mean if estimate else None
        flat[f"{name}_low"] = estimate.low if estimate else None
        flat[f"{name}_high"] = estimate.high if estimate else None
        flat[f"{name}_clips"] = estimate.clips if estimate else 0
    return flat


def _flat_row(row: Row, metrics: Mapping[str, Any]) -> dict[str, Any]:
    flat = _row_to_json(row)
    flat["settings"] = json.dumps(flat["settings"], sort_keys=True)
    facts, values = flat.pop("facts"), flat.pop("metrics")
    notes = flat.pop("notes")
    for name in ("components", "payload_bits", "model_bits"):
        flat[name] = facts.get(name)
    for name in metrics:
        flat[name] = values.get(name)
    flat["notes"] = "; ".join(f"{name}: {note}" for name, note in notes.items())
    return flat


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _plain(value) for name, value in row.items()})
    return text.getvalue()


def _plain(value: Any) -> Any:
    """Six digits are more than any of these figures is worth; None becomes an empty cell."""
    return f"{value:.6g}" if isinstance(value, float) else value
