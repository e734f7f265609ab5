"""What one channel of a component is coded as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Line:
    """The integers of one channel of one component in packets of T frames, in coding order, and how each is coded.

    values, rows, low and symbols [packets, T]: the integer, its row, the first integer of that row where it stands, and
    the row's entry for it; escaped [packets, T]: whether that is the escape. ends: where each level of the order ends;
    one level where the row is fixed. on [packets, T]: where an integer is coded; None: everywhere.
    """

    component: int
    values: NDArray[np.int64]
    rows: NDArray[np.int64]
    low: NDArray[np.int64]
    symbols: NDArray[np.int64]
    escaped: NDArray[np.bool_]
    ends: tuple[int, ...]
    on: NDArray[np.bool_] | None = None

    @property
    def chosen(self) -> bool:
        """Whether every integer has a row of its own, and they stand in coding order."""
        return len(self.ends) > 1
