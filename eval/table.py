"""The summary of a sweep as a table that people read: plain text or Markdown, by kind and overall."""

from __future__ import annotations

from collections.abc import Sequence

from eval.results import Results
from eval.summary import Line

ARROWS = {"lower": "↓", "higher": "↑"}
MISSING = "–"
STATED = {"model_kbps": "model kbit/s", "payload_kbps": "payload kbit/s"}
"""Rates that a codec's file states about itself: -Σ log2 p of its integers, and its packets without headers."""


def text(results: Results, kinds: Sequence[str] | None = None) -> str:
    """A plain table for each kind (None: all), columns aligned."""
    return "\n\n".join(_plain(title, table) for title, table in _tables(results, kinds)) + "\n"


def markdown(results: Results, kinds: Sequence[str] | None = None, intervals: bool = False) -> str:
    """A Markdown table for each kind (None: all), with the 95 % intervals where asked."""
    return "\n\n".join(titled(title, table) for title, table in _tables(results, kinds, intervals)) + "\n"


def titled(title: str, rows: list[list[str]]) -> str:
    """Rows of cells, the first of them heads, as a Markdown table under its title."""
    head, *body = rows
    rule = ["---", *["---:"] * (len(head) - 1)]
    return f"**{title}**\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])


def failures(results: Results) -> list[str]:
    """A line for each clip and each way in which it failed, with the points at which it did."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in results.failures:
        found.setdefault((row.clip, str(row.measurement.error)), []).append(row.label)
    every = len({row.label for row in results.rows})
    lines = []
    for (clip, error), labels in found.items():
        where = "at every point" if len(labels) == every else f"with {' and '.join(labels[:2])}"
        more = f" and {len(labels) - 2} more" if 2 < len(labels) < every else ""
        lines.append(f"{clip}: failed {where}{more}: {error}")
    return lines


def align(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines: the first column to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    )


def _tables(
    results: Results, kinds: Sequence[str] | None, intervals: bool = False
) -> list[tuple[str, list[list[str]]]]:
    tables = []
    for kind in dict.fromkeys(line.kind for line in results.lines):
        if kinds is not None and kind not in kinds:
            continue
        lines = [line for line in results.lines if line.kind == kind]
        # A metric that applies to none of these clips (PESQ on music) has no column.
        metrics = [name for name in results.metrics if any(line.metrics.get(name) for line in lines)]
        heads = [f"{name} {ARROWS[results.metrics[name]['better']]}" for name in metrics]
        title = (
            f"{kind}: {max(line.clips for line in lines)} clips, {max(line.seconds for line in lines):.0f} s"
        )
        # What a codec states about its own bits, beside what its files weigh.
        stated = [name for name in STATED if any(getattr(line, name) is not None for line in lines)]
        rates = [*(STATED[name] for name in stated), "file kbit/s" if stated else "kbit/s"]
        table = [
            ["codec", *rates, *heads],
            *(_cells(line, [*stated, "file_kbps"], metrics, intervals) for line in lines),
        ]
        tables.append((title, table))
    return tables


def _cells(line: Line, rates: Sequence[str], metrics: Sequence[str], intervals: bool) -> list[str]:
    cells = [f"{line.label} ({line.failures} failed)" if line.failures else line.label]
    for name in rates:
        rate = getattr(line, name)
        cells.append(MISSING if rate is None else f"{rate:.2f}")
    for name in metrics:
        estimate = line.metrics.get(name)
        if estimate is None:
            cells.append(MISSING)
        elif intervals:
            cells.append(f"{_number(estimate.mean)} ({_number(estimate.low)} to {_number(estimate.high)})")
        else:
            cells.append(_number(estimate.mean))
    return cells


def _number(value: float) -> str:
    """Two decimals for large figures, three for small ones."""
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def _plain(title: str, table: list[list[str]]) -> str:
    return f"{title}\n{align(table)}"
