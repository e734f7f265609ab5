"""Distances between sound and its reconstruction that the network is trained on."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.envelope import band_shapes

WINDOWS = (2048, 1024, 512, 256, 128)
LOG_FLOOR = 1e-5


@lru_cache(maxsize=32)
def _hann(size: int, device: torch.device) -> Tensor:
    return torch.hann_window(size, device=device)


def stft(x: Tensor, window: int) -> Tensor:
    """Complex spectrum [batch, bins, frames] of sound [batch, n]: periodic Hann, hop a quarter, centred, reflected."""
    spectrum: Tensor = _Spectrum.apply(x, window)
    return spectrum.transpose(1, 2)


class _Spectrum(torch.autograd.Function):
    """What `torch.stft` gives, [batch, frames, bins], with a way back that is a real transform as the way there is.

    Autograd's is a complex FFT of twice the size, of a spectrum filled up with zeros: there and back take a third less.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: int) -> Tensor:
        ctx.window, ctx.length = window, x.shape[-1]
        return torch.fft.rfft(_frames(x, window) * _hann(window, x.device))

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        return _adjoint(upstream[0].clone(), ctx.window, ctx.length), None


def _adjoint(spectrum: Tensor, window: int, length: int) -> Tensor:
    """Gradient by the sound [batch, length] of one by its spectrum [batch, frames, bins], which is overwritten."""
    spectrum[..., 1:-1] *= 0.5  # the inverse transform counts the inner bins twice
    frames = torch.fft.irfft(spectrum, n=window, norm="forward").mul_(_hann(window, spectrum.device))
    return _overlap_add(frames, window, length)


def spectral_distance(x: Tensor, y: Tensor, windows: tuple[int, ...] = WINDOWS) -> Tensor:
    """Multiscale spectral distance of sounds [batch, n], mean over the batch; differentiable in y.

    Sum over windows of ||X| - |Y||_F / |||X|||_F + mean |ln max(|X|, 1e-5) - ln max(|Y|, 1e-5)|, the norms taken per
    example. This is Caillon & Esling 2021, eq. 5, with the absolute log term common in practice
    (Yamamoto et al. 2020, eq. 4 to 6); x is the reference.
    """
    scales = [_SpectralScale.apply(x, y, window) for window in windows]
    return torch.stack(scales).sum()


class _SpectralScale(torch.autograd.Function):
    """One window's distance with the gradient worked out by hand in the forward pass.

    Autograd's chain over the magnitudes passes ten times through memory: by hand, and with the way back of `_Spectrum`,
    the whole loss takes about a third of the time on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, window: int) -> Tensor:
        taper = _hann(window, x.device)
        a = _magnitude(torch.fft.rfft(_frames(x, window) * taper))
        spectrum = torch.fft.rfft(_frames(y.detach(), window) * taper)
        b = _magnitude(spectrum)
        batch, cells = len(b), b[0].numel()
        # Relative to at least a faint sound: a silent crop must not rule the batch.
        size = torch.linalg.vector_norm(a.flatten(1), dim=1) + 1e-3 * cells**0.5
        difference = b - a
        norm = torch.linalg.vector_norm(difference.flatten(1), dim=1).clamp_min(1e-6)
        b.clamp_(min=LOG_FLOOR)
        log_ratio = torch.log(b / a.clamp_(min=LOG_FLOOR))
        loss = (norm / size).mean() + log_ratio.abs().mean()
        if y.requires_grad:
            # d loss / d|Y|, then along Y / |Y| back to the spectrum.
            gradient = difference.mul_((1 / (norm * size * batch))[:, None, None])
            gradient.addcdiv_(log_ratio.sign_(), b, value=1 / (batch * cells)).div_(b)
            spectrum.mul_(gradient)
            ctx.save_for_backward(_adjoint(spectrum, window, y.shape[-1]))
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[None, Tensor, None]:
        return None, ctx.saved_tensors[0] * upstream[0], None


def _frames(x: Tensor, window: int) -> Tensor:
    """[batch, n] to overlapping frames [batch, frames, window] as torch.stft cuts them (centred, reflected)."""
    padded = F.pad(x[:, None], (window // 2, window // 2), mode="reflect")[:, 0]
    return padded.unfold(-1, window, window // 4)


def _magnitude(spectrum: Tensor) -> Tensor:
    parts = torch.view_as_real(spectrum)
    return (parts[..., 0].square() + parts[..., 1].square()).sqrt_()


def _overlap_add(frames: Tensor, window: int, length: int) -> Tensor:
    """Adjoint of `_frames`: sum frames back into sound [batch, length], folding in what the reflection doubled."""
    batch, count, _ = frames.shape
    hop, half = window // 4, window // 2
    padded = frames.new_zeros(batch, (count + 3) * hop)
    quarters = padded.view(batch, -1, hop)
    for k in range(4):
        quarters[:, k : k + count] += frames[..., k * hop : (k + 1) * hop]
    padded = F.pad(padded, (0, max(0, length + window - padded.shape[-1])))
    x = padded[:, half : half + length].clone()
    x[:, 1 : half + 1] += padded[:, :half].flip(-1)
    x[:, length - 1 - half : length - 1] += padded[:, half + length : 2 * half + length].flip(-1)
    return x


@lru_cache(maxsize=16)
def _low(window: int, rate: int, full: float, none: float, device: torch.device) -> Tensor:
    """Weights of the bins below `none` Hz."""
    frequency = torch.arange(window // 2 + 1) * (rate / window)
    weight = ((none - frequency) / (none - full)).clamp(0, 1) * (frequency / 120).clamp(0.3, 1)
    return weight[: int((weight > 0).sum())].to(device)


def waveform_distance(x: Tensor, y: Tensor, rate: int, window: int = 2048, full: float = 1000.0, none: float =
2500.0) -> Tensor:
    """Phase-aware distance of the low frequencies of sounds [batch, n]: noise to signal, 0 same, 1 as bad as silence.

    |X - Y|^2 over the locally smoothed |X|^2, averaged with weights (smoothed power)^0.15, so that a loud
    partial does not hide its neighbours; full weight from 120 Hz to `full` Hz, none above `none` Hz, where a few
    kilobits cannot carry phase. (With a power of 0.3 and full weight from 0 Hz, a quarter of a voice's bits went below
    190 Hz.)
    """
    weight = _low(window, rate, full, none, x.device)
    bins = len(weight)
    with torch.no_grad():
        a = stft(x, window)[:, :bins]
        power = a.real.square() + a.imag.square()
        smooth = F.avg_pool2d(power[:, None], (9, 3), 1, (4, 1), count_include_pad=False)[:, 0] + 1e-4
        importance = weight[None, :, None] * smooth**0.15
        importance = importance / importance.mean((1, 2), keepdim=True)
    b = stft(y, window)[:, :bins]
    error = (a.real - b.real).square() + (a.imag - b.imag).square()
    # The square root of large ratios: a transient's pre-echo must not outweigh everything else.
    ratio = error / smooth
    return (importance * torch.where(ratio > 1, 2 * (ratio + 1e-9).sqrt() - 1, ratio)).mean()


@lru_cache(maxsize=16)
def _bark(bands: int, window: int, lowest: float, rate: int, device: torch.device) -> Tensor:
    return torch.from_numpy(band_shapes(bands, window // 2 + 1, rate, lowest)).float().to(device)


def envelope_distance(
    x: Tensor,
    y: Tensor,
    rate: int,
    scales: tuple[tuple[int, int, float], ...] = ((2048, 40, 100.0), (512, 24, 250.0)),
) -> Tensor:
    """Mean difference in nats of log band amplitudes of sounds [batch, n], over (window, bands, lowest) scales.

    The bands are triangles on the Bark scale. Bin by bin, two noises of one envelope differ by most of a neper, which
    hides 3 dB of error in the envelope; the power of a whole band hides much less.
    """
    total = x.new_zeros(())
    for window, bands, lowest in scales:
        shapes = _bark(bands, window, lowest, rate, x.device)
        taper = _hann(window, x.device)

        def bark(sound: Tensor, window: int = window, shapes: Tensor = shapes, taper: Tensor = taper) -> Tensor:
            spectrum = torch.fft.rfft(_frames(sound, window) * taper)
            power = spectrum.real.square() + spectrum.imag.square()
            return 0.5 * torch.log(power @ shapes.T / window + 1e-8)

        with torch.no_grad():
            wanted = bark(x)
        total = total + (bark(y) - wanted).abs().mean()
    return total / len(scales)


def modulation_distance(
    x: Tensor, y: Tensor, rate: int, window: int = 1024, span: int = 32, highest: int = 24
) -> Tensor:
    """How far the band envelopes of sound y [batch, n] move unlike those of x: 0 same, 1 unrelated.

    Stretches of `span` spectra (0.34 s at 48 kHz) of 24 Bark bands up to 6 kHz, normalised in time and then over the
    bands as ESTOI does (Jensen & Taal 2016, eq. 4 to 8); stretches weigh by energy^0.3. (The evaluation has ESTOI
    itself among its metrics: a model trained on this is favoured there.)
    """
    shapes = _bark(32, window, 120.0, rate, x.device)[:highest]
    taper = _hann(window, x.device)

    def movement(sound: Tensor) -> tuple[Tensor, Tensor]:
        spectrum = torch.fft.rfft(F.pad(sound, (0, window // 2)).unfold(-1, window, window // 2) * taper)
        power = (spectrum.real.square() + spectrum.imag.square()) @ shapes.T / window
        # [batch, stretches, bands, span]
        stretches = (power + 1e-8).sqrt().unfold(1, min(span, power.shape[1]), span // 4)
        unit = stretches
        for axis in (3, 2):
            unit = unit - unit.mean(axis, keepdim=True)
            unit = unit * torch.rsqrt(unit.square().sum(axis, keepdim=True) + 1e-7)
        return unit, stretches.square().sum((2, 3))

    with torch.no_grad():
        a, energy = movement(x)
        weight = (energy + 1e-4) ** 0.3
        weight = weight / weight.mean()
    b, _ = movement(y)
    return (weight * (1 - (a * b).sum(2).mean(2))).mean()


def steadiness_distance(x: Tensor, y: Tensor, rate: int, window: int = 2048, span: int = 15) -> Tensor:
    """How far bins of y [batch, n] go on from frame to frame unlike those of x: 0 same, 1 a tone against noise.

    The steadiness of a stretch of `span` bins is what is left of |Y[t] conj Y[t - 1]| when it is summed over all frames
    before the magnitude is taken, relative to their power: 1 for lasting tones of any frequency, and for one snippet
    of noise played again and again; about 0.23 for noise in 16 frames. Bins from 500 Hz to 18 kHz weigh by the square
    root of their wavelength.
    """
    taper = _hann(window, x.device)
    first, last = 500 * window // rate, 18000 * window // rate

    def steadiness(sound: Tensor) -> Tensor:
        spectra = torch.fft.rfft(sound.unfold(-1, window, window) * taper)[..., first:last]
        a, b = spectra.real, spectra.imag
        c, d, e, f = a[:, 1:], b[:, 1:], a[:, :-1], b[:, :-1]
        along, across = (c * e + d * f).sum(1), (d * e - c * f).sum(1)
        lasting = (along.square() + across.square() + 1e-6).sqrt()
        power = 0.5 * (c.square() + d.square() + e.square() + f.square()).sum(1)
        pair = F.avg_pool1d(torch.stack([lasting, power], 1), span, span // 3)
        return pair[:, 0] / (pair[:, 1] + 1e-2)

    with torch.no_grad():
        wanted = steadiness(x)
        place = torch.arange(wanted.shape[1], device=x.device) * (span // 3) + float(first + span // 2)
        weight = place**-0.5
        weight = weight / weight.mean()
    return (weight * (steadiness(y) - wanted).abs()).mean()


def structure_distance(
    x: Tensor, y: Tensor, rate: int, window: int = 4096, low: float = 60.0, high: float = 8000.0
) -> Tensor:
    """How far the partials of sound y [batch, n] are from those of x: 0 same, 1 unrelated.

    Compressed magnitudes |S|^0.3 less their mean over +-20 bins, correlated over frequency in every frame; frames
    weigh by energy^0.3. Envelopes alone score 1: this is what the spectral distance forgives. (The evaluation's
    fine-structure correlation is of the same kind, on the logarithm: a model trained on this is favoured there.)
    """
    first, last = int(low * window / rate), int(high * window / rate)

    def structure(spectrum: Tensor) -> Tensor:
        power = spectrum.real.square() + spectrum.imag.square()
        compressed = (power[:, first - 5 : last + 21] + 1e-6) ** 0.15
        frames = compressed.transpose(1, 2).flatten(0, 1)
        smooth = F.avg_pool1d(frames[:, None], 41, 1, 20, count_include_pad=False)[:, 0]
        fine = (frames - smooth)[:, 5:-21]
        return fine - fine.mean(1, keepdim=True)

    with torch.no_grad():
        spectrum = stft(x, window)
        a = structure(spectrum)
        energy = (spectrum.real.square() + spectrum.imag.square()).sum(1).flatten()
        weight = (energy + 1e-4) ** 0.3
        weight = weight / weight.mean()
    b = structure(stft(y, window))
    correlation = (a * b).sum(1) * torch.rsqrt(a.square().sum(1) * b.square().sum(1) + 1e-6)
    return (weight * (1 - correlation)).mean()
