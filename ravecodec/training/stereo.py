"""Stereo made of mono sounds: the store is mono, and the entropy tables must know how one channel follows another."""

from __future__ import annotations

import numpy as np

from ..audio import from_mid_side, to_mid_side
from ..stereo import NARROW

ECHOES = 12
LONGEST = 0.08  # seconds until the last echo
NARROWEST = 22.0  # dB of mid over side, at most


def pair(first: np.ndarray, second: np.ndarray, rate: int, dice: np.random.Generator) -> np.ndarray:
    """Two mono sounds on a stage, wider or narrower, float32 [n, 2] as the codec would code them.

    Left and right where the side is strong, else mid and side.
    """
    sound = stage(first, second, rate, dice)
    wanted = float(dice.uniform(0, NARROWEST))
    mid, side = np.square(sound, dtype=np.float64).sum(0) + 1e-9
    sound[:, 1] *= np.sqrt(mid / side) * 10 ** (-wanted / 20)
    return sound if wanted >= NARROW else from_mid_side(sound)


def stage(first: np.ndarray, second: np.ndarray, rate: int, dice: np.random.Generator) -> np.ndarray:
    """Mid and side float32 [n, 2] of two mono sounds on a stage, n the samples of the first.

    The first stands near the middle, the second somewhere and softer; both come back from all sides. That makes a side
    that follows its mid in level and hardly in phase, like that of most recordings.
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
    return to_mid_side(sound / max(1.0, float(np.abs(sound).max(initial=0))))
