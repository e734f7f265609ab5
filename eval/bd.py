"""Bjøntegaard deltas with intervals: how much less rate for equal quality, how much more quality at equal rate.

G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001; the curves are
interpolated by Akima's splines (package bjontegaard; C. Herglotz et al., "The Bjøntegaard Bible", IEEE TIP
2024), since on one set of four points cubic, akima and pchip gave 63, 38 and 27 %. What that asks for is
demanded: five points a curve, and curves that share half of the range that they cover together.

A curve is the monotone part of a codec's operating points (`curves.front`): a point that costs more than
another and is no better does not belong to it. Of a grid over two settings it is the lower convex hull, if that
keeps five points: points of a monotone part that a mixture of two others beats would let a sparser sweep of the
same codec look better (by 14 % on one record). Intervals are percentile bootstraps over clips: both codecs'
curves are built anew, fronts included, from the same drawn clips. Whether there is a figure at all is decided
on all clips; of a resample, which strays to either side of that decision, half as much overlap and three
points are asked.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.curves import Cloud, Vector, front, hull
from eval.errors import EvalError, Unavailable

FEWEST = 5
OVERLAP = 0.5
DRAWN_FEWEST, DRAWN_OVERLAP = 3, 0.25
RESAMPLES = 400
LEVEL = 0.95
USABLE = 0.9
"""The share of resamples that must give a value, or there is no interval."""


@dataclass(frozen=True)
class Value:
    """A figure with its interval, or none and the reason. `low` and `high` may be None by themselves."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Delta:
    """One system against another by one metric on their common clips.

    `rate` is in percent: −20 means that the test needs 20 % less rate for equal quality. `quality` is the
    mean gain at equal rate in the metric's own unit, with the sign turned so that more is better.
    `span` is the range of quality that the reference's curve covers.
    """

    metric: str
    reference: str
    test: str
    clips: int
    points: tuple[int, int]
    rate: Value
    quality: Value
    span: float


def delta(
    reference: Cloud, test: Cloud, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Delta:
    """Compares two clouds on the clips that both have; what cannot be said is None, with its reason.

    The draws depend on the seed and the number of clips only. Raises EvalError for two clouds of different
    metrics and Unavailable without the package bjontegaard.
    """
    if (reference.metric, reference.better) != (test.metric, test.better):
        raise EvalError(f"{reference.metric} cannot be compared with {test.metric}")
    common = [clip for clip in reference.clips if clip in set(test.clips)]
    reference, test = reference.on(common), test.on(common)
    if not common:
        nothing = Value(None, reason="no clip has a value at every point of both")
        return Delta(reference.metric, reference.name, test.name, 0, (0, 0), nothing, nothing, 0.0)
    wants_hull = [cloud.grid and len(hull(*cloud.means())) >= FEWEST for cloud in (reference, test)]
    curves = _curve(reference, wants_hull[0]), _curve(test, wants_hull[1])
    whole = _both(*curves)
    drawn: tuple[list[float], list[float]] = ([], [])
    if resamples and len(common) > 1 and any(value.value is not None for value in whole):
        random = np.random.default_rng([seed, len(common)])
        for draw in random.integers(0, len(common), (resamples, len(common))):
            pair = _curve(reference, wants_hull[0], draw), _curve(test, wants_hull[1], draw)
            for kept, value in zip(drawn, _both(*pair, DRAWN_FEWEST, DRAWN_OVERLAP), strict=True):
                if value.value is not None:
                    kept.append(value.value)
    rate, quality = (
        _interval(value, kept, resamples, level) for value, kept in zip(whole, drawn, strict=True)
    )
    return Delta(
        metric=reference.metric,
        reference=reference.name,
        test=test.name,
        clips=len(common),
        points=(len(curves[0][0]), len(curves[1][0])),
        rate=rate,
        quality=quality,
        span=float(np.ptp(curves[0][1])),
    )


def overlap(a: Vector, b: Vector) -> float:
    """The share of the range covered by both that each of them covers; 0 where nothing is covered."""
    total = max(a.max(), b.max()) - min(a.min(), b.min())
    shared = min(a.max(), b.max()) - max(a.min(), b.min())
    return float(max(shared, 0.0) / total) if total > 0 else 0.0


def _curve(cloud: Cloud, wants_hull: bool, draw: Any = None) -> tuple[Vector, Vector]:
    rates, quality = cloud.means(draw)
    chosen = hull(rates, quality) if wants_hull else front(rates, quality)
    return rates[chosen], quality[chosen]


def _both(
    reference: tuple[Vector, Vector], test: tuple[Vector, Vector], fewest: int = FEWEST, least: float = OVERLAP
) -> tuple[Value, Value]:
    """BD-rate and BD-quality of two monotone curves (rates, quality)."""
    for which, (rates, _) in (("reference", reference), ("test", test)):
        if len(rates) < fewest:
            few = f"the {which} has {len(rates)} points that rise with rate, {fewest} are needed"
            return Value(None, reason=few), Value(None, reason=few)
    functions = _package()
    arguments = (*reference, *test)
    options = {"method": "akima", "require_matching_points": False, "min_overlap": 0}
    values = []
    for function, a, b, axis in (
        (functions.bd_rate, reference[1], test[1], "quality"),
        (functions.bd_psnr, np.log10(reference[0]), np.log10(test[0]), "rate"),
    ):
        shared = overlap(a, b)
        if shared < least:
            values.append(Value(None, reason=f"the curves share {shared:.0%} of their {axis}, half is needed"))
            continue
        with np.errstate(all="ignore"):
            values.append(Value(float(function(*arguments, **options))))
    return values[0], values[1]


def _interval(value: Value, drawn: list[float], resamples: int, level: float) -> Value:
    if value.value is None or not resamples:
        return value
    if len(drawn) < USABLE * max(resamples, 1):
        few = f"no interval: {len(drawn)} of {resamples} resamples gave a value"
        return Value(value.value, reason=few)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Value(value.value, float(low), float(high))


def _package() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from bjontegaard import functions
    except ImportError as error:
        raise Unavailable("BD-rates need the package bjontegaard: pip install 'ravecodec[eval]'") from error
    return functions
