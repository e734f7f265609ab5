"""The rate at which another codec reaches the same value of a metric: the equivalent Opus bitrate of a point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from eval.curves import Cloud, front
from eval.errors import EvalError


@dataclass(frozen=True)
class Equivalent:
    """A rate in kbit/s, or that the point is worse or better than all that was measured.

    `kbps` is then the lowest or the highest rate measured.
    """

    kbps: float
    side: Literal["below", "within", "above"] = "within"

    def __str__(self) -> str:
        return f"{self.kbps:.1f}" if self.side == "within" else f"{self.side} {self.kbps:.1f}"


def equivalents(reference: Cloud, test: Cloud) -> dict[str, Equivalent]:
    """For each point of `test`, by label, the rate at which `reference` is as good by the same metric.

    Both on their common clips. The reference's quality is interpolated linearly over the logarithm of its
    measured rate along its monotone part (`curves.front`). Outside of what was measured nothing is guessed.
    Empty where the reference has fewer than two such points or no clip is common.
    """
    if reference.metric != test.metric:
        raise EvalError(f"{reference.metric} cannot be compared with {test.metric}")
    common = [clip for clip in reference.clips if clip in set(test.clips)]
    if not common:
        return {}
    rates, quality = reference.on(common).means()
    chosen = front(rates, quality)
    if len(chosen) < 2:
        return {}
    highest = float(rates.max())
    rates, quality = rates[chosen], quality[chosen]
    found = {}
    for label, value in zip(test.labels, test.on(common).means()[1], strict=True):
        if value < quality[0]:
            found[label] = Equivalent(float(rates[0]), "below")
        elif value > quality[-1]:
            found[label] = Equivalent(highest, "above")
        else:
            found[label] = Equivalent(float(np.exp(np.interp(value, quality, np.log(rates)))))
    return found
