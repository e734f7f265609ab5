"""Coded files as arrays: read, write and info in the manner of python-soundfile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ravecodec.audio import Samples, as_samples, check_rate
from ravecodec.destination import replacing
from ravecodec.errors import PathLike
from ravecodec.files import Rate, cached_codec, damage
from ravecodec.registry import DEFAULT, find, find_for
from ravecodec.streams import name_of, open_coded, peek_header

if TYPE_CHECKING:
    from bitstream import FileInfo


def read(
    file: PathLike | BinaryIO, *, rate: Rate = None, model: PathLike | None = None, always_2d: bool = False
) -> tuple[Samples, int]:
    """Decode an .rvc file into an array, float32 [n] (mono) or [n, channels], and its rate in Hz.

    Args:
        file: a path, an open binary file, or a URL that fsspec knows.
        rate: None for 48 kHz, "source" for the rate of the sound that was coded, or Hz.
        model: a model's name or path; by default the one the file names.
        always_2d: return [n, 1] for mono.

    Raises:
        bitstream.CorruptError: packets are damaged or missing; `decode_file` conceals them and says so.
    """
    with open_coded(file) as opened:
        header, stream = peek_header(opened)
        found = find_for(header) if model is None else find(model)
        sound = cached_codec(found).decode_stream(stream, rate=rate)
        blocks = list(sound.blocks)
    faults = damage(sound.report)
    if faults:
        from bitstream.errors import CorruptError

        raise CorruptError(f"{name_of(file)}: {faults}")
    audio = np.concatenate(blocks) if blocks else np.zeros((0, sound.channels), np.float32)
    return (audio[:, 0] if sound.channels == 1 and not always_2d else audio), sound.rate


def write(
    file: PathLike,
    audio: Any,
    rate: int,
    *,
    model: PathLike = DEFAULT,
    fidelity: float | None = None,
    components: int | None = None,
    step: int | None = None,
    rule: str = "sigma",
    tags: Mapping[str, str] | None = None,
) -> None:
    """Encode an array into an .rvc file, replacing it whole.

    Args:
        audio: [n] or [n, channels]; floating point with full scale 1, or signed integers.
        rate: of the array, in Hz.
        model: a model's name or path.
        fidelity, components, step, rule, tags: as for `Codec.encode`.
    """
    samples = as_samples(audio)
    codec = cached_codec(find(model))
    with replacing(file) as out:
        codec.encode_stream(
            [samples], check_rate(rate), samples.shape[1], out, samples=len(samples),
            fidelity=fidelity, components=components, step=step, rule=rule, tags=tags,
        )  # fmt: skip


def info(file: PathLike | BinaryIO) -> FileInfo:
    """What an .rvc file (or URL, or open file) holds: its header, sizes and bitrates; needs no torch and no model."""
    import bitstream

    with open_coded(file) as stream:
        return bitstream.info(stream)
