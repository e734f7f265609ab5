"""A sweep of seconds for pages to be made of: a codec that rounds, two anchors, tones as clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eval import codecs, sweep
from eval.audio import RATE, Audio
from eval.codecs import Codec
from eval.points import Point
from eval.results import Results

CLIPS = {"speech/a.wav": 1, "speech/b.wav": 1, "music/c.wav": 2}
SECONDS = 1.5


class Rounded(Codec):
    """Samples rounded to `bits` bits, each value as 16 bits less what is rounded away: more bits, more rate."""

    name = "rounded"

    def __init__(self, bits: int) -> None:
        super().__init__(bits=bits)
        self.bits, self.scale = bits, 2.0 ** (bits - 1)

    def encode(self, wav: Audio, rate: int) -> bytes:
        integers = np.round(np.clip(wav, -1, 1) * (self.scale - 1)).astype(np.int32)
        digits = (integers[..., None] >> np.arange(self.bits)) & 1
        return bytes([wav.shape[1]]) + np.packbits(digits.astype(np.uint8)).tobytes()

    def decode(self, data: bytes) -> tuple[Audio, int]:
        digits = np.unpackbits(np.frombuffer(data[1:], np.uint8)).astype(np.int32)
        digits = digits[: len(digits) // (self.bits * data[0]) * self.bits * data[0]].reshape(-1, data[0], self.bits)
        integers = (digits << np.arange(self.bits)).sum(axis=2)
        integers -= (integers >> (self.bits - 1)) << self.bits
        return integers.astype(np.float32) / (self.scale - 1), RATE


def clips(folder: Path) -> Path:
    """A folder of three clips: harmonic tones with noise, at levels that differ, one of them in stereo."""
    random = np.random.default_rng(3)
    t = np.arange(round(SECONDS * RATE)) / RATE
    for number, (name, channels) in enumerate(CLIPS.items(), 1):
        tone = sum(np.sin(2 * np.pi * 110 * number * k * t) / k for k in range(1, 9))
        wav = np.stack([tone * (1 + 0.3 * np.sin(3 * t)) for _ in range(channels)], axis=1)
        wav = 0.05 * number * wav + 0.002 * random.standard_normal(wav.shape)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, wav, RATE, subtype="PCM_24")
    return folder


def swept(folder: Path, **options: Any) -> tuple[Results, Path]:
    """A record of the rounding codec at three depths with two anchors, and the clips it was made of."""
    codecs.register(Rounded.name, Rounded)
    data = clips(folder / "clips")
    points = [*(Point("rounded", {"bits": bits}) for bits in (4, 6, 9)), Point("noise-vocoder"), Point("silence")]
    chosen = ["spectral_distance", "fine_structure", "estoi"]
    return sweep.run(data, folder / "out", points, chosen, plots=False, progress=False, **options), data
