"""A second pitch: that of what the first one's partials leave of a spectrum, for music of several voices.

The partials of the strongest pitch are taken out and what remains is asked again (Klapuri 2003, "Multiple fundamental
frequency estimation based on harmonicity and spectral smoothness", takes them out by their amplitudes; here only peaks
above their surroundings count, and those where a partial of the first may lie do not). A note that lasts is what it
looks for: a voice that glides leaves more beside its partials than there is in most second pitches.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import full_precision
from .paths import along_paths
from .periods import HALF_BAND_REACH, HIGHEST, at_half_rate, candidates, cosines, on_top, taper, vertex
from .pitch import MIDDLE, NOISE, OCTAVES, SLOTS, held, pitch_reach

LATENTS = 2
_WINDOW = 4096  # samples that are looked at: two series of partials want a finer spectrum than one
_BAND = (300.0, 400.0, 4500.0, 5000.0)  # Hz: the waveform of what is lower is sent; as `periods.taper` takes them
_ROOM = 1.2  # how much more than the band a rate must hold, for what the filter of half the band folds into it
_GRID = 96  # candidates an octave
_SHORT = 0.02  # handicap of an octave down: multiples of the period fit as well
_AROUND = 20  # bins on either side of one whose mean is its surroundings
_WIDTH = 22.0  # Hz beside a partial of the first pitch over which it is taken out
_VOICED = (0.15, 0.3)  # share of all peaks at which voicing begins and is full
_SPAN = 2  # slots on either side over which a peak is followed
_STEADY = 0.05  # octaves between slots within which it is the same note
_NOTE = 6  # slots in a row that are a note: 128 ms. Shorter ones cost bits and are hardly heard
_FLOOR = 1e-4  # magnitude that is as good as none


class SecondPitch(nn.Module):
    """Latents [batch, 2, frames]: a second pitch, zero where there is none, and its voicing."""

    cosines: Tensor
    window: Tensor
    taper: Tensor
    frequency: Tensor
    count: Tensor
    handicap: Tensor
    noise: Tensor
    rest: Tensor

    def __init__(self, hop: int, rate: int) -> None:
        super().__init__()
        self.hop = hop // SLOTS
        self.halvings = sum(rate >= _ROOM * 2 * every * _BAND[-1] for every in (2, 4))  # that leave what is looked at
        frequency = torch.arange(int(_BAND[-1] / rate * _WINDOW) + 1) * (rate / _WINDOW)
        found = candidates(_GRID)
        count = (torch.arange(len(frequency)) + _AROUND + 1).clamp(max=2 * _AROUND + 1)  # bins that a mean is of
        self.register_buffer("count", count, persistent=False)
        self.register_buffer("frequency", frequency, persistent=False)
        self.register_buffer("cosines", cosines(frequency, found), persistent=False)
        self.register_buffer("window", torch.hann_window(_WINDOW)[:: 2**self.halvings].contiguous(), persistent=False)
        self.register_buffer("taper", taper(frequency, _BAND), persistent=False)
        self.register_buffer("handicap", _SHORT * torch.arange(len(found)) / _GRID, persistent=False)
        self.register_buffer("noise", torch.tensor(NOISE[:LATENTS])[:, None], persistent=False)
        self.register_buffer("rest", torch.tensor([[0.0], [-1.0]]), persistent=False)  # where there is no second pitch

    @torch.no_grad()
    def measure(self, sound: Tensor, hertz: Tensor, voicing: Tensor) -> Tensor:
        """Latents of sound [batch, 1, n] whose first pitch is known for each slot [batch, slots]; no gradient."""
        with full_precision(sound):
            peaks = self._peaks(sound)
            taken = self._taken(hertz, voicing).mul_(voicing[..., None])
            left = taken.neg_().add_(1).mul_(peaks)
            share = left @ self.cosines / (peaks.sum(-1, keepdim=True) + 1e-3)
            best = along_paths(share - self.handicap, _SPAN)[..., 1:-1].argmax(-1) + 1
            best = on_top(share, best, 4)
            octaves = math.log2(HIGHEST / MIDDLE) - (best + vertex(share, best)) / _GRID
            low, high = _VOICED
            strength = ((share.gather(-1, best[..., None])[..., 0] - low) / (high - low)).clamp(0, 1)
            strength = (strength * _lasting(octaves) * (voicing > 0)).unflatten(1, (-1, SLOTS))
            weight = strength + 1e-6
            octaves = (octaves.unflatten(1, (-1, SLOTS)) * weight).sum(2) / weight.sum(2)
            strength = strength.mean(2)
            return torch.stack([octaves / OCTAVES * (strength > 0), 2 * strength - 1], 1)

    @staticmethod
    def held(latents: np.ndarray) -> np.ndarray:
        """Latents [2, frames] in which, where there is no pitch, it goes in straight lines: see `pitch.held`."""
        return held(latents, 1)

    @property
    def ceiling(self) -> np.ndarray:
        """Of each latent [2] the value above which it says no more, since all is voiced there; infinity for others."""
        return np.array([np.inf, 1.0])

    @property
    def switches(self) -> np.ndarray:
        """Of each latent [2] the number of the one that switches it on: the voicing the pitch, nothing the voicing."""
        return np.array([1, -1])

    def resting(self, latents: Tensor) -> Tensor:
        """Latents [batch, 2, frames] as they are measured where there is no pitch, and voiced at most wholly."""
        pitch, voicing = latents.split(1, 1)
        return torch.cat([pitch * (voicing > -1), voicing.clamp(max=1)], 1)

    def as_first(self, latents: Tensor, count: int) -> Tensor:
        """Latents [batch, 2, frames] as the `count` latents of a first pitch [batch, count, frames] say it."""
        slots = latents.repeat_interleave(SLOTS, 1)
        return F.pad(slots, (0, 0, 0, count - slots.shape[1]))

    def _peaks(self, sound: Tensor) -> Tensor:
        """Root of what stands above its surroundings in spectra [batch, slots, bins] of sound [batch, 1, n]."""
        every = 2**self.halvings
        side = (_WINDOW - self.hop) // 2 + HALF_BAND_REACH * (every - 1)
        padded = F.pad(sound[:, 0], (side, side))
        for _ in range(self.halvings):
            padded = at_half_rate(padded)
        windows = padded.unfold(-1, _WINDOW // every, self.hop // every)
        bins = len(self.frequency)
        spectra = torch.view_as_real(torch.fft.rfft(windows * self.window)[..., : bins + _AROUND])
        magnitude = spectra.square().sum(-1).sqrt_()
        total = F.pad(torch.log(magnitude + _FLOOR).cumsum_(-1), (_AROUND + 1, 0))
        surroundings = (total[..., 2 * _AROUND + 1 :] - total[..., :bins]).div_(self.count).exp_()
        return (magnitude[..., :bins] - surroundings).clamp_(min=0).sqrt_().mul_(self.taper)

    def _taken(self, hertz: Tensor, voicing: Tensor) -> Tensor:
        """Nearness, 0 to 1, of bins to partials of a pitch that may glide, [batch, slots, bins]."""
        sounding = voicing > 0
        glide = (hertz[:, 1:] - hertz[:, :-1]).abs() * (sounding[:, 1:] & sounding[:, :-1])
        glide = torch.maximum(F.pad(glide, (1, 0)), F.pad(glide, (0, 1)))
        number = self.frequency / hertz[..., None]
        nearest = number.round()
        width = (glide[..., None] * nearest).square_().add_(_WIDTH**2)
        return number.sub_(nearest).mul_(hertz[..., None]).square_().div_(width).neg_().exp_()


def _lasting(octaves: Tensor) -> Tensor:
    """Whether a slot of [batch, slots] is one of enough in a row with the same note."""
    alike = ((octaves[:, 1:] - octaves[:, :-1]).abs() < _STEADY).float()
    whole = -F.max_pool1d(-F.pad(alike, (_NOTE - 1, _NOTE - 1)), _NOTE - 1, 1)  # all pairs of a run of that length are
    return F.max_pool1d(whole, _NOTE, 1) > 0


def second_pitch_reach(hop: int) -> int:
    """Samples on one side that the latents of a frame of `hop` samples depend on, an upper bound."""
    # The slots of a note, a path from the last of them, and one more, which says whether the first pitch glides.
    return (_NOTE - 1 + _SPAN + 1) * (hop // SLOTS) + max(pitch_reach(hop), _WINDOW // 2 + 3 * HALF_BAND_REACH)
