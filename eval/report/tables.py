"""The tables of a report as HTML: points by kind, equivalent Opus bitrates, BD-rates, provenance."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval import curves
from eval.results import Results
from eval.summary import Estimate, Line
from eval.table import ARROWS, MISSING

Cell = str
"""HTML that is safe to insert."""


def escape(text: object) -> Cell:
    """Text as HTML."""
    return html.escape(str(text))


def kinds(results: Results) -> list[str]:
    """The kinds of a record's summary, "overall" first where there is one: it is what a reader sees first."""
    found = list(dict.fromkeys(line.kind for line in results.lines))
    return sorted(found, key=lambda kind: kind != "overall")


def points(results: Results, kind: str, hulls: Mapping[str, Any]) -> str:
    """All operating points on the clips of a kind; those on no hull have a class, so that they can be hidden."""
    lines = [line for line in results.lines if line.kind == kind]
    metrics = [name for name in results.metrics if any(line.metrics.get(name) for line in lines)]
    heads = ["operating point", "model", "payload", "file", *(_head(results, name) for name in metrics)]
    rows = []
    for line in lines:
        system = curves.system_name(line.codec, line.settings)
        on_hull = line.file_kbps is None or any(
            line.label in by_kind.get(kind, []) for by_kind in hulls.get(system, {}).values()
        )
        rates = [_rate(value) for value in (line.model_kbps, line.payload_kbps, line.file_kbps)]
        cells = [_label(line), *rates, *(_estimate(line.metrics.get(name)) for name in metrics)]
        rows.append(_row(cells, "" if on_hull else "off-hull"))
    caption = (
        f"{escape(kind.capitalize())}: {max(line.clips for line in lines)} clips, "
        f"{max(line.seconds for line in lines):.0f} s. Rates in kbit/s; small figures are 95 % intervals."
    )
    return table(f"points-{kind}", caption, heads, rows)


def equivalents(results: Results, kind: str, rates: Mapping[str, Any]) -> str:
    """The Opus bitrate at which each point's value is reached, by metric; empty without Opus."""
    used = {name: curves.kind_for(results, name, kind) for name in results.metrics}
    metrics = [name for name in results.metrics if any(used[name] in by.get(name, {}) for by in rates.values())]
    if not metrics:
        return ""
    rows = []
    for label, by_metric in rates.items():
        cells = [escape(by_metric.get(name, {}).get(used[name], MISSING)) for name in metrics]
        if set(cells) != {MISSING}:
            rows.append(_row([escape(label), *cells]))
    heads = ["operating point", *(_head(results, name, kind) for name in metrics)]
    caption = f"{escape(kind.capitalize())}: kbit/s at which Opus has the same value, by metric."
    return table(f"equivalents-{kind}", caption, heads, rows)


def deltas(results: Results, found: Sequence[Mapping[str, Any]], kind: str) -> str:
    """BD-rate and quality gain of every system on a kind, by metric; empty where there are none."""
    chosen = [each for each in found if each["kind"] == curves.kind_for(results, each["metric"], kind)]
    rows = [
        _row(
            [
                escape(f"{each['test']} against {each['reference']}"),
                _head(results, each["metric"], kind),
                _value(each["rate"], "{:+.0f} %"),
                _value(each["quality"], "{:+.3g}"),
                str(each["clips"]),
            ]
        )
        for each in chosen
    ]
    if not rows:
        return ""
    heads = ["systems", "metric", "BD-rate", "quality at equal rate", "clips"]
    caption = f"{escape(kind.capitalize())}: Bjøntegaard deltas, negative rate and positive quality are better."
    return table(f"deltas-{kind}", caption, heads, rows, text=2)


def definitions(results: Results) -> str:
    """The metrics and what each is, as a definition list."""
    items = []
    for about in results.metrics.values():
        where = f" Only on {' and '.join(about['kinds'])}." if about["kinds"] else ""
        better = f"{about['better'].capitalize()} is better.{where}"
        items.append(f"<dt>{escape(about['title'])}</dt><dd>{escape(about['definition'])}. {better}</dd>")
    return f"<dl>{''.join(items)}</dl>"


def provenance(results: Results) -> str:
    """Where the figures come from: machine, versions, commit, models."""
    about = results.about
    git, machine = about.get("git"), about.get("machine", {})
    state = "" if not git else " with changes" if git.get("modified") else ""
    models = dict.fromkeys(
        f"{point['settings'].get('model', 'default')} {point['identity'].get('model_id', '')}".strip()
        for point in about.get("points", [])
        if point["codec"] == "ravecodec"
    )
    programs = dict.fromkeys(
        value if name in str(value) else f"{name} {value}"
        for point in about.get("points", [])
        for name, value in point["identity"].items()
        if point["codec"] not in ("ravecodec",) and name != "anchor"
    )
    pairs = [
        ("Measured", about.get("created", MISSING)),
        ("Commit", f"{git['commit']}{state}" if git else MISSING),
        ("Models", ", ".join(models) or MISSING),
        ("Other codecs", ", ".join(map(str, programs)) or MISSING),
        ("Machine", ", ".join(str(machine[key]) for key in ("processor", "system") if machine.get(key)) or MISSING),
        ("Python", machine.get("python", MISSING)),
        ("Packages", ", ".join(f"{k} {v}" for k, v in about.get("packages", {}).items() if v)),
        ("Seed of the intervals", about.get("seed", MISSING)),
    ]
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs) + "</dl>"


def table(name: str, caption: Cell, heads: Iterable[Cell], rows: Sequence[str], text: int = 1) -> str:
    """A table that scrolls sideways by itself where the page is narrow; its first `text` columns hold words."""
    head = "".join(f'<th scope="col"{_kind(index, text)}>{cell}</th>' for index, cell in enumerate(heads))
    return (
        f'<p class="caption" id="{escape(name)}">{caption}</p>'
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{escape(name)}">'
        f'<table class="text-{text}" aria-labelledby="{escape(name)}">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _kind(index: int, text: int) -> str:
    return ' class="words"' if index < text else ""


def _row(cells: Sequence[Cell], css: str = "") -> str:
    first, *rest = cells
    attribute = f' class="{css}"' if css else ""
    return f'<tr{attribute}><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"


def _head(results: Results, metric: str, kind: str | None = None) -> Cell:
    about = results.metrics[metric]
    title = about["title"].partition(",")[0]
    if kind is not None and (used := curves.kind_for(results, metric, kind)) != kind:
        title = f"{title}, {used}"
    arrow = f'<span title="{about["better"]} is better">{ARROWS[about["better"]]}</span>'
    start, _, last = title.rpartition(" ")
    # An arrow does not stand on a line by itself.
    return f'{escape(start)} <span class="whole">{escape(last)} {arrow}</span>'.strip()


def _label(line: Line) -> Cell:
    failed = f' <span class="failed">{line.failures} failed</span>' if line.failures else ""
    return escape(line.label) + failed


def _rate(value: float | None) -> Cell:
    return MISSING if value is None else f"{value:.2f}"


def _estimate(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return MISSING
    low, high = number(estimate.low), number(estimate.high)
    return f'{number(estimate.mean)}<span class="interval">{low} to {high}</span>'


def _value(value: Mapping[str, Any], form: str) -> Cell:
    if value["value"] is None:
        return f'<span class="reason">{escape(value["reason"])}</span>'
    text = form.format(value["value"])
    if value["low"] is None:
        return text
    return f'{text}<span class="interval">{form.format(value["low"])} to {form.format(value["high"])}</span>'


def number(value: float) -> str:
    """Three digits or so, with a real minus sign."""
    size = abs(value)
    text = f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"
    return text.replace("-", "−")
