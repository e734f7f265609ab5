"""The phase of tones whose frequency is sent, the same wherever in a file decoding began.

It is what the frequency adds up to, and would depend on the whole sound before it. So the sum starts anew every 64
frames, and what it had come to glides to zero over the 16 frames after: a frequency wrong by at most 0.7 Hz for as
long.
"""

from __future__ import annotations

import torch
from torch import Tensor

SEGMENT, SETTLE = 64, 16  # frames between new starts, and that a start takes


def history(first: int) -> int:
    """The first frame whose frequency the phase at frame `first` depends on."""
    return SEGMENT * ((first - 1 - SETTLE) // SEGMENT)


def added_up(moved: Tensor, first: int, grid: int) -> tuple[Tensor, Tensor]:
    """Phase at each cell's beginning and what it moves by in the cell, both in cycles, float64 [batch, cells].

    `moved` are the cycles that the frequency alone would move it by; the cells are those of the frames from `first` on,
    `grid` a frame. In frame 0, and not before, the phase begins at zero.
    """
    cells = moved.shape[1]
    number = torch.arange(cells, device=moved.device) + (first - 1) * grid
    segment = torch.div(number, SEGMENT * grid, rounding_mode="floor")
    inside = number - segment * SEGMENT * grid
    phase = moved.cumsum(1) - moved
    origin, left = torch.zeros_like(phase), torch.zeros_like(phase)
    begins = list(range((1 - first) * grid % (SEGMENT * grid), cells, SEGMENT * grid))
    if first <= 0:  # the file's first segment has a frame more
        begins = [-first * grid] + [begin for begin in begins if begin > (1 - first) * grid]
    for before, begin in zip([None, *begins], begins, strict=False):
        origin[:, begin:] = phase[:, begin : begin + 1]
        if before is not None:
            # What the segment before came to, without its whole cycles.
            over = phase[:, begin] - phase[:, before]
            left[:, begin:] = (over - over.round())[:, None]
    share = (1 - inside / (SETTLE * grid)).clamp(min=0)
    slope = moved - left * (share > 0) / (SETTLE * grid)
    return phase - origin + left * share, slope
