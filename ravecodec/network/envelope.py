"""The spectral envelope as latents of its own, and a decoder that is held to it.

With little training a decoder gets the power of most bands wrong by several dB: correcting the power of third-octave
bands every 43 ms of such a decoder's sound lifts the ESTOI of speech by a quarter. So some latents start as that
envelope, measured by fixed arithmetic, and the decoded sound is brought to it band by band.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import full_precision, usual_precision
from .refiner import Refiner

PARTS = 4  # spectra a latent frame
HIGHEST = 18000.0  # Hz, the centre of the highest band
DEPTH = 1e-3  # how far below the level of the sound a band is followed
FINE, COARSE = 8.0, 16.0  # steps up to which an envelope is worth all of a second round, and from which nothing of it
BOOST, CUT = 2.0, 4.0  # largest correction, nats of amplitude


def band_shapes(bands: int, bins: int, rate: int, lowest: float = 250.0) -> np.ndarray:
    """Triangles [bands, bins] that sum to one at every bin, on the Bark scale 7 asinh(f / 650) of Schroeder (1979)."""
    scale = np.arcsinh(np.linspace(0, rate / 2, bins) / 650)
    centres = np.linspace(np.arcsinh(lowest / 650), np.arcsinh(min(HIGHEST, 0.4 * rate) / 650), bands)
    return np.stack([np.interp(scale, centres, row) for row in np.eye(bands)])


class Envelope(nn.Module):
    """Log band powers of sound relative to its level, as latents of about unit size; and the way back.

    The latents are a cosine transform over the bands. With `detail` the envelope has two values a frame: `bands`
    latents of their sum, then the first `detail` of their difference.
    """

    shapes: Tensor
    window: Tensor
    smoothing: Tensor
    transform: Tensor
    offset: Tensor
    scale: Tensor

    def __init__(
        self,
        bands: int,
        hop: int,
        rate: int,
        lowest: float = 250.0,
        detail: int = 0,
        rounds: int = 1,
        refiner: int = 0,
        rise: bool = False,
    ) -> None:
        super().__init__()
        self.refiner = Refiner(bands, refiner, rise) if refiner else None
        self.rounds = rounds  # in which sound is brought to the envelope
        self.hop = hop // PARTS  # between spectra
        self.slots = 2 if detail else 1  # values of the envelope a frame
        self.parts = PARTS // self.slots  # spectra a value
        self.latents = bands + detail
        size = 2 * self.hop
        shapes = torch.from_numpy(band_shapes(bands, size // 2 + 1, rate, lowest)).float()
        self.register_buffer("shapes", shapes, persistent=False)
        # Sine window for analysis and synthesis: at an overlap of half its squares sum to one.
        window = torch.sin(math.pi * (torch.arange(size) + 0.5) / size)
        self.register_buffer("window", window, persistent=False)
        parts = self.parts
        hat = (1 - (torch.arange(2 * parts) + 0.5 - parts).abs() / parts) / parts
        self.register_buffer("smoothing", hat[None, None], persistent=False)
        k, n = torch.arange(bands)[:, None], torch.arange(bands)[None]
        cosine = torch.cos(math.pi / bands * (n + 0.5) * k) * math.sqrt(2 / bands)
        cosine[0] /= math.sqrt(2)
        self.register_buffer("transform", cosine, persistent=False)
        self.register_buffer("offset", torch.zeros(self.latents))
        self.register_buffer("scale", torch.ones(self.latents))
        # How far the decoded sound is moved towards its envelope, by band: little where its waveform is coded.
        self.trust = nn.Parameter(torch.linspace(0.0, 1.0, bands).mul(8).sub(1).clamp(max=2))

    def measure(self, sound: Tensor, log_level: Tensor) -> Tensor:
        """Latents [batch, bands, frames] of sound [batch, 1, n] whose ln of level [batch, 1, frames] is known."""
        with full_precision(sound):
            return (self._forth(sound, log_level) - self.offset[:, None]) / self.scale[:, None]

    def wanted(self, latents: Tensor, log_level: Tensor) -> Tensor:
        """ln of the amplitudes that latents [batch, latents, frames] ask of the bands, [batch, bands, 4 frames]."""
        relative = self._back(latents * self.scale[:, None] + self.offset[:, None])
        relative = relative + F.interpolate(log_level, scale_factor=float(self.slots), mode="linear")
        return F.interpolate(relative, scale_factor=float(self.parts), mode="linear", align_corners=False)

    def power(self, wanted: Tensor, log_level: Tensor, inside: Tensor) -> Tensor:
        """Power [batch, n, 4 frames] that `wanted` amplitudes make in n sets of bins, `inside` [n, bins].

        Each band's is spread evenly over its bins.
        """
        # No band has more than all the sound: a lost or wild latent must not become a shot.
        whole = F.interpolate(log_level, scale_factor=float(PARTS), mode="nearest") + 0.5 * math.log(self.hop) + 1.0
        density = torch.minimum(wanted, whole) - 0.5 * torch.log(self.shapes.sum(1))[:, None]
        return inside @ torch.exp(2 * self.shapes.T @ density) / self.hop

    def correct(
        self,
        sound: Tensor,
        wanted: Tensor,
        log_level: Tensor,
        damping: Tensor | None = None,
        step: Tensor | float = 0.0,
        voicing: Tensor | None = None,
    ) -> Tensor:
        """Sound [batch, 1, n] with its band powers brought to the `wanted` ones, that came with a quantiser's `step`.

        `damping` [batch, bins, 4 frames], if any, is added to ln of what every bin is multiplied by. The step is in
        eighths of an octave, a number, [batch, 1] or [batch, frames]: what came coarsely is not worth more rounds. The
        `voicing` [batch, 1, 4 frames], if there is one, is for the refiner.
        """
        usual = usual_precision(sound)
        with full_precision(sound):
            level = F.interpolate(log_level, scale_factor=float(PARTS), mode="nearest")
            floor = torch.exp(2 * level) * DEPTH**2
            trust = self._trust(step, level.shape[2])
            spectra, missing = self._missing(sound, wanted, floor)
            if self.refiner is not None:
                with usual:
                    change = self.refiner(wanted - level, missing, step, voicing).float()
                wanted, missing = wanted + change, missing + change
            for _ in range(self.rounds - 1):
                # Spectra overlap, so that one round does not get there; where little is trusted it is not to add up.
                sound = self._corrected(spectra, _worth(step) * trust**8 * missing.clamp(-CUT, BOOST))
                spectra, missing = self._missing(sound, wanted, floor)
            return self._corrected(spectra, trust * missing.clamp(-CUT, BOOST), damping)

    def _trust(self, step: Tensor | float, spectra: int) -> Tensor:
        """How far the bands are moved towards their envelope, [bands, 1] or [batch, bands, 1 or spectra]."""
        logits = self.trust[:, None]
        if self.refiner is None:
            return torch.sigmoid(logits)
        trust = self.refiner.trusted(logits, step)
        return trust if trust.shape[-1] == 1 else trust.repeat_interleave(spectra // trust.shape[-1], -1)

    def _missing(self, sound: Tensor, wanted: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra of sound, and nats [batch, bands, spectra] by which its bands are below the wanted ones."""
        spectra = self._spectra(sound)
        # The level of every spectrum, smoothed as the encoder smoothed it, but at each of them.
        power = self._band_power(spectra)
        batch, bands, parts = power.shape
        padded = F.pad(power.flatten(0, 1)[:, None], (self.parts, self.parts), mode="replicate")
        smooth = F.conv1d(padded, self._dense())[:, 0].view(batch, bands, parts)
        return spectra, wanted - 0.5 * torch.log(smooth + floor)

    def _corrected(self, spectra: Tensor, gain: Tensor, damping: Tensor | None = None) -> Tensor:
        """Sound of these spectra, their bands louder by so many nats."""
        gain = gain.transpose(1, 2) @ self.shapes
        if damping is not None:
            gain = gain + damping.transpose(1, 2)
        return self._resynthesise(spectra * torch.exp(gain))

    @torch.no_grad()
    def adapt(self, sound: Tensor, log_level: Tensor) -> None:
        """Bring the latents to zero mean and unit size on this sound."""
        latents = self._forth(sound, log_level)
        self.offset.copy_(latents.mean((0, 2)))
        self.scale.copy_(latents.std((0, 2)).clamp_min(0.05))

    def _forth(self, sound: Tensor, log_level: Tensor) -> Tensor:
        """Latents in nats, not yet of unit size."""
        values = self.transform @ self._relative(sound, log_level)
        if self.slots == 1:
            return values
        first, second = values[..., ::2], values[..., 1::2]
        detail = self.latents - values.shape[1]
        return torch.cat([first + second, (first - second)[:, :detail]], 1) * math.sqrt(0.5)

    def _back(self, values: Tensor) -> Tensor:
        """The way back from `_forth`: ln of band amplitudes over the level, [batch, bands, frames * slots]."""
        bands = len(self.transform)
        if self.slots > 1:
            total, change = values[:, :bands], values[:, bands:]
            change = F.pad(change, (0, 0, 0, bands - change.shape[1]))
            values = torch.stack([total + change, total - change], -1).flatten(2) * math.sqrt(0.5)
        return self.transform.T @ values

    def _relative(self, sound: Tensor, log_level: Tensor) -> Tensor:
        """ln of band amplitudes over the level, [batch, bands, frames * slots]."""
        power = self._band_power(self._spectra(sound))
        batch, bands, _ = power.shape
        side = self.parts // 2
        padded = F.pad(power.flatten(0, 1)[:, None], (side, side), mode="replicate")
        smooth = F.conv1d(padded, self.smoothing, stride=self.parts)[:, 0].view(batch, bands, -1)
        if self.slots > 1:
            log_level = F.interpolate(log_level, scale_factor=float(self.slots), mode="linear")
        return 0.5 * torch.log(smooth * torch.exp(-2 * log_level) + DEPTH**2)

    def _dense(self) -> Tensor:
        """The smoothing around every spectrum: the same hat, with a middle."""
        hat = 1 - torch.arange(-self.parts, self.parts + 1, device=self.window.device).abs() / self.parts
        return (hat / hat.sum())[None, None]

    def _spectra(self, sound: Tensor) -> Tensor:
        """[batch, 1, n] to spectra [batch, n / hop, bins]; spectrum j is centred on the middle of its hop."""
        padded = F.pad(sound[:, 0], (self.hop // 2, self.hop // 2))
        return torch.fft.rfft(padded.unfold(-1, 2 * self.hop, self.hop) * self.window)

    def _band_power(self, spectra: Tensor) -> Tensor:
        power = spectra.real.square() + spectra.imag.square()
        return self.shapes @ power.transpose(1, 2) / self.hop

    def _resynthesise(self, spectra: Tensor) -> Tensor:
        frames = torch.fft.irfft(spectra, n=2 * self.hop) * self.window
        first, second = frames.split(self.hop, 2)
        joined = F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))
        half = self.hop // 2
        return joined.flatten(1)[:, None, half : half + frames.shape[1] * self.hop]


def _worth(step: Tensor | float) -> Tensor | float:
    """How much of a second round an envelope is worth that came with a step: a number, or [batch, 1, 1 or 4 frames]."""
    share = (COARSE - step) / (COARSE - FINE)
    if not isinstance(share, Tensor):
        return min(max(share, 0.0), 1.0)
    share = share.clamp(0, 1)[:, None]
    return share if share.shape[2] == 1 else share.repeat_interleave(PARTS, 2)
