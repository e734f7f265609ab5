"""Spectrograms as small pictures: mel-spaced rows, one colour scale for all versions of a sound."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.audio import RATE, Audio
from eval.errors import Unavailable
from eval.metrics.log_mel import hertz, mel
from eval.spectrogram import decibels

WIDTH, HEIGHT = 360, 132
LOWEST, HIGHEST = 50.0, 20_000.0
RANGE_DB = 75.0


def spectrograms(sounds: Sequence[Audio]) -> list[bytes]:
    """A PNG for each vector [n] at 48 kHz; levels are relative to the strongest point of all of them."""
    try:
        from matplotlib import colormaps
        from PIL import Image
    except ImportError as error:
        raise Unavailable("spectrograms need matplotlib: pip install 'ravecodec[plot]'") from error
    grids = [_grid(sound) for sound in sounds]
    top = max(max(float(grid.max()) for grid in grids), -100.0)
    palette = (np.asarray(colormaps["magma"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)
    pictures = []
    for grid in grids:
        level = np.clip((grid - top + RANGE_DB) / RANGE_DB, 0, 1)
        picture = Image.fromarray((level * 255).round().astype(np.uint8)[::-1])
        picture.putpalette(palette.tobytes())
        file = io.BytesIO()
        picture.save(file, "PNG", optimize=True)
        pictures.append(file.getvalue())
    return pictures


def _grid(sound: Audio) -> NDArray[np.float64]:
    """Levels in dB [HEIGHT, WIDTH]: the mean power in each cell, lowest frequency first."""
    power = 10 ** (decibels(sound).astype(np.float64) / 10)
    edges = hertz(np.linspace(float(mel(LOWEST)), float(mel(HIGHEST)), HEIGHT + 1)) / (RATE / 2)
    rows = _pooled(power, np.asarray(edges) * (power.shape[1] - 1) + 0.5, axis=1)
    cells = _pooled(rows, np.linspace(0, len(rows), WIDTH + 1), axis=0)
    return 10 * np.log10(np.maximum(cells.T, 1e-14))


def _pooled(values: NDArray[np.float64], edges: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Means along an axis between edges that need not be whole numbers, by the running sum's differences."""
    moved = np.moveaxis(values, axis, 0)
    total = np.concatenate([np.zeros((1, moved.shape[1])), np.cumsum(moved, axis=0)])
    below = np.clip(np.floor(edges).astype(int), 0, len(moved) - 1)
    part = np.clip(edges - below, 0, 1)[:, None]
    at = total[below] + part * moved[below]
    return np.moveaxis(np.diff(at, axis=0) / np.diff(edges)[:, None], 0, axis)
