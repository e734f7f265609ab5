"""One clip through one codec: the unit of work of a sweep."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from eval import corpus
from eval.audio import RATE, Audio, columns, resample
from eval.codecs import Codec
from eval.corpus import Clip
from eval.errors import CodecError, Unavailable
from eval.metrics import Metric, comparable


@dataclass(frozen=True)
class Measurement:
    """What came of one clip at one operating point.

    `bytes` is the length of the coded file, None for anchors, which have no rate. `metrics` maps names to
    values, None where a metric is not defined for the pair; `notes` says why a metric failed. With `error`
    set the codec failed on the clip and there is nothing else.
    """

    seconds: float = 0.0
    channels: int = 0
    bytes: int | None = None
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0
    facts: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The measurement as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Measurement:
        """The inverse of `to_json`."""
        return cls(**values)


def measure(clip: Clip, codec: Codec, metrics: Sequence[Metric]) -> Measurement:
    """Codes and decodes a clip and measures the result with all `metrics`, whatever the clip's kind.

    A clip that cannot be read, a codec that fails on it or returns another length, and a metric that fails
    are recorded, not raised: a sweep goes on. Only Unavailable passes through, since it would fail
    everywhere.
    """
    try:
        wav = _read(clip)
        codec.prepare()
        started = time.perf_counter()
        data = codec.encode(wav, RATE)
        encoded = time.perf_counter()
        decoded, rate = codec.decode(data)
        done = time.perf_counter()
        decoded = resample(columns(decoded), rate, RATE)
        _demand_equal_shape(wav, decoded)
        facts = dict(codec.facts(data)) if codec.rated else {}
    except Unavailable:
        raise
    except Exception as error:  # whatever a foreign codec throws
        return Measurement(error=f"{type(error).__name__}: {error}")
    values, notes = _apply(metrics, wav, decoded)
    return Measurement(
        seconds=len(wav) / RATE,
        channels=wav.shape[1],
        bytes=len(data) if codec.rated else None,
        encode_seconds=encoded - started,
        decode_seconds=done - encoded,
        facts=facts,
        metrics=values,
        notes=notes,
    )


def _apply(
    metrics: Sequence[Metric], wav: Audio, decoded: Audio
) -> tuple[dict[str, float | None], dict[str, str]]:
    values: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    for metric in metrics:
        try:
            values[metric.name] = metric(wav, decoded, RATE)
        except Unavailable:
            raise
        except Exception as error:
            values[metric.name] = None
            notes[metric.name] = f"{type(error).__name__}: {error}"
    return values, notes


def _demand_equal_shape(wav: Audio, decoded: Audio) -> None:
    try:
        comparable(wav, decoded)
    except ValueError as error:
        raise CodecError(str(error)) from error


@lru_cache(maxsize=1)
def _read(clip: Clip) -> Audio:
    """The clip's samples, kept while one clip goes through many operating points."""
    wav = corpus.read(clip)
    wav.flags.writeable = False
    return wav
