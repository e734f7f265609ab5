"""Single tones above the waveform that is sent: in each of some bands the steadiest one, measured.

Music's partials from 1.5 to 8 kHz are those of many notes and follow from no one pitch. Frequency and strength of one
tone a band are sinusoidal coding after McAulay & Quatieri 1986, "Speech analysis/synthesis based on a sinusoidal
representation"; but a band's tone, not a track that is born and dies, is what has a place among the latents. Which
peaks are tones is told by following them over a fixed reach: what a frame holds must not depend on where a stream was
cut.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .envelope import DEPTH
from .layers import full_precision
from .paths import TOTAL, along_paths
from .phase import added_up

LOWEST, HIGHEST = 1500.0, 8000.0  # Hz: below it waveform is sent, above it no ear tells a tone from a narrow noise
_AROUND = 20  # bins to either side that a peak is compared with
# Nats above its surroundings, on the mean along a path, at which a peak begins to be a tone, and is one: of white
# noise 2 in 10000 frames and bands pass the first.
_STEADY = (0.9, 1.2)
_FULL = 1.8  # a tone's share of its band's power is taken this much larger: peaks leak, and noise would cover it
_MOST = 0.97  # the largest share: 15 dB over the noise
_FAINT = 0.1  # a strength that is not worth a place
_NEAR = 40.0  # Hz: a tone that is not that near to one in a neighbouring frame is none
_EXPLAINED = 0.04  # of F0: so near to one of its multiples a peak is left to the pulses
NOISE = (6.5, 0.2)  # posterior scales: of a place in Hz, of a strength (a step tells a tone from none)
ROW = 64  # samples along which an amplitude is a line


class Tones(nn.Module):
    """Latents [batch, 2 bands, frames]: each band's place, zero where there is no tone, then their strengths.

    A place of ±1 is an edge of the band. The strength s, from -1 to 1, leaves the band's noise (1 - s) / 2 of its
    amplitude; the rest of its power is the tone's.
    """

    window: Tensor
    centres: Tensor
    halves: Tensor
    inside: Tensor
    noise: Tensor
    rest: Tensor

    def __init__(self, bands: int, hop: int, rate: int) -> None:
        super().__init__()
        self.bands, self.hop, self.rate = bands, hop, rate
        # Equal widths on the Bark scale of Schroeder, as the envelope's.
        edges = 650 * torch.sinh(torch.linspace(math.asinh(LOWEST / 650), math.asinh(HIGHEST / 650), bands + 1))
        bins = torch.ceil(edges * (2 * hop / rate)).long()
        self._spans = list(zip(bins[:-1].tolist(), bins[1:].tolist(), strict=True))
        self.register_buffer("window", torch.hann_window(2 * hop), persistent=False)
        self.register_buffer("centres", (0.5 * (edges[1:] + edges[:-1]))[:, None], persistent=False)
        self.register_buffer("halves", (0.5 * (edges[1:] - edges[:-1]))[:, None], persistent=False)
        # Bins of the envelope's spectra, by the band that they lie in.
        size = hop // 2
        at = torch.arange(size // 2 + 1) * (rate / size)
        inside = ((at >= edges[:-1, None]) & (at < edges[1:, None])).float()
        self.register_buffer("inside", inside, persistent=False)
        noise = torch.cat([NOISE[0] / self.halves, torch.full_like(self.halves, NOISE[1])])
        self.register_buffer("noise", noise, persistent=False)
        # What the latents are where there is no tone.
        rest = torch.cat([torch.zeros_like(self.halves), -torch.ones_like(self.halves)])
        self.register_buffer("rest", rest, persistent=False)

    @property
    def latents(self) -> int:
        """Latents a frame."""
        return 2 * self.bands

    @torch.no_grad()
    def measure(self, sound: Tensor, f0: Tensor, voicing: Tensor) -> Tensor:
        """Latents of sound [batch, 1, n] whose F0 in Hz and voicing, [batch, 1, frames], make partials already."""
        with full_precision(sound):
            hertz, strength = self._peaks(sound)
            multiple = hertz / f0
            explained = (multiple - multiple.round()).abs() < _EXPLAINED
            strength = strength * (1 - voicing * explained)
            heard = strength > _FAINT
            # A tone lasts, or the ear calls it something else; and a single frame of one costs most.
            lasts = heard[..., 1:] & heard[..., :-1] & ((hertz[..., 1:] - hertz[..., :-1]).abs() < _NEAR)
            heard = F.pad(lasts, (1, 0)) | F.pad(lasts, (0, 1))
            place = ((hertz - self.centres) / self.halves).clamp(-1, 1)
            return torch.cat([place * heard, 2 * strength * heard - 1], 1)

    def _peaks(self, sound: Tensor) -> tuple[Tensor, Tensor]:
        """The steadiest peak of each band and frame: frequency in Hz and strength (0 to 1), [batch, bands, frames]."""
        size, hop = 2 * self.hop, self.hop // 2
        padded = F.pad(sound[:, 0], (self.hop, self.hop))
        spectra = torch.fft.rfft(padded.unfold(-1, size, hop) * self.window)
        first, last = self._spans[0][0] - _AROUND - 1, self._spans[-1][1] + _AROUND + 1
        power = (spectra.real.square() + spectra.imag.square())[:, :, :last]
        # What the envelope cannot tell from nothing has no tones.
        floor = DEPTH**2 * power[:, 1::2].sum(-1) + 1e-9
        level = 0.5 * torch.log(power[..., first:] + 1e-10)
        # Beside a wall in the spectrum one side is empty: what counts is how far a peak stands out of the louder one.
        side = F.avg_pool1d(F.pad(level, (_AROUND, _AROUND), mode="replicate"), _AROUND, 1)
        around = torch.maximum(side[..., : level.shape[2]], side[..., _AROUND + 1 :])
        steady = along_paths((level - around).clamp(-1, 3))[:, 1::2] / TOTAL  # at the middles of frames
        power, level = power[:, 1::2, first:], level[:, 1::2]
        gate = ((steady - _STEADY[0]) / (_STEADY[1] - _STEADY[0])).clamp(0, 1)
        gate = gate * (F.max_pool1d(level, 3, 1, 1) == level)
        places, strengths = [], []
        for span in self._spans:
            low, high = span[0] - first, span[1] - first
            at = (gate * power)[..., low:high].argmax(-1) + low
            before, here, after = (level.gather(-1, (at + d)[..., None])[..., 0] for d in (-1, 0, 1))
            bend = before - 2 * here + after
            shift = torch.where(bend < -1e-6, 0.5 * (before - after) / bend, torch.zeros_like(bend))
            places.append((first + at + shift.clamp(-0.5, 0.5)) * (self.rate / size))
            # Under this window two thirds of the power of a sinusoid are in its highest bin.
            whole = power[..., low:high].sum(-1)
            share = (_FULL * 1.5 * torch.exp(2 * here) / (whole + 1e-9)).clamp(0, _MOST)
            share = share * gate.gather(-1, at[..., None])[..., 0] * (whole > floor)
            strengths.append(1 - torch.sqrt(1 - share))
        return torch.stack(places, 1), torch.stack(strengths, 1)

    def curves(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Frequencies in Hz and strengths (0 to 1), both [batch, bands, frames], of latents."""
        place, strength = latents.split(self.bands, 1)
        return self.centres + self.halves * place.clamp(-1, 1), (0.5 * strength + 0.5).clamp(0, 1)

    def damping(self, strength: Tensor) -> Tensor:
        """ln of what is left of the noise, [batch, bins of the envelope's spectra, 4 frames], of strengths."""
        left = 1 - strength.clamp(max=1 - math.sqrt(1 - _MOST))
        return self.inside.T @ torch.log(F.interpolate(left, scale_factor=4.0, mode="linear"))

    @torch.no_grad()
    def sound(self, latents: Tensor, power: Tensor, first: int, start: int) -> Tensor:
        """Tones [batch, 1, n] of the frames from `start` on, of latents [batch, 2 bands, frames] of frames `first` on.

        `power` [batch, bands, 4 frames] is that of the sound in each band, of the frames from `start` on. `first` and
        `start` are as for `pulse_train`.
        """
        hop, rows = self.hop, self.hop // ROW
        turns, phase, strength = self._turning(latents, first, start)
        tone = torch.sqrt(1 - (1 - strength).square()) * (strength > 0.5 * _FAINT)
        # From the middle of one frame to that of the next both tones sound, one fading into the other: no glide where
        # the band's tone has become another.
        offset = torch.arange(rows, device=latents.device) * (ROW / hop)
        ended = phase[..., :-1, None] + turns[..., :-1, None] * offset
        begun = phase[..., 1:, None] + turns[..., 1:, None] * (offset - 1)
        angle = 2 * math.pi * torch.frac(torch.cat([ended, begun], 1)).float()
        edge = torch.arange(rows + 1, device=latents.device) * (0.5 * math.pi * ROW / hop)
        fading = torch.cat([tone[..., :-1, None] * edge.cos().square(), tone[..., 1:, None] * edge.sin().square()], 1)
        amplitude = fading * _between_middles(torch.sqrt(2 * power), rows).repeat(1, 2, 1, 1)
        # Every row of samples is a sum of tones whose amplitudes are lines: one product of matrices.
        before, after = amplitude[..., :-1], amplitude[..., 1:]
        cosine, sine = torch.cos(angle), -torch.sin(angle)
        left = torch.cat([before * cosine, before * sine, after * cosine, after * sine], 1)
        across = (torch.arange(ROW, device=latents.device) + 0.5) / ROW
        speed = torch.cat([turns[..., :-1], turns[..., 1:]], 1).float()[..., None]
        angle = (2 * math.pi * ROW / hop) * speed * across
        cosine, sine = torch.cos(angle), torch.sin(angle)
        right = torch.cat([cosine * (1 - across), sine * (1 - across), cosine * across, sine * across], 1)
        sound = (left.permute(0, 2, 3, 1) @ right.permute(0, 2, 1, 3)).flatten(1)
        return sound[:, None, hop // 2 : hop // 2 + power.shape[2] * (hop // 4)]

    def _turning(self, latents: Tensor, first: int, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cycles a frame, phase in the middle of a frame, and strength, all [batch, bands, frames + 2].

        Of the frames from `start` on, and of one more on either side.
        """
        hertz, strength = self.curves(latents)
        turns = hertz.double() * (self.hop / self.rate)
        after = torch.cat([turns[..., 1:], turns[..., -1:]], -1)
        phase = added_up(0.5 * (turns + after).flatten(0, 1), first, 1)[0].view(hertz.shape)
        turns, phase, strength = (curve[..., start - first :] for curve in (turns, phase, strength))
        count = strength.shape[2]
        number = torch.arange(-1, count + 1, device=latents.device)
        nearest = number.clamp(max(0, -start), count - 1)  # what stands before the file has no say
        turns = turns[..., nearest]
        return turns, phase[..., nearest] + (number - nearest) * turns, strength[..., nearest]


def _between_middles(level: Tensor, rows: int) -> Tensor:
    """Levels [batch, bands, 4 frames] where rows of samples meet, [batch, bands, frames + 1, rows + 1]."""
    fine = F.interpolate(level, scale_factor=float(rows // 4), mode="linear")  # at the middles of rows
    edges = 0.5 * (F.pad(fine, (1, 0), mode="replicate") + F.pad(fine, (0, 1), mode="replicate"))
    return F.pad(edges, (rows // 2, rows // 2), mode="replicate").unfold(-1, rows + 1, rows)

