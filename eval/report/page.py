"""A record, and sounds to listen to, as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from eval import findings
from eval.plots import curve_names
from eval.report import choice, image, tables
from eval.report.listen import Excerpt, Version
from eval.report.tables import escape
from eval.results import Results
from eval.summary import Estimate

SCRIPTS = ("chart.js", "figures.js", "player.js", "abx.js")


def page(results: Results, analysis: Mapping[str, Any], excerpts: Sequence[Excerpt] = ()) -> str:
    """The page as text; `analysis` is what eval.analysis.analyse gives."""
    about = results.about
    kinds = tables.kinds(results)
    corpus = about["corpus"]
    counts = ", ".join(f"{count} {kind}" for kind, count in corpus["kinds"].items())
    models = dict.fromkeys(
        str(point["settings"].get("model", "default")) for point in about["points"] if point["codec"] == "ravecodec"
    )
    names = ", ".join(Path(name).stem for name in models)
    title = f"Rate and distortion of ravecodec, model {names}" if models else "Rate and distortion"
    parts = {
        "title": escape(title),
        "facts": escape(f"{corpus['clips']} clips ({counts}) · {str(about['created'])[:10]}"),
        "warnings": "".join(f'<p class="warning">{escape(text)}</p>' for text in findings.missing(results)),
        "summary": _summary(results, kinds),
        "blind": _by_kind(kinds, {kind: _list(findings.anchors(results, kind)) for kind in kinds}),
        "kinds": _choices("kind", {kind: kind.capitalize() for kind in kinds}, kinds[0]),
        "metrics": _choices("metric", {n: m["title"] for n, m in results.metrics.items()}, choice.leading(results)),
        "listen": _listen(results, excerpts),
        "tables": _by_kind(kinds, {kind: tables.points(results, kind, analysis["hull"]) for kind in kinds}),
        "equivalents": _by_kind(
            kinds, {kind: tables.equivalents(results, kind, analysis["equivalent_opus_kbps"]) for kind in kinds}
        ),
        "deltas": _by_kind(kinds, {kind: tables.deltas(results, analysis["bd"], kind) for kind in kinds}),
        "definitions": tables.definitions(results),
        "provenance": tables.provenance(results),
        "csv": f"data:text/csv;base64,{base64.b64encode(results.csv().encode()).decode()}",
        "data": _json(_data(results, analysis, excerpts)),
        "style": _asset("style.css"),
        "scripts": "\n".join(_asset(name) for name in SCRIPTS),
        "without-sound": "" if excerpts else "hidden",
    }
    text = _asset("template.html")
    for name, value in parts.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def _summary(results: Results, kinds: Sequence[str]) -> str:
    said = [findings.against(results, kind) for kind in kinds if kind != "overall" or len(kinds) == 1]
    if not any(said):
        return ""
    how = (
        "Compared are the point of the highest fine structure and Opus at its lowest rate. Better and worse hold "
        "beyond the 95 % interval of the differences clip by clip."
    )
    return f'{_list([text for text in said if text])}<p class="note">{how}</p>'


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in sentences)}</ul>" if sentences else ""


def _by_kind(kinds: Sequence[str], content: Mapping[str, str]) -> str:
    """A block for each kind, of which the page shows the chosen one."""
    return "".join(
        f'<div data-kind="{escape(kind)}"{"" if kind == kinds[0] else " hidden"}>'
        f"{content[kind] or '<p>Nothing to show for these clips.</p>'}</div>"
        for kind in kinds
    )


def _choices(name: str, options: Mapping[str, str], chosen: str) -> str:
    return "".join(
        f'<label><input type="radio" name="{name}" value="{escape(value)}"'
        f"{' checked' if value == chosen else ''}><span>{escape(title)}</span></label>"
        for value, title in options.items()
    )


def _listen(results: Results, excerpts: Sequence[Excerpt]) -> str:
    if not excerpts:
        return "<p>This page was written without sound.</p>"
    size = sum(len(version.flac) for each in excerpts for version in each.versions)
    count = sum(len(each.versions) for each in excerpts)
    stated = (
        f"<p>{len(excerpts)} excerpts of at most {max(each.seconds for each in excerpts):.1f} s, {count} sounds as "
        f"16-bit FLAC at 48 kHz, {size / 1e6:.1f} MB, are part of this page. {escape(choice.rule(results))} "
        "An excerpt is the stretch of most energy; codecs saw the whole clip. All versions of an excerpt have "
        "the original's loudness (ITU-R BS.1770-4), lowered together where one would clip; the gain that took is "
        f"stated with each. Spectrograms go from {image.LOWEST:.0f} Hz to {image.HIGHEST / 1000:.0f} kHz on a mel "
        f"scale, {image.RANGE_DB:.0f} dB deep, with one colour scale for all versions of an excerpt.</p>"
    )
    return stated + "".join(_excerpt(results, number, each) for number, each in enumerate(excerpts))


def _excerpt(results: Results, number: int, excerpt: Excerpt) -> str:
    heading = f"clip-{number}"
    cards = "".join(_card(results, number, index, version) for index, version in enumerate(excerpt.versions))
    players = "".join(
        f'<li><span id="name-{number}-{index}">{escape(version.label)}</span>'
        f'<audio id="audio-{number}-{index}" controls preload="none" aria-labelledby="name-{number}-{index}" '
        f'src="data:audio/flac;base64,{base64.b64encode(version.flac).decode()}"></audio></li>'
        for index, version in enumerate(excerpt.versions)
    )
    return (
        f'<article class="clip" id="excerpt-{number}" data-clip="{number}" aria-labelledby="{heading}">'
        f'<header><h3 id="{heading}">{escape(excerpt.clip)}</h3>'
        f"<p>{escape(excerpt.kind)}, {excerpt.start:.1f} to {excerpt.start + excerpt.seconds:.1f} s</p>"
        f'<output class="now" aria-live="polite">{escape(excerpt.versions[0].label)}</output>'
        '<button type="button" class="play" aria-pressed="false">Play</button></header>'
        f'<div class="cards" role="radiogroup" aria-labelledby="{heading}">{cards}</div>'
        f"<details><summary>Separate players</summary><ul class='players'>{players}</ul></details></article>"
    )


def _card(results: Results, number: int, index: int, version: Version) -> str:
    wanted = [name for name in ("fine_structure", "estoi", "pesq", "spectral_distance") if name in version.metrics]
    figures = "".join(
        f"<span><abbr title='{escape(results.metrics[name]['title'])}'>{SHORT[name]}</abbr> "
        f"{tables.number(value)}</span>"
        for name in wanted
        if (value := version.metrics[name]) is not None
    )
    gain = f"{round(version.gain_db, 1) or 0:+.1f} dB".replace("-", "−") if version.levelled else "not levelled"
    rate = f"{version.kbps:.1f} kbit/s" if version.kbps is not None else "no rate"
    checked = "true" if index == 0 else "false"
    return (
        f'<button type="button" class="card {version.role}" role="radio" aria-checked="{checked}" '
        f'tabindex="{0 if index == 0 else -1}" data-version="{index}">'
        f'<span class="picture"><img alt="" width="{image.WIDTH}" height="{image.HEIGHT}" '
        f'src="data:image/png;base64,{base64.b64encode(version.png).decode()}"><i class="head"></i></span>'
        f'<span class="name"><kbd>{index + 1}</kbd> {escape(version.label)}</span>'
        f'<span class="rate">{rate} · {gain}</span><span class="figures">{figures}</span></button>'
    )


SHORT = {"fine_structure": "fine", "estoi": "ESTOI", "pesq": "PESQ", "spectral_distance": "spectral"}


def _data(results: Results, analysis: Mapping[str, Any], excerpts: Sequence[Excerpt]) -> dict[str, Any]:
    """What the scripts draw and play from."""
    curve_of = curve_names(results.lines)
    lines = [
        {
            "label": line.label,
            "codec": line.codec,
            "curve": curve_of(line),
            "kind": line.kind,
            "kbps": line.file_kbps,
            "fidelity": line.settings.get("fidelity"),
            "components": line.components,
            "metrics": {name: _plain(estimate) for name, estimate in line.metrics.items() if estimate},
        }
        for line in results.lines
    ]
    clips = [
        {"clip": each.clip, "seconds": each.seconds, "versions": [version.label for version in each.versions]}
        for each in excerpts
    ]
    metrics = {name: {k: m[k] for k in ("title", "better", "unit", "kinds")} for name, m in results.metrics.items()}
    return {"lines": lines, "metrics": metrics, "hull": analysis["hull"], "clips": clips}


def _plain(estimate: Estimate) -> list[float]:
    return [float(f"{value:.5g}") for value in (estimate.mean, estimate.low, estimate.high)]


def _json(values: Any) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return resources.files("eval.report").joinpath(name).read_text(encoding="utf-8")
