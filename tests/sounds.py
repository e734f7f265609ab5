"""Sounds made by formula, for training tests: gliding harmonic tones with a little noise."""

from __future__ import annotations

import numpy as np


def glide(seed: int, samples: int = 32768, rate: int = 48000) -> np.ndarray:
    """Float32 [samples]: eight partials of a gliding tone, swelling and fading, at about -20 dB."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / rate
    pitch = rng.uniform(90, 300) * 2 ** (rng.uniform(-0.5, 0.5) * t / t[-1])
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    sound = sum(rng.uniform(0.2, 1) / k * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, 9))
    swell = 0.3 + np.sin(np.pi * t / t[-1] * rng.integers(1, 4)) ** 2
    return (0.1 * swell * sound + 0.003 * rng.standard_normal(samples)).astype(np.float32)
