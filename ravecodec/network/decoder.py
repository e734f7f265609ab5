"""Latents to sub-bands, through waveform, loudness and noise heads."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import NetworkConfig
from .harmonics import HarmonicSource
from .layers import SLOPE, Conv, ResidualUnit, Upsample, as_image, as_sequence, normaliser
from .noise import NoiseHead, amplitude
from .pqmf import PQMF
from .scatter import Scatter


class Decoder(nn.Module):
    """Upsampling stack, then sub-bands = loudness * (tanh(waveform) + harmonics) + filtered noise.

    Source: Caillon & Esling 2021, section 3 (waveform, loudness and noise); the harmonic source is ours, and so are the
    random signs.
    """

    def __init__(self, config: NetworkConfig, pqmf: PQMF) -> None:
        super().__init__()
        side, causal = config.decoder, config.causal
        widths, ratios = side.channels[::-1], config.ratios[::-1]
        stages: list[nn.Module] = [Conv(config.latents, widths[0], 7 if side.norm == "batch" else 3, causal=causal)]
        for i, channels in enumerate(widths):
            for unit in range(side.units[::-1][i]):
                dilation = side.dilations[unit % len(side.dilations)]
                stages.append(ResidualUnit(channels, side.kernel, dilation, side.layers, side.norm, causal))
            if side.norm == "batch":
                stages += [normaliser(side.norm, channels), nn.LeakyReLU(SLOPE)]
            if i < len(ratios):
                stages.append(Upsample(channels, widths[i + 1], ratios[i], causal))
        self.stages = nn.Sequential(*stages)
        self.bands = config.bands
        self.harmonics = HarmonicSource(pqmf) if config.harmonics else None
        self.scatter = Scatter(config) if config.scatter or config.scatter_steered else None
        # One convolution for all that is read off the last features: waveform, loudness and, if any, harmonic gains.
        outputs = self.bands + 1 + self.bands * (config.harmonics + config.pitch + config.second_pitch)
        self.heads = Conv(widths[-1], outputs, 7, causal=causal)
        # With the level taken out, a sound's shape has peaks well above one.
        self.limit = 8.0 if config.gain_shape else 1.0
        with torch.no_grad():
            self.heads.weight[self.bands :] *= 0.1
            # Loudness starts at one; the harmonic source starts quiet, and the partials of a pitch silent.
            self.heads.bias[self.bands] = math.log(0.7398 / (1 - 0.7398))  # type: ignore[index]
            self.heads.bias[self.bands + 1 :] = -1.5  # type: ignore[index]
            if config.pitch:
                self.heads.bias[-self.bands * (1 + config.second_pitch) :] = 0.0  # type: ignore[index]
            if config.lapped:
                self.heads.weight[: self.bands] *= 0.1  # let the lapped path speak first
        self.noise = NoiseHead(config, widths[-1])

    def forward(
        self,
        latents: Tensor,
        noise: Tensor,
        base: Tensor | None = None,
        pulses: Tensor | None = None,
        voicing: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Latents [batch, latents, frames] and noise [batch, bands, time] to sub-bands [batch, bands, time].

        `base` [batch, 1, time] is added to the lowest band's waveform; partials come of `pulses` [batch, bands, time],
        of a second pitch of as many bands more, and `voicing` [batch, 1, time] says how much of the sound has the first
        one, 0 to 1 (None: nothing has).
        Also returns the waveform alone that was sent for the lowest band, [batch, 1, time].
        """
        features = nn.functional.leaky_relu(self.stages(as_image(latents)), SLOPE)
        raw = as_sequence(self.heads(features)).float()
        wave, loudness = raw[:, : self.bands], amplitude(raw[:, self.bands : self.bands + 1])
        lowest = wave[:, :1]
        if self.scatter is not None and self.scatter.lowest:
            lowest = self.scatter.lowest_band(lowest, noise[:, :1], voicing)
        if base is not None:
            lowest = lowest + base
        # Not written in place: what the way back needs must stay as it was.
        wave = torch.cat([lowest, wave[:, 1:]], 1)
        wave = self.limit * torch.tanh(wave / self.limit)
        sent = loudness * wave[:, :1]
        gains = raw[:, self.bands + 1 :]
        if self.scatter is not None:
            wave = self.scatter(wave, noise, voicing)
        if pulses is not None:
            # Not squashed: a gain that is driven to nothing for a while must find its way back.
            of_pitch = gains[:, -pulses.shape[1] :].split(self.bands, 1)
            for gain, partials in zip(of_pitch, pulses.split(self.bands, 1), strict=True):
                wave = wave + gain * partials
        if self.harmonics is not None:
            # The source is detached: the low bands are learned for themselves, not for their overtones.
            wave = wave + amplitude(gains[:, : self.bands]) * self.harmonics(wave.detach())
        return loudness * wave + self.noise(features, noise), sent
