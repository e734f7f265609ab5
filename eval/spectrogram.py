"""A picture of two sounds: the original's spectrogram above, the decoded sound's below, one colour scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.audio import RATE, Audio, columns
from eval.metrics.stft import magnitudes

WINDOW = 2048
MOST_COLUMNS = 1600
"""About as many as the picture has pixels: a long sound is drawn with a longer hop."""
RANGE_DB = 90.0


def draw(
    original: Audio,
    decoded: Audio,
    path: str | Path,
    *,
    rate: int = RATE,
    titles: tuple[str, str] = ("Original", "Decoded"),
) -> None:
    """Draws two sounds [n] or [n, ch] at `rate` Hz into a file (.png, .svg); channels are averaged.

    Levels are in dB relative to the strongest bin of the original, 90 dB deep in both panels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    levels = [decibels(columns(wav).mean(axis=1), rate) for wav in (original, decoded)]
    top = max(
        float(levels[0].max()), -100.0
    )  # a silent original is drawn as silence, not as its rounding noise
    figure = Figure(figsize=(10, 6.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    for panel, level, title, wav in zip(panels, levels, titles, (original, decoded), strict=True):
        image = panel.imshow(
            level.T - top,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            extent=(0, len(wav) / rate, 0, rate / 2000),
            vmin=-RANGE_DB,
            vmax=0,
            cmap="magma",
        )
        panel.set_title(title, loc="left", fontsize=11)
        panel.set_ylabel("Frequency (kHz)")
    panels[-1].set_xlabel("Time (s)")
    figure.colorbar(image, ax=list(panels), label="Level (dB)", pad=0.015, aspect=40)
    figure.savefig(path)


def decibels(x: Audio, rate: int = RATE) -> Audio:
    """The level of each bin of a vector [n] in dB, [frames, bins], with at most about 1600 frames."""
    hop = max(WINDOW // 8, -(-len(x) // MOST_COLUMNS))
    level = np.concatenate([np.log10(np.maximum(block, 1e-7)) for block in magnitudes(x, WINDOW, hop)])
    return (20 * level).astype(np.float32)
