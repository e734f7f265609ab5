"""The two stages: what one batch of sound costs the network."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ..basis import Basis
from ..network.config import NetworkConfig
from ..network.discriminator import Discriminator, feature_matching, hinge_discriminator, hinge_generator
from ..network.vae import RaveNet
from .losses import (
    envelope_distance,
    modulation_distance,
    spectral_distance,
    steadiness_distance,
    structure_distance,
    waveform_distance,
)
from .prior import ChainPrior


def training_noise(net: RaveNet, like: Tensor) -> Tensor:
    """Fresh uniform noise [batch, bands, time] for the noise head."""
    time = like.shape[-1] // net.config.bands
    return torch.rand(like.shape[0], net.config.bands, time, device=like.device) * 2 - 1


def fidelity(net: RaveNet, x: Tensor, y: Tensor, sent: Tensor) -> dict[str, Tensor]:
    """Distances between sounds [batch, 1, n], the network's delay taken off.

    A network that fills up its lowest band is held to the waveform only in what was `sent` for it [batch, 1, time].
    """
    length, rate, bands = x.shape[-1] - net.delay, net.config.rate, net.config.bands
    original = x
    x, y = x[:, 0, :length].float(), y[:, 0, net.delay :].float()
    if net.config.pitch:
        with torch.no_grad():
            # A band of a paraunitary bank is sqrt(bands) as loud as the sound, at the bank's rate.
            band = net.pqmf(original)[:, 0].float() * bands**0.5
        wave, narrow = sent[:, 0].float() * bands**0.5, rate // bands
        waveform = waveform_distance(band, wave, narrow, 2048 // bands, none=narrow / 2)
    else:
        waveform = waveform_distance(x, y, rate)
    return {
        "spectral": spectral_distance(x, y),
        "waveform": waveform,
        "envelope": envelope_distance(x, y, rate),
        "structure": structure_distance(x, y, rate),
        "modulation": modulation_distance(x, y, rate),
        "steadiness": steadiness_distance(x, y, rate),
    }


class Representation(nn.Module):
    """Stage 1: encoder and decoder learn together (evidence lower bound with a spectral likelihood)."""

    def __init__(self, net: RaveNet) -> None:
        super().__init__()
        self.net = net
        self.prior = ChainPrior(net.config.latents)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Losses of sound [batch, 1, n]: those of `fidelity`, and kl in nats per frame."""
        posterior = self.net.encode(x)
        latents = posterior.sample()
        y, sent = self.net.render(latents, training_noise(self.net, x))
        # Of the first frame everything is new: a packet has many more frames than a crop.
        kl = self.prior.kl(posterior, latents)[..., 1:].sum(1).mean()
        return {**fidelity(self.net, x, y, sent), "kl": kl}


class Truncation(nn.Module):
    """Latents as the decoder will get them: rotated, cut to some components, quantised with some step, rotated back."""

    mean: Tensor
    unit: Tensor
    vectors: Tensor
    steps: Tensor
    cumulative: Tensor

    def __init__(self, basis: Basis) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(basis.mean)[:, None])
        self.register_buffer("unit", torch.from_numpy(basis.unit)[:, None])
        self.register_buffer("vectors", torch.from_numpy(basis.vectors))
        self.register_buffer("steps", torch.from_numpy(basis.steps(0)))
        values = torch.from_numpy(basis.singular_values)
        self.register_buffer("cumulative", values.cumsum(0) / values.sum())

    def draw(
        self, batch: int, finest: int = -12, coarsest: int = 16, whole: float = 0.5, low: float = 0.6
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A step and a fidelity for each example: steps and mask [batch, components, 1], the steps' numbers [batch, 1].

        A share `whole` of the examples keep nearly everything: that is where the codec is mostly used.
        """
        drawn = torch.rand(batch, device=self.steps.device)
        wide = low + (1 - low) * torch.rand_like(drawn)
        fidelity = torch.where(drawn < whole, 0.98 + 0.02 * torch.rand_like(drawn), wide)
        keep = (self.cumulative[None] < fidelity[:, None]).sum(1) + 1
        mask = torch.arange(len(self.steps), device=self.steps.device)[None] < keep[:, None]
        q = torch.randint(finest, coarsest + 1, (batch, 1), device=self.steps.device)
        steps = self.steps[None] * 2.0 ** (q / 8)
        return steps[..., None], mask[..., None], q

    def components(self, latents: Tensor) -> Tensor:
        """Latents [batch, latents, frames] as components."""
        return torch.einsum("dc,bct->bdt", self.vectors, (latents - self.mean) / self.unit)

    def latents(self, components: Tensor) -> Tensor:
        """The way back from `components`."""
        return torch.einsum("dc,bdt->bct", self.vectors, components) * self.unit + self.mean

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [batch, latents, frames] with a fidelity and a step drawn for each example; the steps [batch, 1]."""
        steps, mask, q = self.draw(len(latents))
        return self.latents(torch.round(self.components(latents) / steps) * steps * mask), q


class Adversarial(nn.Module):
    """Stage 2: the encoder stands still; decoder against discriminator, on truncated and quantised latents.

    Not `judged`, it learns from the distances alone and the discriminator costs no time.
    """

    def __init__(
        self, net: RaveNet, truncation: Truncation | None, judged: bool = True, refiner_alone: bool = False
    ) -> None:
        super().__init__()
        self.net, self.truncation, self.judged = net, truncation, judged
        self.discriminator = Discriminator(net.config)
        freeze_encoder(net)
        if refiner_alone:
            freeze_decoder(net)

    def train(self, mode: bool = True) -> Adversarial:
        """Like nn.Module.train, but what is frozen stays in evaluation mode, so that no statistic drifts."""
        super().train(mode)
        self.net.encoder.eval()
        return self

    def generate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Decode what is left of sound x [batch, 1, n] after the codec; also the waveform sent for the lowest band."""
        with torch.no_grad():
            posterior = self.net.encode(x)
            step: Tensor | float = 0.0
            if self.truncation is None:
                latents = posterior.sample()
            else:
                latents, step = self.truncation(posterior.mean)
        return self.net.render(latents, training_noise(self.net, x), step=step)

    def forward(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """Without y: the decoder's losses and its sound. With y, that sound: the discriminator's loss."""
        if y is not None:
            return {"discriminator": hinge_discriminator(self.discriminator(x), self.discriminator(y.detach()))}
        y, sent = self.generate(x)
        if not self.judged:
            return fidelity(self.net, x, y, sent)
        with torch.no_grad():
            real = self.discriminator(x)
        fake = self.discriminator(y)
        return {
            "sound": y,
            "adversarial": hinge_generator(fake),
            "matching": feature_matching(real, fake),
            **fidelity(self.net, x, y, sent),
        }


def encoder_parameters(net: RaveNet) -> list[nn.Parameter]:
    """Everything on the encoder's side."""
    own = list(net.encoder.parameters())
    return own + ([net.lapped.analysis] if net.lapped is not None else [])


def with_refiner(net: RaveNet, shape: NetworkConfig) -> RaveNet:
    """The same network with what another shape has of a refiner of the envelope, which does nothing yet; what it has
    itself stays, and if it lacks nothing it is itself.
    """
    channels = net.config.envelope_refiner or shape.envelope_refiner
    rise = net.config.envelope_rise or bool(channels and shape.envelope_rise)
    wanted = replace(net.config, envelope_refiner=channels, envelope_rise=rise)
    if wanted == net.config:
        return net
    found = RaveNet(wanted)
    found.load_state_dict(net.state_dict(), strict=False)
    return found.train(net.training)


def freeze_decoder(net: RaveNet) -> None:
    """Stop gradients to all but the refiner of the envelope; ValueError if there is none."""
    if net.envelope is None or net.envelope.refiner is None:
        raise ValueError(f"the network {net.config.name} has no refiner that could learn (envelope_refiner)")
    net.requires_grad_(False)
    net.envelope.refiner.requires_grad_(True)


def freeze_encoder(net: RaveNet) -> None:
    """Stop gradients to the encoder's side."""
    for parameter in encoder_parameters(net):
        parameter.requires_grad_(False)
