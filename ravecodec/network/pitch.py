"""Pitch and voicing of sound, measured: what lets a decoder make partials that no waveform was sent for.

An autocorrelation of the compressed spectrum (after Tolonen & Karjalainen 2000, "A computationally efficient multipitch
analysis model"), once of the low part and once without what is lower still, its peaks followed over a few spectra, no
farther than a fixed reach: what a frame holds must not depend on where a stream was cut. Where the peak lies is then
read off a spectrum that goes further up: a partial is as many times farther off as its number says.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import full_precision
from .paths import along_paths
from .periods import HALF_BAND_REACH, HIGHEST, LOWEST, at_half_rate, candidates, cosines, on_top, taper, vertex

SLOTS = 2  # values of pitch, and of voicing, a latent frame
_SPECTRA = 2  # a slot
LATENTS = 2 * SLOTS  # without detail
MIDDLE = 180.0  # Hz
OCTAVES = 0.5  # that one unit of a pitch latent stands for
_WINDOW = 2048  # samples that are looked at
# Hz at which what is looked at begins, is whole, falls off and ends. Where a chord or a bass lies below a melody, only
# the second finds the partials of the melody, and the lowest ones have a waveform of their own.
_BANDS = ((0.0, 80.0, 2500.0, 3000.0), (500.0, 800.0, 3500.0, 4000.0))
_GRID = 48  # candidates an octave
_SHORT = 0.02  # handicap of an octave down: multiples of the period fit as well
_VOICED = (0.2, 0.3)  # autocorrelation at which voicing begins and is full
_FINE_TOP, _FINE_GRID = 6500.0, 192  # the same where the peak is placed
_SPAN = 8  # spectra on either side over which a peak is followed: 85 ms
_REACH = 6  # candidates of the fine grid on either side of the peak: 37 cents
_TOGETHER = 256  # spectra of like pitch that are placed at once
_DETAIL = 0.1  # octaves that the pitch of a slot may rise from its middle on
_LEAP = 0.2  # octaves between slots above which there is no pitch to follow
# Posterior scales of latents of pitch (3 cents), voicing (so that a step tells voiced from unvoiced), detail (4 cents).
NOISE = (0.005, 0.085, 0.007)


class Pitch(nn.Module):
    """Latents [batch, 4, frames]: pitch of two slots, zero where there is none, then their voicing.

    With `detail` there are two more: how far the pitch of either slot rises from its middle on.
    """

    cosines: Tensor
    window: Tensor
    taper: Tensor
    fine_cosines: Tensor
    fine_taper: Tensor
    handicap: Tensor
    noise: Tensor
    rest: Tensor

    def __init__(self, hop: int, rate: int, detail: bool = False) -> None:
        super().__init__()
        self.hop, self.rate = hop // (_SPECTRA * SLOTS), rate
        self.halved = rate > 6 * _FINE_TOP  # half the rate then holds all that is looked at
        self.parts = SLOTS * (_SPECTRA if detail else 1)  # values of the pitch a frame that can be told from latents
        self.latents = LATENTS + SLOTS * detail
        window = torch.hann_window(_WINDOW)
        frequency = torch.arange(int(_FINE_TOP / rate * _WINDOW) + 1) * (rate / _WINDOW)
        bins = int(max(band[-1] for band in _BANDS) / rate * _WINDOW) + 1
        coarse = candidates(_GRID)
        # Of a tone under a window the autocorrelation falls with the lag: half of that is made good.
        lags = (rate / coarse).long()
        fall = torch.stack([(window[: _WINDOW - lag] * window[lag:]).sum() for lag in lags.tolist()])
        fall = fall / window.square().sum()
        self.register_buffer("cosines", cosines(frequency[:bins], coarse) / fall.sqrt(), persistent=False)
        self.register_buffer("window", window[:: 1 + self.halved].contiguous(), persistent=False)
        tapers = torch.stack([taper(frequency[:bins], band) for band in _BANDS])
        self.register_buffer("taper", tapers[:, None, None], persistent=False)
        self.register_buffer("fine_cosines", cosines(frequency, candidates(_FINE_GRID)), persistent=False)
        fine_taper = taper(frequency, (0.0, 80.0, _FINE_TOP - 1000, _FINE_TOP))
        self.register_buffer("fine_taper", fine_taper, persistent=False)
        count = len(coarse)
        self.register_buffer("handicap", _SHORT * torch.arange(count) / _GRID, persistent=False)
        noise = torch.tensor(NOISE).repeat_interleave(SLOTS)[: self.latents, None]
        self.register_buffer("noise", noise, persistent=False)
        rest = torch.tensor([0.0, -1.0, 0.0]).repeat_interleave(SLOTS)[: self.latents, None]
        self.register_buffer("rest", rest, persistent=False)  # where there is no pitch

    @torch.no_grad()
    def measure(self, sound: Tensor) -> Tensor:
        """Latents of sound [batch, 1, n]; no gradient."""
        with full_precision(sound):
            magnitude = self._magnitude(sound)
            frequency, strength = self._follow(self._correlation(magnitude))
            frequency = self._placed(magnitude, frequency)
            spectra = torch.log2(frequency / MIDDLE).unflatten(1, (-1, _SPECTRA))
            octaves = spectra.mean(2)
            low, high = _VOICED
            voicing = ((strength.unflatten(1, (-1, _SPECTRA)).mean(2) - low) / (high - low)).clamp(0, 1)
            leap = (octaves[:, 1:] - octaves[:, :-1]).abs()
            edge = torch.full_like(octaves[:, :1], 9.0)
            steady = torch.minimum(torch.cat([edge, leap], 1), torch.cat([leap, edge], 1)) < _LEAP
            voicing = voicing * steady
            pitch = octaves / OCTAVES * (voicing > 0)
            values = [pitch, 2 * voicing - 1]
            if self.latents > LATENTS:
                rise = (spectra[..., -1] - octaves).clamp(-_DETAIL, _DETAIL)
                values.append(rise / OCTAVES * (voicing > 0))
            batch, slots = pitch.shape
            by_frame = torch.stack(values).view(len(values), batch, slots // SLOTS, SLOTS)
            return by_frame.permute(1, 0, 3, 2).flatten(1, 2)

    @staticmethod
    def held(latents: np.ndarray) -> np.ndarray:
        """Latents [n, frames] in which, where there is no pitch, it goes in straight lines: see `held`."""
        return held(latents, SLOTS)

    @property
    def ceiling(self) -> np.ndarray:
        """Of each latent [n] the value above which it says no more, since all is voiced there; infinity for others."""
        found = np.full(self.latents, np.inf)
        found[SLOTS:LATENTS] = 1.0
        return found

    @property
    def switches(self) -> np.ndarray:
        """Of each latent [n] the number of the one that switches it on, the voicing of its slot; −1 of a voicing."""
        voicing = np.arange(SLOTS, LATENTS)
        return np.concatenate([voicing, np.full(SLOTS, -1), voicing])[: self.latents]

    def resting(self, latents: Tensor) -> Tensor:
        """Latents [batch, n, frames] as they are measured where there is no pitch: zero but for the voicing.

        Of that no more than there is: a step may not end where all is voiced.
        """
        voicing = latents[:, SLOTS:LATENTS].clamp(max=1)
        sounding = voicing > -1
        pitch, rise = latents[:, :SLOTS], latents[:, LATENTS:]
        return torch.cat([pitch * sounding, voicing, rise * sounding[:, : rise.shape[1]]], 1)

    def curves(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz [batch, frames * parts] and voicing (0 to 1) [batch, frames * slots] of latents [batch, n, frames].
        """
        pitch, voicing, *rise = (part.transpose(1, 2).flatten(1) for part in latents.split(SLOTS, 1))
        if rise:
            pitch = torch.stack([pitch - rise[0], pitch + rise[0]], 2).flatten(1)
        limit = math.log2(HIGHEST / MIDDLE) / OCTAVES + 0.5, math.log2(LOWEST / MIDDLE) / OCTAVES - 0.5
        return MIDDLE * torch.exp2(pitch.clamp(limit[1], limit[0]) * OCTAVES), (0.5 * voicing + 0.5).clamp(0, 1)

    def by_slot(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz and voicing (0 to 1) of each slot, both [batch, frames * slots], of latents [batch, n, frames]."""
        hertz, voicing = self.curves(latents)
        return hertz.unflatten(1, (-1, self.parts // SLOTS)).mean(2), voicing

    def by_frame(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz and voicing (0 to 1) of each frame, both [batch, 1, frames], of latents [batch, n, frames]."""
        hertz, voicing = self.by_slot(latents)
        hertz = hertz.unflatten(1, (-1, SLOTS))
        voicing = voicing.unflatten(1, (-1, SLOTS))
        weight = voicing + 1e-6
        return ((hertz * weight).sum(2) / weight.sum(2))[:, None], voicing.mean(2)[:, None]

    @torch.no_grad()
    def voicing(self, latents: Tensor, steps: int) -> Tensor:
        """Voicing (0 to 1) at `steps` points a frame, [batch, 1, frames * steps], of latents [batch, n, frames]."""
        with full_precision(latents):
            slots = self.curves(latents.float())[1]
            return F.interpolate(slots[:, None], scale_factor=float(steps // SLOTS), mode="linear")

    def _magnitude(self, sound: Tensor) -> Tensor:
        """Magnitudes [batch, spectra, bins] of sound [batch, 1, n], as far up as they are looked at.

        Formants count less in them than in the power of a plain autocorrelation.
        """
        side = (_WINDOW - self.hop) // 2
        if self.halved:
            around = side + HALF_BAND_REACH
            sound = at_half_rate(F.pad(sound[:, 0], (around, around)))
            windows = sound.unfold(-1, _WINDOW // 2, self.hop // 2)
        else:
            windows = F.pad(sound[:, 0], (side, side)).unfold(-1, _WINDOW, self.hop)
        spectra = torch.fft.rfft(windows * self.window)
        spectra = spectra[..., : len(self.fine_taper)]
        return (spectra.real.square() + spectra.imag.square() + 1e-9).sqrt()

    def _correlation(self, magnitude: Tensor) -> Tensor:
        """Autocorrelation of the compressed spectrum at each candidate, [batch, spectra, candidates]; 1 is periodic.

        It is the larger one of both bands.
        """
        compressed = magnitude[..., : self.taper.shape[-1]] * self.taper
        return (compressed @ self.cosines / (compressed.sum(-1, keepdim=True) + 1e-9)).amax(0)

    def _placed(self, magnitude: Tensor, frequency: Tensor) -> Tensor:
        """F0 in Hz [batch, spectra] moved to the peak beside it of an autocorrelation that goes further up.

        Its roots of the magnitudes flatten formants, which would draw the peak towards themselves.
        """
        near = torch.round(torch.log2(HIGHEST / frequency) * _FINE_GRID).long()
        near = near.clamp(_REACH + 1, self.fine_cosines.shape[1] - _REACH - 2)
        correlation = self._beside(magnitude.sqrt() * self.fine_taper, near)
        best = correlation[..., 1:-1].argmax(-1) + 1
        return HIGHEST * torch.exp2(-(near + best - _REACH - 1 + vertex(correlation, best)) / _FINE_GRID)

    def _beside(self, spectra: Tensor, near: Tensor) -> Tensor:
        """Autocorrelation of spectra [batch, spectra, bins] at the fine candidates around one for each of them."""
        candidates = near[..., None] + torch.arange(-_REACH - 1, _REACH + 2, device=near.device)
        if spectra.is_cuda or not torch.is_inference_mode_enabled():
            # A card, on which a step of training may be recorded, must not be waited for.
            return (spectra @ self.fine_cosines).gather(-1, candidates)
        spectra, wanted = spectra.flatten(0, 1), candidates.flatten(0, 1)
        found = spectra.new_empty(wanted.shape)
        for part in wanted[:, 0].argsort().split(_TOGETHER):
            at = wanted[part]
            first, last = int(at[0, 0]), int(at[-1, -1])
            found[part] = (spectra[part] @ self.fine_cosines[:, first : last + 1]).gather(-1, at - first)
        return found.view(candidates.shape)

    def _follow(self, correlation: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz and the autocorrelation there, [batch, spectra]."""
        score = correlation - self.handicap
        best = along_paths(score, _SPAN)[..., 1:-1].argmax(-1) + 1
        best = on_top(correlation, best, 2)  # the path may run beside the peak
        strength = correlation.gather(-1, best[..., None])[..., 0]
        return HIGHEST * torch.exp2(-(best + vertex(correlation, best)) / _GRID), strength


def held(latents: np.ndarray, slots: int) -> np.ndarray:
    """Latents [n, frames] in which, where there is no pitch, it goes in straight lines between those beside it.

    The first of them are the pitch of so many slots a frame, the next their voicing. It is not heard there, and
    `resting` takes it out again; but a coder would have to tell of every leap.
    """
    voiced = (latents[slots : 2 * slots] > -1).T.ravel()
    if not voiced.any():
        return latents
    places = np.arange(len(voiced))
    line = np.interp(places, places[voiced], latents[:slots].T.ravel()[voiced])
    return np.concatenate([line.reshape(-1, slots).T.astype(latents.dtype), latents[slots:]])


def pitch_reach(hop: int) -> int:
    """Samples on one side that the latents of a frame of `hop` samples depend on, an upper bound."""
    # The path from a neighbouring slot, the spectra of the frame itself, and half a window.
    return (_SPAN + _SPECTRA + _SPECTRA * SLOTS) * (hop // (_SPECTRA * SLOTS)) + _WINDOW // 2
