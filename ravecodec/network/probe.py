"""How far an exported network sees, and how late it is: found by trying, as an export does not say."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import fft

from .exported import ExportedNet
from .noise import seeded_noise

log = logging.getLogger("ravecodec.calibrate")
WINDOWS = (128, 512)  # frames that are looked at for an end of what is seen
HOP, SIZE = 32, 512  # samples, of the spectra by which a delay is found
ALIKE, SAME = 0.2, 0.5  # correlation of spectra, and of samples, from which on a delay is believed


def reach(net: ExportedNet) -> ExportedNet:
    """The same network with its prerolls, in frames; ValueError if it sees all of the sound at once.

    What is not a number stays none: one such sample, or frame, shows all that depends on it.
    """
    hop = net.config.hop
    noise = torch.randn(1, 1, WINDOWS[-1] * hop, generator=torch.Generator().manual_seed(0)) * 0.1
    _check(net, noise[..., : WINDOWS[0] * hop])

    def latents(frames: int) -> tuple[int, int]:
        sound = noise[..., : frames * hop].clone()
        middle = frames // 2
        sound[..., middle * hop : (middle + 1) * hop] = torch.nan
        seen = torch.isnan(net.encode(sound).mean).any(1)[0]
        return _ends(seen.numpy(), middle, 1)

    def sound(frames: int) -> tuple[int, int]:
        values = noise[0, 0, : net.config.latents * frames].reshape(1, net.config.latents, frames).clone()
        middle = frames // 2
        values[..., middle] = torch.nan
        made = net.render(values, seeded_noise(0, 1, 0, frames)[None])[0]
        if made.shape[-1] != frames * hop:
            raise ValueError(f"its decoder makes {made.shape[-1]} samples of {frames} frames, not {frames * hop}")
        return _ends(torch.isnan(made[0, 0]).numpy(), middle * hop, hop)

    found = []
    for side, per_frame, name in ((latents, 1, "encoder"), (sound, hop, "decoder")):
        for frames in WINDOWS:
            before, after = side(frames)
            if max(before, after) < (frames // 2 - 1) * per_frame:
                break
        else:
            raise ValueError(f"its {name} sees more than {WINDOWS[-1] // 2} frames on a side")
        found.append(max(1, -(-max(before, after) // per_frame)))
    encoder, decoder = found
    net.config = replace(net.config, encoder_preroll=encoder, preroll=decoder)
    return net


def _check(net: ExportedNet, sound: torch.Tensor) -> None:
    """ValueError for a network whose latents or sound are no numbers, or depend on what it was given before."""
    frames = sound.shape[2] // net.config.hop
    seed = seeded_noise(0, 1, 0, frames)[None]
    latents = net.encode(sound).mean
    made = net.render(latents, seed)[0]
    if not (torch.isfinite(latents).all() and torch.isfinite(made).all()):
        raise ValueError("it makes of sound what is not a number")
    if not (torch.equal(net.encode(sound).mean, latents) and torch.equal(net.render(latents, seed)[0], made)):
        raise ValueError("the same sound twice is not the same: it has a state that is not among its buffers")


def _ends(seen: np.ndarray, begin: int, length: int) -> tuple[int, int]:
    """How far what is seen reaches beyond the span, to either side; ValueError if nothing is."""
    places = np.flatnonzero(seen)
    if not len(places):
        raise ValueError("how far it sees cannot be told: what is not a number is lost in it")
    return begin - int(places[0]), int(places[-1]) - (begin + length - 1)


@torch.inference_mode()
def delay(net: ExportedNet, sounds: Iterable[np.ndarray]) -> ExportedNet:
    """The same network with its delay in samples: where decoded sounds [n] are most like the originals.

    It is looked for in spectra, as a decoder need not keep the waveform; where it does, that says it to the sample.
    """
    hop = net.config.hop
    most = (net.encoder_preroll + net.preroll + 1) * hop
    pairs = []
    for sound in sounds:
        padded = torch.from_numpy(np.pad(sound, (0, -len(sound) % hop + most)).astype(np.float32))
        means = net.encode(padded[None, None]).mean
        made = net.render(means, seeded_noise(0, 1, 0, means.shape[2])[None])[0][0, 0]
        pairs.append((padded, made))
    by_spectra = _likeness([(_changes(a), _changes(b)) for a, b in pairs], most // HOP)
    coarse = round(_peak(by_spectra) * HOP)
    by_samples = _likeness([(a.numpy()[:, None], b.numpy()[:, None]) for a, b in pairs], most)
    fine = int(by_samples.argmax())
    if by_spectra.max() < ALIKE:
        log.warning("what %s decodes is not like what it was given: its delay cannot be told, and is taken for none",
                    net.config.name)  # fmt: skip
        coarse = fine = 0
    net.config = replace(net.config, delay=fine if by_samples[fine] > SAME else coarse)
    return net


def _likeness(pairs: Sequence[tuple[np.ndarray, np.ndarray]], most: int) -> np.ndarray:
    """Correlation of first with second [n, signals], the second so much later: 0 to `most`."""
    total, size = np.zeros(most), 1e-20
    for first, second in pairs:
        length = fft.next_fast_len(len(first) + most)
        crossed = fft.rfft(first, length, 0).conj() * fft.rfft(second, length, 0)
        total += fft.irfft(crossed.sum(1), length)[:most]
        size += float(np.sqrt((first**2).sum() * (second**2).sum()))
    return total / size


def _peak(values: np.ndarray) -> float:
    """Where the largest of some values is, by the parabola through it and those beside it."""
    at = int(values.argmax())
    if not 0 < at < len(values) - 1:
        return at
    before, top, after = values[at - 1 : at + 2]
    return at + 0.5 * float((before - after) / (before - 2 * top + after))


def _changes(sound: torch.Tensor) -> np.ndarray:
    """Log spectra [frames, bins] of sound [n], every bin without its mean."""
    spectra = torch.stft(sound, SIZE, HOP, window=torch.hann_window(SIZE), return_complex=True, pad_mode="constant")
    levels = torch.log(spectra.abs() + 1e-3).numpy().T
    changes: np.ndarray = levels - levels.mean(0)
    return changes
