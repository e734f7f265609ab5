"""One clip through one codec: the unit of work of a sweep."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
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
    values, None where a metric is not defined for the pair; `notes` says why a metric failed, and
    `metric_seconds` what each cost in processor time. With `error` set the codec failed on the clip and there is
    nothing else.
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
    metric_seconds: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The measurement as plain JSON values; without `metric_seconds` where it is empty."""
        values = asdict(self)
        if not self.metric_seconds:
            del values["metric_seconds"]
        return values

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
    *_, last = stages(clip, codec, metrics)
    return last


def stages(clip: Clip, codec: Codec, metrics: Sequence[Metric]) -> Iterator[Measurement]:
    """What `measure` does, a step at a time: what is known after coding, and again after each metric."""
    try:
        wav = _read(clip)
        codec.prepare()
        started = time.perf_counter()
        data = codec.encode(wav, RATE)
        encoded = time.perf_counter()
        decoded, rate = codec.decode(data)
        done = time.perf_counter()
        decoded = codec.fit(resample(columns(decoded), rate, RATE), len(wav))
        _demand_equal_shape(wav, decoded)
        facts = dict(codec.facts(data)) if codec.rated else {}
    except Unavailable:
        raise
    except Exception as error:  # whatever a foreign codec throws
        yield Measurement(error=f"{type(error).__name__}: {error}")
        return
    known = Measurement(
        seconds=len(wav) / RATE,
        channels=wav.shape[1],
        bytes=len(data) if codec.rated else None,
        encode_seconds=encoded - started,
        decode_seconds=done - encoded,
        facts=facts,
    )
    yield known
    for metric in metrics:
        known = _with(known, metric, wav, decoded)
        yield known


def unfinished(known: Measurement, metrics: Sequence[Metric], reason: str) -> Measurement:
    """A measurement whose work was cut short: the metrics that it lacks are missing, for `reason`."""
    missing = [metric.name for metric in metrics if metric.name not in known.metrics]
    values = {**known.metrics, **dict.fromkeys(missing)}
    return replace(known, metrics=values, notes={**known.notes, **dict.fromkeys(missing, reason)})


def _with(known: Measurement, metric: Metric, wav: Audio, decoded: Audio) -> Measurement:
    """What is known, and one metric more."""
    started = time.process_time()  # other work on the machine does not count
    try:
        value = metric(wav, decoded, RATE)
    except Unavailable:
        raise
    except Exception as error:
        return unfinished(known, [metric], f"{type(error).__name__}: {error}")
    seconds = {**known.metric_seconds, metric.name: time.process_time() - started}
    return replace(known, metrics={**known.metrics, metric.name: value}, metric_seconds=seconds)


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
