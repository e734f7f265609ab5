"""A source of partials at multiples of a transmitted pitch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .phase import added_up
from .pitch import SLOTS, Pitch

GRID = 32  # points a frame between which the frequency stands still
TOP = 8000.0  # Hz: no partials above
LEAST = 1e-6  # weight of a slot without pitch beside one that has it: what is sent of it then says nothing


def pulse_train(pitch: Pitch, latents: Tensor, hop: int, first: int, start: int) -> Tensor:
    """Sound [batch, 1, n] of the frames from `start` on, from pitch latents [batch, n, frames] of frames `first` on.

    Partials are spread like white noise of unit power, times the voicing. `first` and `start` are numbers in
    the file; give frames from `history(start)` on for the phase that every other reader finds. In frame 0, and not
    before, the phase begins at zero.
    """
    rate, cell = pitch.rate, hop // GRID
    hertz, voicing = pitch.curves(latents)
    spread = GRID // pitch.parts
    # Between a slot with pitch and one without, the pitch is that of the first.
    trust = (voicing.double() + LEAST).repeat_interleave(pitch.parts // SLOTS, 1)
    trust[:, : max(0, -first) * pitch.parts] = 1e-12  # what stands before the file has no say
    total = F.interpolate(torch.stack([trust * hertz, trust], 1), scale_factor=float(spread), mode="linear")
    grid = total[:, 0] / total[:, 1]
    moved = grid * (cell / rate)  # cycles a cell
    phase, slope = added_up(moved, first, GRID)
    skip = (start - first) * GRID
    phase, slope, grid = (part[:, skip:, None] for part in (phase, slope, grid))
    ramp = _ramp(cell, latents)
    cycles = (torch.frac(phase).float() + slope.float() * ramp).flatten(1)
    count = (TOP / grid.float()).expand(-1, -1, cell).flatten(1)
    level = 2 * (grid.float() / rate).sqrt().expand(-1, -1, cell).flatten(1)
    # Voicing goes in straight lines from the middle of a slot to that of the next.
    size = hop // SLOTS
    slots = F.pad(voicing[:, None], (1, 1), mode="replicate")[:, 0, (start - first) * SLOTS :, None].float()
    loud = torch.lerp(slots[:, :-1], slots[:, 1:], _ramp(size, latents)).flatten(1)[:, size // 2 : -(size // 2)].sqrt()
    return (level * loud * _partials(cycles, count))[:, None]


def _ramp(size: int, like: Tensor) -> Tensor:
    """From 0 to 1 in so many steps, at the middle of each."""
    return (torch.arange(size, device=like.device) + 0.5) / size


def _partials(cycles: Tensor, count: Tensor) -> Tensor:
    """Sum of cos(2 pi k cycles) for k = 1 ... count; of a broken last one, the part."""
    whole = count.floor()
    half = math.pi * (cycles - cycles.floor())
    below = torch.sin(half)
    # The kernel of Dirichlet.
    closed = 0.5 * (torch.sin((2 * whole + 1) * half) / below.clamp_min(1e-4) - 1)
    closed = torch.where(below < 1e-4, whole, closed)
    return closed + (count - whole) * torch.cos((2 * whole + 2) * half)
