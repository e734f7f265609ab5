"""A model with plainer entropy coding: what its contexts are worth is measured against it.

    fixed-length    an integer takes as many bits as all those of its component that were met need
    static-tables   a row of counts for every step and component, whatever stands beside an integer
    contexts        the model as it is

The integers are the same in all three, and so is the sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bitstream import Layout, Tables
from bitstream.tables import MAX_ROW, ROW_SUM, Row

from .analysis import Analysis
from .audio import as_samples
from .codec import Codec
from .errors import UsageError
from .modelfile import save_model
from .quantiser import Quantiser
from .stereo import arranged

Coding = Literal["fixed-length", "static-tables", "contexts"]
CODINGS: tuple[Coding, ...] = ("fixed-length", "static-tables", "contexts")


def write_models(
    codec: Codec, folder: Path, sounds: Iterable[tuple[Any, int]], steps: Sequence[int], codings: Sequence[Coding]
) -> dict[str, Path]:
    """Write a model file for each coding into the folder, by coding; the plainer ones know only these steps.

    Their codes are fitted to `sounds`, pairs of samples [n] or [n, channels] and a rate in Hz. UsageError without
    sounds, and for "contexts" of a model that has none.
    """
    if "contexts" in codings and codec.tables.context is None:
        raise UsageError(f"model {codec.name!r} has no context network: leave contexts out")
    codes = integers(codec, sounds, steps)
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, Path] = {}
    for coding in codings:
        tables = codec.tables if coding == "contexts" else _tables(coding, codes)
        path = paths[coding] = folder / f"{coding}.safetensors"
        about = f"{codec.name} with {coding.replace('-', ' ')}"
        save_model(path, codec.model.network, coding, codec.basis, tables, about, codec.model.notes)
    return paths


def integers(codec: Codec, sounds: Iterable[tuple[Any, int]], steps: Sequence[int]) -> dict[int, np.ndarray]:
    """The integers [frames, components] that the codec makes of all sounds at each step, channels one after another."""
    analysis, mode = Analysis(codec.network), "auto" if codec.network.places else "separate"
    parts: list[tuple[Quantiser, list[np.ndarray]]] = []
    for audio, rate in sounds:
        samples = as_samples(audio)
        layout, _, blocks = arranged([samples], rate, samples.shape[1], mode)
        network = codec.network
        quantiser = Quantiser(
            codec.basis, codec.tables, layout=layout, ceiling=network.ceiling, switches=network.switches
        )
        means = analysis.latents(blocks, rate, samples.shape[1], layout == Layout.JOINT)
        parts.append((quantiser, [quantiser.rotated(part) for part in means]))
    if not parts:
        raise UsageError("there is no sound to fit the plainer codes to")
    return {
        step: np.concatenate([c for q, part in parts for codes in q.integers(part, step, codec.latents) for c in codes])
        for step in steps
    }


def fixed_row(values: np.ndarray) -> Row:
    """A row in which every integer between the least and the greatest of these [n] costs the same whole bits.

    One entry is the escape's, as in every row. A component that never changes costs next to nothing.
    """
    low, high = int(values.min()), int(values.max())
    if low == high:
        return low, (ROW_SUM - 1, 1)
    entries = min(1 << (high - low + 1).bit_length(), MAX_ROW)
    return low, (ROW_SUM // entries,) * entries


def _tables(coding: Coding, codes: Mapping[int, np.ndarray]) -> Tables:
    if coding == "static-tables":
        return Tables.fit(codes)
    return Tables.from_rows({step: [fixed_row(column) for column in values.T] for step, values in codes.items()})
