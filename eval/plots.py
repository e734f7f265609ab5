"""The figures of a sweep, as a paper would print them: rate against every metric, and fidelity against its
cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.curves import hull, system_name
from eval.results import Results
from eval.summary import OVERALL, Estimate, Line

# Okabe and Ito's palette, which colour-blind readers can tell apart. Blues and greens are ours.
OURS = ("#56B4E9", "#0072B2", "#003A5C", "#009E73", "#005F46")
OTHERS = ("#D55E00", "#CC79A7", "#E69F00", "#7F3C8D", "#666666")
ANCHOR_STYLES: tuple[Any, ...] = ((0, (1, 1.5)), (0, (5, 2)), (0, (5, 1.5, 1, 1.5)), (0, (2, 3)), (0, (8, 3)))
MARKERS = "osD^v"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "ravecodec",
    "svg.fonttype": "none",
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Draws rate.png/.svg and, for a sweep over fidelity, fidelity.png/.svg; returns what it wrote."""
    written = []
    if curves(_over_all(results)) and results.metrics:
        written += _save(rate_figure(results), folder / "rate")
    if any("fidelity" in line.settings for line in _over_all(results)):
        written += _save(fidelity_figure(results), folder / "fidelity")
    return written


def curves(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """The rated points among summary lines as named curves in order of rate."""
    found: dict[str, list[Line]] = {}
    name_of = curve_names(lines)
    for line in lines:
        if line.file_kbps is not None:
            found.setdefault(name_of(line), []).append(line)
    return {name: sorted(lines, key=lambda line: line.file_kbps or 0.0) for name, lines in found.items()}


def rate_figure(results: Results) -> Any:
    """File rate against each metric, a panel each, with 95 % intervals and the anchors as levels."""
    import matplotlib
    from matplotlib.figure import Figure

    names = list(results.metrics)
    across = min(3, len(names))
    down = math.ceil(len(names) / across)
    over_all = _over_all(results)
    entries = len(curves(over_all)) + len(_anchors(over_all))
    with matplotlib.rc_context(STYLE):
        # Room below for the legend, in inches, so that one row of panels keeps its shape too.
        height = 2.7 * down + 0.25 * math.ceil(entries / 4) + 0.2
        figure = Figure(figsize=(3.5 * across, height), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False).flatten()
        for panel, name in zip(panels, names, strict=False):
            about = results.metrics[name]
            _rate_panel(panel, name, about, _over_all(results, about["kinds"]))
        for panel in panels[len(names) :]:
            panel.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), fontsize=8)
    return figure


def fidelity_figure(results: Results) -> Any:
    """The paper's figure: the number of components and the spectral distance against the fidelity f.

    The axis is -log10(1 - f), so that 0.9, 0.99 and 0.999 are as far apart as their losses are. The number of
    components does not depend on the step; the distance is drawn for each.
    """
    import matplotlib
    from matplotlib.figure import Figure

    distance = "spectral_distance" if "spectral_distance" in results.metrics else next(iter(results.metrics))
    lines = [line for line in _over_all(results) if "fidelity" in line.settings]
    by_curve: dict[str, list[Line]] = {}
    name_of = curve_names(lines)
    for line in sorted(lines, key=lambda line: line.settings["fidelity"]):
        by_curve.setdefault(name_of(line), []).append(line)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        counted = {
            line.settings["fidelity"]: line.components for line in lines if line.components is not None
        }
        if counted:
            left.plot(
                [_nines(f) for f in counted], list(counted.values()), color=OURS[1], marker="o", markersize=4
            )
            for fidelity, components in counted.items():
                left.annotate(
                    f"{components:.0f}",
                    (_nines(fidelity), components),
                    textcoords="offset points",
                    xytext=(4, -9),
                    ha="left",
                    fontsize=7.5,
                )
        left.set_ylabel("Components kept, $r_f$")
        left.set_ylim(bottom=0)
        left.margins(x=0.08)
        for number, (name, members) in enumerate(by_curve.items()):
            _curve(right, [_nines(m.settings["fidelity"]) for m in members], members, distance, name, number)
        right.set_ylabel(results.metrics[distance]["title"])
        right.legend(fontsize=8)
        ticks = sorted({line.settings["fidelity"] for line in lines})
        for panel in (left, right):
            panel.set_xticks([_nines(f) for f in ticks], [f"{f:g}" for f in ticks], fontsize=8, rotation=45)
            panel.set_xlabel("Fidelity $f$")
    return figure


def _rate_panel(panel: Any, name: str, about: Mapping[str, Any], lines: Sequence[Line]) -> None:
    known = curves(lines)
    numbers = {True: 0, False: 0}
    for curve, members in known.items():
        ours = members[0].codec == "ravecodec"
        _curve(panel, [m.file_kbps for m in members], members, name, curve, numbers[ours], ours)
        numbers[ours] += 1
    _hulls(panel, name, about, lines)
    shown = [
        estimate
        for members in known.values()
        for estimate in (line.metrics.get(name) for line in members)
        if estimate is not None
    ]
    levels = {line.label: line.metrics.get(name) for line in _anchors(lines)}
    low, high = _limits(shown, [level.mean for level in levels.values() if level is not None])
    outside = []
    for style, (label, level) in zip(ANCHOR_STYLES, levels.items(), strict=False):
        inside = level is not None and low <= level.mean <= high
        # Drawn even without a level here, so that the common legend names it.
        height = level.mean if level is not None and inside else math.nan
        panel.axhline(height, color="#8A8A8A", linewidth=1, linestyle=style, label=label, zorder=1)
        if level is not None and not inside:
            outside.append(f"{label} {level.mean:.3g}")
    if outside:
        # The corner that the curves leave free: they fall or rise with the rate.
        height, alignment = (0.97, "top") if about["better"] == "lower" else (0.03, "bottom")
        panel.text(
            0.98,
            height,
            "off scale: " + "\n".join(outside),
            transform=panel.transAxes,
            ha="right",
            va=alignment,
            fontsize=6.5,
            color="#6A6A6A",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
            zorder=4,
        )
    panel.set_ylim(low, high)
    panel.set_xscale("log")
    rates = [line.file_kbps for members in known.values() for line in members if line.file_kbps]
    ticks = [
        tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128) if min(rates) / 2 < tick < max(rates) * 2
    ]
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.minorticks_off()
    panel.set_xlim(min(rates) / 1.25, max(rates) * 1.25)
    panel.set_xlabel("File rate (kbit/s)")
    unit = f" ({about['unit']})" if about["unit"] else ""
    panel.set_title(
        f"{about['title']}{unit} {'↓' if about['better'] == 'lower' else '↑'}", loc="left", fontsize=9
    )


def _hulls(panel: Any, name: str, about: Mapping[str, Any], lines: Sequence[Line]) -> None:
    """The lower convex hull of each system whose points are spread over several curves, as a thin line."""
    sign = 1 if about["better"] == "higher" else -1
    systems: dict[str, list[tuple[float, float, str]]] = {}
    name_of = curve_names(lines)
    for line in lines:
        estimate = line.metrics.get(name)
        if line.file_kbps is not None and estimate is not None:
            point = line.file_kbps, sign * estimate.mean, name_of(line)
            systems.setdefault(system_name(line.codec, line.settings), []).append(point)
    drawn = 0
    for points in systems.values():
        if len({curve for *_, curve in points}) < 2:
            continue
        rates, quality = (np.array([point[i] for point in points], np.float64) for i in (0, 1))
        chosen = hull(rates, quality)
        label = "" if drawn else "lower convex hull"
        panel.plot(rates[chosen], sign * quality[chosen], color="#222222", linewidth=0.8, label=label, zorder=4)
        drawn += 1


def _curve(
    panel: Any,
    x: Sequence[Any],
    lines: Sequence[Line],
    metric: str,
    label: str,
    number: int,
    ours: bool = True,
) -> None:
    """A line through the means with its intervals as a band; points without a value leave a gap."""
    palette = OURS if ours else OTHERS
    colour = palette[number % len(palette)]
    estimates = [line.metrics.get(metric) for line in lines]
    mean, low, high = ([_part(e, part) for e in estimates] for part in ("mean", "low", "high"))
    marker = MARKERS[number % len(MARKERS)]
    panel.plot(x, mean, color=colour, marker=marker, markersize=3.5, linewidth=1.4, label=label, zorder=3)
    panel.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0, zorder=2)


def _part(estimate: Estimate | None, part: str) -> float:
    return math.nan if estimate is None else float(getattr(estimate, part))


def _limits(shown: Sequence[Estimate], anchors: Sequence[float]) -> tuple[float, float]:
    """The range of a panel: all of the codecs, and those anchors that do not squeeze them."""
    values = (
        [value for estimate in shown for value in (estimate.low, estimate.high)]
        or list(anchors)
        or [0.0, 1.0]
    )
    low, high = min(values), max(values)
    reach = max(high - low, 1e-6)
    near = [value for value in anchors if low - 0.6 * reach <= value <= high + 0.6 * reach]
    low, high = min([low, *near]), max([high, *near])
    margin = 0.06 * max(high - low, 1e-6)
    return low - margin, high + margin


def curve_names(lines: Sequence[Line]) -> Callable[[Line], str]:
    """What names the curve that a line belongs to, given all lines of a record.

    A codec's points are one curve. Those of ravecodec are one for each step, along the fidelities; one where all have
    the same fidelity; and one for target bitrates.
    """
    kept: dict[str, set[Any]] = {}
    for line in lines:
        if line.codec == "ravecodec" and "bitrate" not in line.settings:
            part = [line.settings.get(name) for name in ("fidelity", "components")]
            kept.setdefault(system_name(line.codec, line.settings), set()).add(tuple(part))

    def name(line: Line) -> str:
        system = system_name(line.codec, line.settings)
        if line.codec != "ravecodec":
            return system
        if "bitrate" in line.settings:
            return f"{system} at target bitrates"
        step = line.settings.get("step")
        return system if len(kept.get(system, ())) < 2 or step is None else f"{system} q={step}"

    return name


def _over_all(results: Results, kinds: Sequence[str] | None = None) -> list[Line]:
    """The summary lines over all clips; of a metric for one kind only, over those: their rate is another."""
    found = list(dict.fromkeys(line.kind for line in results.lines))
    applicable = [kind for kind in found if kinds and kind in kinds]
    if len(applicable) == 1:
        wanted = applicable[0]
    else:
        wanted = OVERALL if OVERALL in found or not found else found[0]
    return [line for line in results.lines if line.kind == wanted]


def _anchors(lines: Sequence[Line]) -> list[Line]:
    """The points without a rate; identity would only show where a scale ends."""
    return [line for line in lines if line.file_kbps is None and line.codec != "identity"]


def _nines(fidelity: float) -> float:
    return -math.log10(max(1 - fidelity, 1e-6))


def _save(figure: Any, stem: Path) -> list[Path]:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    with matplotlib.rc_context(STYLE):
        figure.savefig(paths[0], dpi=170)
        # Without the date, the same record draws the same file.
        figure.savefig(paths[1], metadata={"Date": None})
    return paths
