"""Pitch and voicing of sound, measured: what lets a decoder make partials that no waveform was sent for.

An autocorrelation of the compressed low spectrum (after Tolonen & Karjalainen 2000, "A computationally efficient
multipitch analysis model"), its peaks followed over a few spectra, no farther than a fixed reach: what a frame holds
must not depend on where a stream was cut.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import full_precision
from .paths import along_paths

SLOTS = 2  # values of pitch, and of voicing, a latent frame
LATENTS = 2 * SLOTS
LOWEST, HIGHEST, MIDDLE = 60.0, 600.0, 180.0  # Hz
_OCTAVES = 0.5  # that one unit of a pitch latent stands for
_WINDOW, _TOP = 2048, 1500.0  # samples and Hz that are looked at
_POWER = 0.5  # of the power spectrum: formants count less than in a plain autocorrelation
_GRID = 48  # candidates an octave
_SHORT = 0.02  # handicap of an octave down: multiples of the period fit as well
_VOICED = (0.28, 0.38)  # autocorrelation at which voicing begins and is full
_LEAP = 0.2  # octaves between slots above which there is no pitch to follow
NOISE = (0.01, 0.12)  # posterior scales of a pitch and of a voicing latent: 6 cents; a step tells voiced from unvoiced


class Pitch(nn.Module):
    """Latents [batch, 4, frames]: pitch of two slots, zero where there is none, then their voicing."""

    cosines: Tensor
    window: Tensor
    taper: Tensor
    handicap: Tensor
    noise: Tensor

    def __init__(self, hop: int, rate: int) -> None:
        super().__init__()
        self.hop, self.rate = hop // (2 * SLOTS), rate  # two spectra a slot
        bins = int(_TOP / rate * _WINDOW) + 1
        frequency = torch.arange(bins) * (rate / _WINDOW)
        count = round(_GRID * math.log2(HIGHEST / LOWEST)) + 1
        candidates = HIGHEST * 2.0 ** (-torch.arange(count, dtype=torch.float64) / _GRID)
        window = torch.hann_window(_WINDOW)
        # Of a tone under a window the autocorrelation falls with the lag: half of that is made good.
        lags = (rate / candidates).long()
        fall = torch.stack([(window[: _WINDOW - lag] * window[lag:]).sum() for lag in lags.tolist()])
        fall = fall / window.square().sum()
        cosines = torch.cos(2 * math.pi * frequency[:, None].double() / candidates[None]).float() / fall.sqrt()
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("window", window, persistent=False)
        taper = ((_TOP - frequency) / 500).clamp(0, 1) * (frequency / 80).clamp(0, 1)
        self.register_buffer("taper", taper, persistent=False)
        self.register_buffer("handicap", _SHORT * torch.arange(count) / _GRID, persistent=False)
        noise = torch.tensor(NOISE).repeat_interleave(SLOTS)[:, None]
        self.register_buffer("noise", noise, persistent=False)

    @torch.no_grad()
    def measure(self, sound: Tensor) -> Tensor:
        """Latents of sound [batch, 1, n]; no gradient."""
        with full_precision(sound):
            frequency, strength = self._follow(self._correlation(sound))
            # Two spectra make a slot.
            octaves = torch.log2(frequency / MIDDLE).unflatten(1, (-1, 2)).mean(2)
            low, high = _VOICED
            voicing = ((strength.unflatten(1, (-1, 2)).mean(2) - low) / (high - low)).clamp(0, 1)
            leap = (octaves[:, 1:] - octaves[:, :-1]).abs()
            edge = torch.full_like(octaves[:, :1], 9.0)
            steady = torch.minimum(torch.cat([edge, leap], 1), torch.cat([leap, edge], 1)) < _LEAP
            voicing = voicing * steady
            pitch = octaves / _OCTAVES * (voicing > 0)
            batch, slots = pitch.shape
            pair = torch.stack([pitch, 2 * voicing - 1]).view(2, batch, slots // SLOTS, SLOTS)
            return pair.permute(1, 0, 3, 2).flatten(1, 2)

    def curves(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz and voicing (0 to 1) of each slot, both [batch, frames * slots], of latents [batch, 4, frames]."""
        pitch, voicing = (part.transpose(1, 2).flatten(1) for part in latents.split(SLOTS, 1))
        limit = math.log2(HIGHEST / MIDDLE) / _OCTAVES + 0.5, math.log2(LOWEST / MIDDLE) / _OCTAVES - 0.5
        return MIDDLE * torch.exp2(pitch.clamp(limit[1], limit[0]) * _OCTAVES), (0.5 * voicing + 0.5).clamp(0, 1)

    def by_frame(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz and voicing (0 to 1) of each frame, both [batch, 1, frames], of latents [batch, 4, frames]."""
        hertz, voicing = (curve.unflatten(1, (-1, SLOTS)) for curve in self.curves(latents))
        weight = voicing + 1e-6
        return ((hertz * weight).sum(2) / weight.sum(2))[:, None], voicing.mean(2)[:, None]

    @torch.no_grad()
    def voicing(self, latents: Tensor, steps: int) -> Tensor:
        """Voicing (0 to 1) at `steps` points a frame, [batch, 1, frames * steps], of latents [batch, 4, frames]."""
        with full_precision(latents):
            slots = self.curves(latents.float())[1]
            return F.interpolate(slots[:, None], scale_factor=float(steps // SLOTS), mode="linear")

    def _correlation(self, sound: Tensor) -> Tensor:
        """Autocorrelation of the compressed spectrum at each candidate, [batch, spectra, candidates]; 1 is periodic."""
        side = (_WINDOW - self.hop) // 2
        spectra = torch.fft.rfft(F.pad(sound[:, 0], (side, side)).unfold(-1, _WINDOW, self.hop) * self.window)
        spectra = spectra[..., : len(self.taper)]
        power = spectra.real.square() + spectra.imag.square()
        compressed = (power + 1e-9) ** _POWER * self.taper
        return compressed @ self.cosines / (compressed.sum(-1, keepdim=True) + 1e-9)

    def _follow(self, correlation: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz and the autocorrelation there, [batch, spectra]."""
        score = correlation - self.handicap
        last = score.shape[-1] - 1
        best = along_paths(score)[..., 1:-1].argmax(-1) + 1

        def at(place: Tensor) -> Tensor:
            return correlation.gather(-1, place[..., None])[..., 0]

        for _ in range(2):  # the path may run beside the peak
            before, here, after = at(best - 1), at(best), at(best + 1)
            best = (best + (after > here).long() - ((before > here) & (after <= here)).long()).clamp(1, last - 1)
        before, here, after = at(best - 1), at(best), at(best + 1)
        bend = before - 2 * here + after
        shift = torch.where(bend < -1e-6, 0.5 * (before - after) / bend, torch.zeros_like(bend)).clamp(-0.5, 0.5)
        return HIGHEST * torch.exp2(-(best + shift) / _GRID), here
