"""Latents as arrays: of a sound, of a coded file, and back to sound.

    from ravecodec import latents

    z = latents.encode(codec, audio, rate)        # float32 [channels, latents, frames]
    z, header = latents.read(codec, data)         # those that an .rvc file holds, rounded
    audio, rate = latents.decode(codec, z, header)
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np

from bitstream import Header, Layout

from .analysis import Analysis
from .audio import Samples, as_samples, check_channels, check_rate
from .codec import Codec
from .errors import UsageError
from .synthesis import Synthesis

__all__ = ["decode", "encode", "read"]


def encode(codec: Codec, audio: Any, rate: int) -> np.ndarray:
    """Posterior means [channels, latents, frames], float32, of sound [n] or [n, channels] at `rate` Hz.

    Each channel's are its own. A frame is `codec.hop` samples at `codec.rate`. Raises AudioError and UsageError.
    """
    samples = as_samples(audio)
    check_rate(rate)
    check_channels(samples.shape[1])
    return np.concatenate(list(Analysis(codec.network).latents([samples], rate, samples.shape[1])), 2)


def read(codec: Codec, data: bytes) -> tuple[np.ndarray, Header]:
    """The latents [channels, latents, frames], float32, that the bytes of an .rvc file hold, and its header.

    What was not sent is the mean. CorruptError if packets are damaged or missing, ModelError for another model's file.
    """
    reader = codec.reader(io.BytesIO(data))
    header, parts = reader.header, []
    synthesis = Synthesis(codec.network, codec.basis, header)
    for packet in reader.packets():
        if packet.codes is not None:
            parts.append(synthesis.latents(synthesis.components(packet.codes, packet.coarser)))
    reader.report.raise_if_damaged()
    return np.concatenate([np.zeros((header.channels, codec.latents, 0), np.float32), *parts], 2), header


def decode(codec: Codec, latents: np.ndarray, header: Header | None = None) -> tuple[Samples, int]:
    """Sound, float32 [n] (mono) or [n, channels], of latents [channels, latents, frames], and its rate in Hz.

    With the `header` of the file that they were read from it is that file's sound, with what fills up its last frame:
    the header says how coarse they are (packets that a cap made coarser still are taken for as fine), how channels
    belong together, and the seed of the noise. UsageError for an array that cannot be latents of this model.
    """
    try:
        latents = np.asarray(latents, np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"latents are an array of numbers ({error})") from error
    if latents.ndim != 3 or latents.shape[1] != codec.latents or not latents.size or not np.isfinite(latents).all():
        raise UsageError(f"latents of model {codec.name!r} are finite numbers [channels, {codec.latents}, frames]")
    channels = check_channels(len(latents))
    if header is None:
        layout = Layout.MONO if channels == 1 else Layout.DISCRETE
        header = Header(
            components=codec.latents, channels=channels, layout=layout, source_rate=codec.rate,
            step=int(codec.tables.steps.min()), model_name=codec.name, model_id=codec.model_id,
            tables_id=codec.tables_id, rate=codec.rate, hop=codec.hop, latents=codec.latents,
        )  # fmt: skip
    elif header.channels != channels:
        raise UsageError(f"the header is that of {header.channels} channel(s), not of {channels}")
    codec.check(header)
    header = replace(header, components=codec.latents, fidelity=None)
    values = np.stack([codec.basis.rotate(channel.astype(np.float64), codec.latents).T for channel in latents])
    blocks = Synthesis(codec.network, codec.basis, header).sound_of(values)
    audio = np.concatenate(list(blocks))[codec.network.delay :]
    return (audio[:, 0] if channels == 1 else audio), codec.rate
