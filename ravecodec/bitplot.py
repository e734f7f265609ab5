"""A picture of where the bits of a file go."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from bitstream.bits import BitMap
from ravecodec.errors import Unavailable


def draw(found: BitMap, title: str, out: BinaryIO, kind: str = "png") -> None:
    """Draw bits by packet and component, and their sums beside it, into an open file.

    Args:
        kind: "png", "svg" or "pdf".

    Raises:
        Unavailable: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise Unavailable("a picture needs matplotlib", advice="pip install 'ravecodec[plot]'") from error
    header = found.header
    full = header.frames_per_packet * header.hop / header.rate
    lengths = np.array([packet.frames * header.hop / header.rate for packet in found.packets])
    rate = found.bits / np.maximum(lengths, 1e-9)[:, None]  # bit/s [packets, components]
    end = float(lengths.sum())
    edges = np.append(np.arange(len(lengths)) * full, end)
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplot_mosaic(
        [["time", "."], ["map", "component"]], width_ratios=[4, 1], height_ratios=[1, 2.5]
    )
    axes["time"].stairs(rate.sum(1) / 1000, edges, fill=True, color="#4477aa")
    axes["time"].set(ylabel="kbit/s", xlim=(0, end), title=title)
    places = np.arange(header.components + 1) + 0.5
    mesh = axes["map"].pcolormesh(edges, places, rate.T, cmap="magma", vmin=0)
    axes["map"].set(xlabel="seconds", ylabel="component", xlim=(0, end))
    for packet, left in zip(found.packets, edges, strict=False):
        if packet.lost:
            for name in ("time", "map"):
                axes[name].axvspan(left, left + packet.frames * header.hop / header.rate, color="#cc3311", alpha=0.6)
    mean = found.bits.sum(0) / max(end, 1e-9)
    axes["component"].barh(np.arange(header.components) + 1, mean, height=1.0, color="#4477aa")
    axes["component"].set(xlabel="bit/s", ylim=(places[0], places[-1]))
    figure.colorbar(mesh, ax=axes["component"], label="bit/s of packet and component", location="right")
    figure.savefig(out, format=kind, dpi=120)
