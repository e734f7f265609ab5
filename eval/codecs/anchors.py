"""Anchors: known damage without a rate. They show what a metric sees and what it is blind to.

identity            nothing is lost
silence             everything is lost
low-pass            the 3.5 and 7 kHz anchors of MUSHRA (ITU-R BS.1534-3), by a linear-phase filter without
delay noise vocoder       only the spectral envelope is left: noise shaped in 40 bands (after Shannon et al.
1995,
                    "Speech recognition with primarily temporal cues", Science 270)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from eval.audio import Audio
from eval.codecs.codec import Codec
from eval.codecs.process import from_wav, to_wav


class Anchor(Codec):
    """A codec that carries the sound itself and damages it in `decode`."""

    rated = False
    version = 1

    def damage(self, wav: Audio, rate: int) -> Audio:
        """The sound [n, ch] with this anchor's damage done."""
        raise NotImplementedError

    def identity(self) -> Mapping[str, str]:
        return {"anchor": str(self.version)}

    def encode(self, wav: Audio, rate: int) -> bytes:
        return to_wav(wav, rate)

    def decode(self, data: bytes) -> tuple[Audio, int]:
        wav, rate = from_wav(data)
        return self.damage(wav, rate), rate


class Identity(Anchor):
    """The sound as it is."""

    name = "identity"

    def damage(self, wav: Audio, rate: int) -> Audio:
        return wav


class Silence(Anchor):
    """As much silence."""

    name = "silence"

    def damage(self, wav: Audio, rate: int) -> Audio:
        return np.zeros_like(wav)


class LowPass(Anchor):
    """Everything above `cutoff` Hz removed: ±0.1 dB below it, down by 80 dB from 500 Hz above it."""

    name = "lowpass"

    def __init__(self, cutoff: float = 3500.0) -> None:
        super().__init__(cutoff=cutoff)
        self.cutoff = cutoff

    @property
    def label(self) -> str:
        return f"low-pass {self.cutoff / 1000:g} kHz"

    def damage(self, wav: Audio, rate: int) -> Audio:
        import scipy.signal

        transition, attenuation = 500.0, 80.0
        taps, beta = scipy.signal.kaiserord(attenuation, transition / (rate / 2))
        taps |= 1  # odd: the filter has a middle, so "same" undoes its delay exactly
        fir = scipy.signal.firwin(taps, self.cutoff + transition / 2, window=("kaiser", beta), fs=rate)
        filtered = scipy.signal.oaconvolve(wav, fir[:, None], axes=0)
        start = taps // 2
        return filtered[start : start + len(wav)].astype(wav.dtype)


class NoiseVocoder(Anchor):
    """White noise given the sound's energy in every band and frame: its envelope without any harmonics.

    `bands` rectangular bands, equally wide in mel up to half the rate, on an STFT of Hann windows of 1024
    samples, hop 256. The gain of a band in a frame is the root of the sound's energy in it over the noise's
    expected energy. The noise is drawn from `seed` and the channel's number, so the anchor is the same every
    time.
    """

    name = "noise-vocoder"
    window = 1024
    hop = 256

    def __init__(self, bands: int = 40, seed: int = 0) -> None:
        super().__init__(bands=bands, seed=seed)
        self.bands, self.seed = bands, seed

    @property
    def label(self) -> str:
        return f"noise vocoder, {self.bands} bands"

    def damage(self, wav: Audio, rate: int) -> Audio:
        channels = [self._vocode(wav[:, c], rate, c) for c in range(wav.shape[1])]
        return np.stack(channels, axis=1).astype(wav.dtype)

    def _vocode(self, x: Audio, rate: int, channel: int) -> Audio:
        import scipy.signal

        window, hop = self.window, self.hop
        noise = np.random.default_rng([self.seed, channel]).standard_normal(len(x))
        taper = scipy.signal.get_window("hann", window)
        transform = scipy.signal.ShortTimeFFT(taper, hop, fs=rate, mfft=window)
        # Too short for one window: the transform needs at least half of one.
        padding = max(0, window - len(x))
        sound = transform.stft(np.pad(x.astype(np.float64), (0, padding)))
        carrier = transform.stft(np.pad(noise, (0, padding)))
        expected = float(np.sum(taper**2))  # E|STFT of unit white noise|²
        edges = _mel_edges(self.bands, rate, window)
        gains = np.zeros(sound.shape)
        for low, high in itertools.pairwise(edges):
            energy = np.mean(np.abs(sound[low:high]) ** 2, axis=0)
            gains[low:high] = np.sqrt(energy / expected)
        vocoded: Audio = transform.istft(carrier * gains, k1=len(x) + padding)
        return vocoded[: len(x)]


def _mel_edges(bands: int, rate: int, window: int) -> list[int]:
    """Bin numbers at which the bands begin, and one past the last; every band has at least one bin."""
    from eval.metrics.log_mel import hertz, mel

    bins = window // 2 + 1
    ideal = hertz(np.linspace(0.0, float(mel(rate / 2)), bands + 1)) * window / rate
    edges = [0]
    for band in range(1, bands):
        # Never so far that the bands above would be left without bins.
        edges.append(min(max(edges[-1] + 1, round(float(ideal[band]))), bins - (bands - band)))
    return [*edges, bins]


def anchors() -> list[tuple[str, dict[str, Any]]]:
    """The anchors of every table, as (codec name, settings)."""
    return [
        ("identity", {}),
        ("lowpass", {"cutoff": 7000.0}),
        ("lowpass", {"cutoff": 3500.0}),
        ("noise-vocoder", {"bands": 40, "seed": 0}),
        ("silence", {}),
    ]
