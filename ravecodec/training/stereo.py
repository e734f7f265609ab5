"""Stereo made of mono sounds: the store is mono, and the entropy tables must know how one channel follows another."""

from __future__ import annotations

import numpy as np

ECHOES = 12
LONGEST = 0.08  # seconds until the last echo
WIDEST, NARROWEST = 0.0, 25.0  # dB of the channels' sum over their difference


def pair(first: np.ndarray, second: np.ndarray, rate: int, dice: np.random.Generator) -> np.ndarray:
    """Left and right float32 [n, 2] of two mono sounds on a stage that is wider or narrower."""
    sound = stage(first, second, rate, dice)
    mid, side = sound.mean(1, keepdims=True), (sound[:, :1] - sound[:, 1:]) / 2
    loudness = np.square([mid, side], dtype=np.float64).sum((1, 2)) + 1e-9
    side *= np.sqrt(loudness[0] / loudness[1]) * 10 ** (-float(dice.uniform(WIDEST, NARROWEST)) / 20)
    return np.concatenate([mid + side, mid - side], 1)


def stage(first: np.ndarray, second: np.ndarray, rate: int, dice: np.random.Generator) -> np.ndarray:
    """Left and right float32 [n, 2] of two mono sounds on a stage, n the samples of the first.

    The first stands near the middle, the second somewhere and softer; both come back from all sides.
    """
    sound = np.zeros((len(first), 2), np.float32)
    for source, level, width in ((first, 1.0, 0.15), (second, float(dice.uniform(0, 0.7)), 1.0)):
        wet = float(dice.uniform(0.1, 0.9)) ** 2
        delays = [0, *(dice.uniform(0.002, LONGEST, ECHOES) * rate).astype(int)]
        gains = [1.0, *(wet * dice.normal(size=ECHOES) * np.exp(-3 * np.arange(ECHOES) / ECHOES))]
        places = np.pi / 4 * (1 + np.array([width, *np.ones(ECHOES)]) * dice.uniform(-1, 1, ECHOES + 1))
        for delay, gain, place in zip(delays, gains, places, strict=True):
            heard = source[: max(0, len(sound) - delay)]
            pan = np.array([np.cos(place), np.sin(place)]) * level * gain
            sound[delay : delay + len(heard)] += heard[:, None] * pan.astype(np.float32)
    return sound / max(1.0, float(np.abs(sound).max(initial=0)))
