"""Recordings in two channels: the store is mono, and the entropy tables must know how one channel follows another."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from bitstream import Layout

from ..stereo import arranged
from .prepare import UNREADABLE, Piece, pieces, read

log = logging.getLogger("ravecodec.calibrate")
EXCERPT = 20.0  # seconds


def spans(folder: Path, seconds: float) -> list[Piece]:
    """Excerpts of all two-channel sound below a folder, evenly spread, that last at most about so many `seconds`.

    FileNotFoundError if there is no such sound.
    """
    found = [(piece, length) for piece in pieces(folder) if (length := _length(piece)) > 0]
    if not found:
        raise FileNotFoundError(f"{folder}: no sound of two channels below this folder")
    # One excerpt begins in every `apart` seconds of all sound in a row.
    apart = max(EXCERPT, sum(length for _, length in found) * EXCERPT / seconds)
    taken, at, wanted = [], 0.0, 0.0
    for piece, length in found:
        while wanted < at + length:
            taken.append(replace(piece, offset=piece.offset + wanted - at, seconds=min(EXCERPT, at + length - wanted)))
            wanted += apart
        at += length
    return taken


def joint(some: Sequence[Piece], rate: int) -> Iterator[np.ndarray]:
    """Left and right float32 [n, 2] at `rate` Hz of the excerpts whose channels would be coded jointly.

    What cannot be read is named in the log and left out.
    """
    for piece in some:
        try:
            sound = read(piece, rate, mono=False)
        except UNREADABLE as error:
            log.warning("%s: left out (%s)", piece.path, error)
            continue
        if len(sound) and arranged([sound], rate, 2)[0] == Layout.JOINT:
            yield sound


def _length(piece: Piece) -> float:
    """Seconds of a piece; none if it has not two channels or cannot be read."""
    try:
        info = soundfile.info(piece.path)
    except soundfile.LibsndfileError:
        return 0.0
    if info.channels != 2:
        return 0.0
    whole = max(0.0, info.frames / info.samplerate - piece.offset)
    return whole if piece.seconds is None else min(whole, piece.seconds)
