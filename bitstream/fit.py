"""Fitting a row of counts to calibration integers: a histogram, smoothed only as much as it pays.

This runs once, when a model is calibrated, and may use floats: what is stored and shipped are the counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .escape import LOW_MAX
from .tables import MAX_ROW, ROW_SUM, Row

WIDTHS = (0.0, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 25.0)  # decay of the kernel exp(-|x| / width), in integers
BROAD = 0.02  # share of a broad Laplace distribution, for what calibration has not met


def fit_row(values: ArrayLike) -> Row:
    """Row for a set of integers [n] of one component: its low end and its counts, the escape last.

    The width of the smoothing kernel is the one under which each value is best predicted from all the others.
    """
    kept = np.clip(np.asarray(values, dtype=np.int64).ravel(), -LOW_MAX + 64, LOW_MAX - 64)
    if not kept.size:
        return 0, (ROW_SUM,)
    first = int(kept.min())
    spread = float(np.mean(np.abs(kept - np.median(kept))))
    margin = min(int(np.ceil(2 * spread)) + 4, 32)
    last = int(kept.max())
    if last - first > 4 * MAX_ROW:  # a few far strays: let them be escapes
        middle = int(np.median(kept))
        first, last = max(first, middle - 2 * MAX_ROW), min(last, middle + 2 * MAX_ROW)
        kept = kept[(kept >= first) & (kept <= last)]
    low = first - margin
    histogram = np.bincount(kept - low, minlength=last - low + 1 + margin).astype(np.float64)
    return _to_counts(_density(histogram, spread), low)


def _density(histogram: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Probability of each bin: the best of the kernel estimates, mixed with a broad Laplace."""
    total = histogram.sum()
    places = np.arange(len(histogram))
    centre = int(np.searchsorted(np.cumsum(histogram), total / 2))
    broad = np.exp(-np.abs(places - centre) / (2 * spread + 0.5))
    broad /= broad.sum()
    best, best_score = broad, -np.inf
    seen = histogram > 0
    for width in WIDTHS:
        if width and width > 2 * spread + 0.5:
            break
        reach = int(np.ceil(12 * width))
        kernel = np.exp(-np.abs(np.arange(-reach, reach + 1)) / (width or 1.0))
        kernel /= kernel.sum()
        smooth = np.convolve(histogram, kernel)[reach : reach + len(histogram)]
        others = np.maximum(smooth - kernel[reach], 0) / max(total - 1, 1)  # each value left out in turn
        score = float(histogram[seen] @ np.log((1 - BROAD) * others[seen] + BROAD * broad[seen]))
        if score > best_score:
            # A histogram of many values needs less of the broad share than one of few.
            share = max(BROAD / np.sqrt(max(total / 100, 1)), 1e-4)
            best, best_score = (1 - share) * smooth / smooth.sum() + share * broad, score
    return best


def _to_counts(density: NDArray[np.float64], low: int) -> Row:
    """Integer counts, none zero, that sum to ROW_SUM; bins too rare for a count are left to the escape."""
    worth = np.flatnonzero(density * ROW_SUM >= 0.5)
    first, last = int(worth[0]), int(worth[-1])
    while last - first + 2 > MAX_ROW:  # the less likely end goes
        if density[first] < density[last]:
            first += 1
        else:
            last -= 1
    inside = density[first : last + 1]
    weights = np.append(inside, max(1 - inside.sum(), 0))
    counts = np.maximum(np.floor(weights * ROW_SUM), 1).astype(np.int64)
    # Rounding is settled on the largest counts, where a unit costs least.
    order = np.argsort(-counts, kind="stable")
    excess = int(counts.sum()) - ROW_SUM
    while excess:
        for place in order[: abs(excess)]:
            unit = -1 if excess > 0 else 1
            if counts[place] + unit >= 1:
                counts[place] += unit
                excess += unit
    return low + first, tuple(int(count) for count in counts)


SHAPES = [(share, wide) for share in (0.3, 0.5, 0.7, 0.85, 1.0) for wide in (1.5, 2.0, 3.0, 4.5)]
STRETCHES = 2.0 ** (np.arange(-8, 9) / 8)
PRIOR = 40.0  # integers that a distribution of the usual shape counts for, beside those met


def fit_bank(met: NDArray[np.integer], finest: float) -> list[list[Row]]:
    """Rows [K][8] of a context network's bank from what it met.

    met [n, 3]: the class and the eighth that were chosen for an integer, and the integer less the whole part of its
    mean. Class k stands for a scale of about 2^(finest + k / 8) integers. Each class has the shape, of a family of two
    logistic distributions, that suits what it met best; what was met then outweighs it where there is much of it.
    """
    classes = int(met[:, 0].max()) + 1
    order = np.argsort(met[:, 0], kind="stable")
    ends = np.searchsorted(met[order, 0], np.arange(classes + 1))
    shape = (0.7, 1.0, 2.0)
    rows = []
    for number in range(classes):
        scale = 0.55 * 2 ** (finest + number / 8)
        fractions, offsets = met[order[ends[number] : ends[number + 1]], 1:].T
        reach = min(int(40 * scale) + 3, MAX_ROW // 2 - 2)
        counts = _tally(fractions, offsets, reach)
        if counts.sum() >= 200:
            shape = max(
                ((share, stretch, wide) for share, wide in SHAPES for stretch in STRETCHES),
                key=lambda s: float((counts * np.log(_discrete(s, scale, reach) + 1e-9)).sum()),
            )
        usual = _discrete(shape, scale, reach)
        # The wider a row is, the less it matters where in an integer its mean lies.
        together = int(np.clip(2 ** np.floor(finest + number / 8), 1, 8))
        line: list[Row] = []
        for first in range(0, 8, together):
            tallied, expected = counts[first : first + together].sum(0), usual[first : first + together].mean(0)
            density = (tallied + PRIOR * expected) / (tallied.sum() + PRIOR)
            line += [_to_counts(density, -reach)] * together
        rows.append(line)
    return rows


def _tally(fractions: NDArray[np.integer], offsets: NDArray[np.integer], reach: int) -> NDArray[np.float64]:
    """How often each offset within `reach` came at each eighth [8, 2 reach + 1]; its mirror image is as likely."""
    mirrored = np.where(fractions > 0, 1 - offsets, -offsets), -fractions % 8
    offsets, fractions = np.concatenate([offsets, mirrored[0]]), np.concatenate([fractions, mirrored[1]])
    inside = np.abs(offsets) <= reach
    counts = np.zeros((8, 2 * reach + 1))
    np.add.at(counts, (fractions[inside], offsets[inside] + reach), 0.5)
    return counts


def _discrete(shape: tuple[float, float, float], scale: float, reach: int) -> NDArray[np.float64]:
    """Probabilities [8, 2 reach + 1] of the integers around a mean of 0/8 ... 7/8."""
    share, stretch, wide = shape
    edges = np.arange(-reach, reach + 2)[None] - 0.5 - np.arange(8)[:, None] / 8
    below = [1 / (1 + np.exp(-(edges / (scale * stretch * w)).clip(-40, 40))) for w in (1.0, wide)]
    return np.diff(share * below[0] + (1 - share) * below[1], axis=1)
