"""The whole network: sound to posterior, latents to sound."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from .config import NetworkConfig
from .decoder import Decoder
from .encoder import Encoder
from .envelope import PARTS, Envelope
from .gain import Gain
from .lapped import LappedTransform
from .layers import full_precision
from .noise import seeded_noise
from .pitch import LATENTS as PITCH_LATENTS
from .pitch import Pitch
from .posterior import Posterior
from .pqmf import PQMF
from .pulses import pulse_train
from .reach import decoder_reach, encoder_reach
from .secondpitch import LATENTS as SECOND_LATENTS
from .secondpitch import SecondPitch
from .tones import Tones

LEVEL_LATENT = -1  # with gain and shape, the last latent starts as the log level


class RaveNet(nn.Module):
    """PQMF, encoder and decoder of a preset."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.pqmf = PQMF(config.bands, causal=config.causal)
        self.gain = Gain(config.bands, config.decimation) if config.gain_shape else None
        self.encoder = Encoder(config, 2 * config.bands + 1 if config.gain_shape else config.bands)
        self.decoder = Decoder(config, self.pqmf)
        envelope = config.envelope + config.envelope_detail
        free = config.free
        self.lapped = LappedTransform(config.latents, config.decimation, config.carried) if config.lapped else None
        shape = config.envelope, config.hop, config.rate, config.envelope_lowest, config.envelope_detail
        rounds = config.envelope_rounds, config.envelope_refiner, config.envelope_rise
        self.envelope = Envelope(*shape, *rounds) if config.envelope else None
        self.contour = slice(LEVEL_LATENT - envelope, LEVEL_LATENT)  # the latents of the envelope
        self.pitch = Pitch(config.hop, config.rate, config.pitch_detail) if config.pitch else None
        self.tones = Tones(config.tones, config.hop, config.rate) if config.tones else None
        self.single = slice(free, free + 2 * config.tones)  # the latents of the single tones
        pitch = PITCH_LATENTS if self.pitch is None else self.pitch.latents
        self.tune = slice(self.single.stop, self.single.stop + pitch)  # the latents of the pitch
        self.second = SecondPitch(config.hop, config.rate) if config.second_pitch else None
        self.other = slice(self.tune.stop, self.tune.stop + SECOND_LATENTS * config.second_pitch)  # of the second pitch
        self.source = slice(self.single.start, self.other.stop)  # all of these: what a phase is the sum of
        with torch.no_grad():
            # Latents that a fixed path fills from the start are not to be drowned by an untrained encoder.
            head = self.encoder.head.weight
            if config.lapped:
                head[: config.carried] *= 0.05
            if config.gain_shape:
                head[free : config.latents] = 0

    def encode(self, sound: Tensor) -> Posterior:
        """Sound [batch, 1, n], n a multiple of the hop, to the posterior over latents [batch, latents, n / hop]."""
        bands = self.pqmf(sound)
        if self.gain is None:
            mean, scale = self.encoder(bands)
            return Posterior(mean.float(), scale.float())
        log_level = self.gain.measure(bands)
        level = self.gain.level(log_level)
        shape = self.gain.shape(bands, level)
        # The stack sees large values by their logarithm: a sub-band may stand 60 dB above its usual level.
        seen = [_asinh(shape), self.gain.envelope(shape), 0.5 * torch.log(level)]
        # Put side by side in the order in memory that convolutions want, it need not be brought into it at once.
        image = torch.cat([part.transpose(1, 2) for part in seen], 2).transpose(1, 2)
        mean, scale = (part.float() for part in self.encoder(image))
        if self.lapped is not None:
            with full_precision(shape):
                mean = mean + self.lapped(shape[:, :1])
        direct = [log_level]
        if self.envelope is not None:
            direct.insert(0, self.envelope.measure(sound, self.gain.nats(log_level)))
        measured = torch.cat(direct, 1)
        free = mean.shape[1] - measured.shape[1]
        mean = torch.cat([mean[:, :free], mean[:, free:] + measured], 1)
        if self.pitch is not None:
            # Nothing is learned about these: a phase that adds up over frames passes no useful gradient.
            pitch, noise = self.pitch.measure(sound), self.pitch.noise
            if self.tones is not None:
                tones = self.tones.measure(sound, *self.pitch.by_frame(pitch))
                pitch, noise = torch.cat([tones, pitch], 1), torch.cat([self.tones.noise, noise])
            if self.second is not None:
                second = self.second.measure(sound, *self.pitch.by_slot(pitch[:, -self.pitch.latents :]))
                pitch, noise = torch.cat([pitch, second], 1), torch.cat([noise, self.second.noise])
            mean = _replaced(mean, self.source, pitch)
            scale = _replaced(scale, self.source, noise.expand(len(mean), -1, mean.shape[2]))
        return Posterior(mean, scale, self.single)

    @property
    def places(self) -> bool:
        """Whether an envelope and a level, apart from all else, tell where in a stereo sound a source is."""
        return self.envelope is not None and self.gain is not None

    def joined(self, means: np.ndarray) -> np.ndarray:
        """Posterior means [3, latents, frames] of left, right and their mean as those of two channels [2, ...].

        Envelope and level are a channel's own, all else is that of the mean.
        """
        channels = np.repeat(means[2:], 2, 0)
        channels[:, self.contour.start :] = means[:2, self.contour.start :]
        return channels

    def held(self, means: np.ndarray) -> np.ndarray:
        """Posterior means [channels, latents, frames] as they are sent: see `Pitch.held`."""
        if self.pitch is None:
            return means
        sent = means.copy()
        for channel in sent:
            channel[self.tune] = self.pitch.held(channel[self.tune])
            if self.second is not None:
                channel[self.other] = self.second.held(channel[self.other])
        return sent

    def _within(self, source: Tensor, where: slice) -> Tensor:
        """The latents of one kind, of those that a phase is the sum of."""
        return source[:, where.start - self.source.start : where.stop - self.source.start]

    def decode_bands(self, latents: Tensor, noise: Tensor, pulses: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents [batch, latents, frames] and noise [batch, bands, time] to sub-bands [batch, bands, time].

        Also the waveform that was sent for the lowest band, [batch, 1, time], without what fills it up.
        """
        base = None
        if self.lapped is not None:
            with full_precision(latents):
                base = self.lapped.inverse(latents)
        voicing = None
        if self.pitch is not None and self.config.scatter_steered:
            voicing = self.pitch.voicing(latents[:, self.tune], self.config.decimation)
        bands, sent = self.decoder(latents, noise, base, pulses, voicing)
        if self.gain is not None:
            level = self.gain.level(latents[:, LEVEL_LATENT:])
            bands, sent = self.gain.unshape(bands, level), sent * level * self.gain.emphasis[:1, None]
        return bands, sent

    def render(
        self,
        latents: Tensor,
        noise: Tensor,
        source: Tensor | None = None,
        first: int = 0,
        start: int = 0,
        step: Tensor | float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Sound [batch, 1, frames * hop] of latents, and the waveform sent for the lowest band [batch, 1, time].

        The latents [batch, latents, frames] are those of the frames from `start` on, the noise is [batch, bands, time].
        `source` [batch, n, frames] are the latents of tones and pitch from frame `first` = `history(start)` on (None:
        the phase of partials begins here). `step`, a number, [batch, 1] or [batch, frames], is that of the quantiser.
        """
        if source is None:
            source, first = latents[:, self.source], start
        source = source.detach().float()
        pulses = None
        if self.pitch is not None:
            with torch.no_grad(), full_precision(latents):
                tunes = [self._within(source, self.tune)]
                if self.second is not None:
                    tunes.append(self.second.as_first(self._within(source, self.other), self.pitch.latents))
                trains = [pulse_train(self.pitch, tune, self.config.hop, first, start) for tune in tunes]
                pulses = torch.cat([self.pqmf(train) for train in trains], 1)
            latents = _replaced(latents, self.tune, self.pitch.resting(latents[:, self.tune]))
            if self.second is not None:
                latents = _replaced(latents, self.other, self.second.resting(latents[:, self.other]))
        bands, sent = self.decode_bands(latents, noise, pulses)
        sound = self.pqmf.inverse(bands)
        if self.envelope is None or self.gain is None:
            return sound, sent
        tones, damping, voicing = None, None, None
        with full_precision(sound):
            log_level = self.gain.nats(latents[:, LEVEL_LATENT:])
            wanted = self.envelope.wanted(latents[:, self.contour], log_level)
            if self.pitch is not None and self.envelope.refiner is not None:
                voicing = self.pitch.voicing(latents[:, self.tune], PARTS)
            if self.tones is not None:
                single = source[:, : self.tones.latents]
                damping = self.tones.damping(self.tones.curves(single[..., start - first :])[1])
                power = self.envelope.power(wanted.detach(), log_level.detach(), self.tones.inside)
                tones = self.tones.sound(single, power, first, start)
        sound = self.envelope.correct(sound, wanted, log_level, damping, step, voicing)
        return sound if tones is None else sound + tones, sent

    def decode(self, latents: Tensor, seed: int = 0, start: int = 0, step: float = 0.0) -> Tensor:
        """Latents [batch, latents, frames] to sound [batch, 1, frames * hop].

        `start` is the first frame's number in its file: it places the seeded noise. `step` is the quantiser's.
        """
        time = latents.shape[-1] * self.config.decimation
        noise = seeded_noise(seed, self.config.bands, start * self.config.decimation, time).to(latents.device)
        return self.render(latents, noise.expand(latents.shape[0], -1, -1), start=start, step=step)[0]

    @torch.no_grad()
    def adapt(self, sound: Tensor) -> None:
        """Set the scales of the starting network by a batch of sound [batch, 1, n] (data-dependent initialisation).

        The spectrum is flattened and every latent of the lapped transform gets unit size: what the optimiser would need
        a thousand steps for.
        """
        bands = self.pqmf(sound)
        if self.gain is not None:
            self.gain.adapt(bands)
            level = self.gain.measure(bands)
            bands = self.gain.shape(bands, self.gain.level(level))
        if self.lapped is not None:
            self.lapped.whiten(bands[:, :1])
        if self.envelope is not None and self.gain is not None:
            self.envelope.adapt(sound, self.gain.nats(level))
            # A posterior of about 3 dB in every coefficient, whatever unit size means there.
            width = (0.35 / self.envelope.scale).clamp(0.05, 0.9)
            first = self.config.latents + self.config.latents - self.envelope.latents + LEVEL_LATENT
            self.encoder.head.weight[first : first + self.envelope.latents] = 0
            self.encoder.head.bias[first : first + self.envelope.latents] = torch.log(torch.expm1(width))  # type: ignore[index]

    def prepared(self) -> RaveNet:
        """Itself, with its weights in the order in memory that takes the least time."""
        return self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def stored(self) -> dict[str, np.ndarray]:
        """Everything that a model file keeps of it but its config: what it has learned, in float16."""
        learned = {k: v for k, v in self.state_dict().items() if v.is_floating_point()}
        return {k: v.detach().cpu().numpy().astype(np.float16) for k, v in learned.items()}

    @property
    def ceiling(self) -> np.ndarray:
        """Of each latent [latents] the value above which it says no more; infinity for all but the voicing."""
        found = np.full(self.config.latents, np.inf)
        if self.pitch is not None:
            found[self.tune] = self.pitch.ceiling
        if self.second is not None:
            found[self.other] = self.second.ceiling
        return found

    @property
    def switches(self) -> np.ndarray:
        """Of each latent [latents] the number of the one without which it says nothing, the voicing of a pitch; −1 for
        none.
        """
        found = np.full(self.config.latents, -1)
        for measured, where in ((self.pitch, self.tune), (self.second, self.other)):
            if measured is not None:
                of = measured.switches
                found[where] = np.where(of < 0, -1, of + where.start)
        return found

    @property
    def kinds(self) -> list[range]:
        """Latents that may be mixed: those learned freely; each of a tone or a pitch alone; envelope, level."""
        last = self.single if self.pitch is None else self.source
        bounds = [0, *range(self.single.start, last.stop + 1)]
        bounds += [self.config.latents] * (self.gain is not None)
        return [range(*pair) for pair in pairwise(bounds)]

    @property
    def delay(self) -> int:
        """Samples by which decoded sound lags what was encoded (none with centred padding)."""
        return self.pqmf.delay

    @property
    def preroll(self) -> int:
        """Latent frames on either side after which the decoder no longer sees the edge of a block."""
        return math.ceil(decoder_reach(self.config) / self.config.decimation)

    @property
    def encoder_preroll(self) -> int:
        """The same of the encoder."""
        return math.ceil(encoder_reach(self.config) / self.config.decimation)

    def parameter_count(self) -> int:
        """Parameters of encoder and decoder."""
        return sum(p.numel() for p in self.parameters())


def _replaced(latents: Tensor, where: slice, values: Tensor) -> Tensor:
    return torch.cat([latents[:, : where.start], values, latents[:, where.stop :]], 1)


def _asinh(x: Tensor) -> Tensor:
    """The inverse hyperbolic sine within 2e-7, relative above 1; torch's own takes nine times as long on a CPU."""
    return torch.copysign(torch.log(x.abs() + torch.sqrt(x.square() + 1)), x)
