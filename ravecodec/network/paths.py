"""Best paths through scores by dynamic programming, as in RAPT (Talkin 1995), but no farther than a fixed reach."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

REACH, SLACK, WEIGHT = 4, 2, 0.8  # rows to either side, columns between neighbouring rows, and what a neighbour counts
TOTAL = 2 * sum(WEIGHT**i for i in range(REACH + 1)) - 1  # what a path of ones adds up to


def along_paths(score: Tensor, reach: int = REACH) -> Tensor:
    """Sum of scores [batch, rows, columns] along the best path through each point, so many rows far, the same shape."""
    forward, backward = score, score
    for _ in range(reach):
        forward = score + WEIGHT * _near(F.pad(forward[:, :-1], (0, 0, 1, 0)))
        backward = score + WEIGHT * _near(F.pad(backward[:, 1:], (0, 0, 0, 1)))
    return forward + backward - score


def _near(score: Tensor) -> Tensor:
    return F.max_pool1d(score, 2 * SLACK + 1, 1, SLACK)
