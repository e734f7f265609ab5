"""A source of partials at multiples of a transmitted pitch.

Its phase is what the pitch adds up to, and would depend on the whole sound before it. So that sound can be decoded
from anywhere, the sum starts anew every 64 frames, and what it had come to glides to zero over the 16 frames after: a
frequency wrong by at most 0.7 Hz for as long.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .pitch import SLOTS, Pitch

SEGMENT, SETTLE = 64, 16  # frames between new starts, and that a start takes
GRID = 32  # points a frame between which the frequency stands still
TOP = 8000.0  # Hz: no partials above


def history(first: int) -> int:
    """The first frame whose pitch the phase at frame `first` depends on."""
    return SEGMENT * ((first - 1 - SETTLE) // SEGMENT)


def pulse_train(pitch: Pitch, latents: Tensor, hop: int, first: int, start: int) -> Tensor:
    """Sound [batch, 1, n] of the frames from `start` on, from pitch latents [batch, 4, frames] of frames `first` on.

    Partials are spread like white noise of unit power, times the voicing. `first` and `start` are numbers in
    the file; give frames from `history(start)` on for the phase that every other reader finds. In frame 0, and not
    before, the phase begins at zero.
    """
    rate, cell = pitch.rate, hop // GRID
    hertz, voicing = pitch.curves(latents)
    spread = GRID // SLOTS
    # Between a slot with pitch and one without, the pitch is that of the first.
    trust = (voicing + 1e-3).double()
    trust[:, : max(0, -first) * SLOTS] = 1e-12  # what stands before the file has no say
    total = F.interpolate(torch.stack([trust * hertz, trust], 1), scale_factor=float(spread), mode="linear")
    grid = total[:, 0] / total[:, 1]
    moved = grid * (cell / rate)  # cycles a cell
    cells = grid.shape[1]
    number = torch.arange(cells, device=latents.device) + (first - 1) * GRID
    segment = torch.div(number, SEGMENT * GRID, rounding_mode="floor")
    inside = number - segment * SEGMENT * GRID
    phase = moved.cumsum(1) - moved
    origin, left = torch.zeros_like(phase), torch.zeros_like(phase)
    begins = list(range((1 - first) * GRID % (SEGMENT * GRID), cells, SEGMENT * GRID))
    if first <= 0:  # the file's first segment has a frame more
        begins = [-first * GRID] + [begin for begin in begins if begin > (1 - first) * GRID]
    for before, begin in zip([None, *begins], begins, strict=False):
        origin[:, begin:] = phase[:, begin : begin + 1]
        if before is not None:
            # What the segment before came to, without its whole cycles.
            over = phase[:, begin] - phase[:, before]
            left[:, begin:] = (over - over.round())[:, None]
    share = (1 - inside / (SETTLE * GRID)).clamp(min=0)
    slope = moved - left * (share > 0) / (SETTLE * GRID)
    phase = phase - origin + left * share
    skip = (start - first) * GRID
    phase, slope, grid = (part[:, skip:, None] for part in (phase, slope, grid))
    ramp = (torch.arange(cell, device=latents.device) + 0.5) / cell
    angle = 2 * math.pi * (torch.frac(phase).float() + slope.float() * ramp).flatten(1)
    count = (TOP / grid.float()).expand(-1, -1, cell).flatten(1)
    level = 2 * (grid.float() / rate).sqrt().expand(-1, -1, cell).flatten(1)
    loud = F.interpolate(voicing[:, None, :], scale_factor=float(hop // SLOTS), mode="linear")[:, 0].sqrt()
    return (level * loud[:, (start - first) * hop :] * _partials(angle, count))[:, None]


def _partials(angle: Tensor, count: Tensor) -> Tensor:
    """Sum of cos(k angle) for k = 1 ... count; of a broken last one, the part."""
    whole = count.floor()
    half = torch.remainder(0.5 * angle, math.pi)
    below = torch.sin(half)
    # The kernel of Dirichlet.
    closed = 0.5 * (torch.sin((2 * whole + 1) * half) / below.clamp_min(1e-4) - 1)
    closed = torch.where(below < 1e-4, whole, closed)
    return closed + (count - whole) * torch.cos((whole + 1) * angle)
