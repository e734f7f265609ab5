"""Speed and memory of the codec on this machine: repeated runs, medians with their spread, everything as JSON.

Speeds are multiples of real time and never count start-up, which stands on its own. Whatever else the machine is doing
is in the figures: each run's load average is recorded beside them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval import provenance, startup
from eval.audio import RATE, Audio
from eval.errors import EvalError
from eval.spread import Spread

SCHEMA = "ravecodec-bench"
VERSION = 1
DTYPES = ("fp32", "bf16")


@dataclass(frozen=True)
class Case:
    """Speeds (multiples of real time) and latencies (seconds to the first bytes or sound) of one configuration."""

    codec: str
    threads: int
    dtype: str
    encode: Spread
    decode: Spread
    first_packet: Spread | None = None
    first_sound: Spread | None = None


def bench(
    model: str = "default",
    seconds: float = 30.0,
    threads: Sequence[int] = (1, 2),
    dtypes: Sequence[str] = DTYPES,
    repeats: int = 5,
    beside: Sequence[str] = (),
    progress: Callable[[str], object] = lambda line: None,
) -> dict[str, Any]:
    """Measure a model; returns plain JSON values.

    `seconds` of synthetic mono sound are coded `repeats` times after a warm-up, for each thread count and dtype.
    `beside` names other neural codecs of eval.codecs, run with random weights on the same sound and threads: their
    speed can be compared, their sound not. Raises EvalError and the codec's own errors.
    """
    import ravecodec
    from ravecodec.memory import keep_freed_memory

    keep_freed_memory()
    others = {name: _untrained(name) for name in beside}  # what is missing is said before anything is measured
    sound = example(seconds)
    codec = ravecodec.load(model)
    cases = []
    for count in threads:
        for dtype in dtypes:
            progress(f"{model}: {count} threads, {dtype}")
            with _configured(count, dtype):
                cases.append(_case(codec, model, sound, count, dtype, repeats))
        for name, other in others.items():
            progress(f"{name}: {count} threads, random weights")
            with _configured(count, "fp32"):
                cases.append(Case(f"{name} (random weights)", count, "fp32", *_speeds(other, sound, repeats)))
    progress("entropy coding, start-up, memory")
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "model": model,
        "model_id": codec.model_id.hex(),
        "seconds": seconds,
        "repeats": repeats,
        "load_average": os.getloadavg(),
        "machine": provenance.machine(),
        "packages": provenance.packages(),
        "git": provenance.commit(),
        "cases": [asdict(case) for case in cases],
        "entropy_coding": {k: asdict(v) for k, v in entropy_coding(codec, sound, repeats).items()},
        "start": {k: asdict(v) for k, v in startup.measure(model, min(repeats, 3)).items()},
    }


def example(seconds: float) -> Audio:
    """Mono sound [n, 1] with pitch, silence and noise in it, by formula: syllables of a gliding harmonic tone."""
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = 140 + 40 * np.sin(2 * np.pi * 0.4 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = np.add.reduce([np.sin(k * phase) / k for k in range(1, 20)])
    noise = np.random.default_rng(0).standard_normal(len(t))
    beat = np.clip(np.sin(2 * np.pi * 2.3 * t), 0, 1)
    return (0.15 * beat * voice + 0.02 * (1 - beat) * noise)[:, None].astype(np.float32)


def entropy_coding(codec: Any, sound: Audio, repeats: int) -> dict[str, Spread]:
    """Speed of the range coder alone (no network), as multiples of real time, with the components in use."""
    import io

    from bitstream import Reader, Writer
    from bitstream.content import batches

    data = codec.encode(sound, RATE)
    reader = Reader.from_bytes(data, codec.tables)
    packets = [packet.codes for packet in reader.packets() if packet.codes is not None]

    def encode() -> None:
        with Writer(io.BytesIO(), reader.header, codec.tables) as writer:
            for group in batches(packets, reader.header):
                writer.write_all(group)

    def decode() -> None:
        for _ in Reader.from_bytes(data, codec.tables).packets():
            pass

    seconds = len(sound) / RATE
    return {
        name: Spread.of([seconds / taken for taken in _times(work, repeats)])
        for name, work in (("encode", encode), ("decode", decode))
    }


def text(results: dict[str, Any]) -> str:
    """The figures as a table for people."""
    from eval.table import align

    def shown(value: dict[str, float] | None, scale: float = 1.0, unit: str = "×") -> str:
        if value is None:
            return "–"
        median, low, high = (_digits(value[name] * scale) for name in ("median", "low", "high"))
        return f"{median} ({low} to {high}) {unit}"

    head = ["codec", "threads", "dtype", "encode", "decode", "first packet", "first sound"]
    rows = [
        [
            case["codec"], str(case["threads"]), case["dtype"], shown(case["encode"]), shown(case["decode"]),
            shown(case["first_packet"], 1000, "ms"), shown(case["first_sound"], 1000, "ms"),
        ]
        for case in results["cases"]
    ]  # fmt: skip
    begin, coding = results["start"], results["entropy_coding"]
    other = [
        ["entropy coding alone", f"encode {shown(coding['encode'])}, decode {shown(coding['decode'])}"],
        ["import", shown(begin["import_seconds"], unit="s")],
        ["load torch and the model", shown(begin["load_seconds"], unit="s")],
        ["memory, loaded", shown(begin["loaded_bytes"], 1e-6, "MB")],
        ["memory, ten seconds coded", shown(begin["peak_bytes"], 1e-6, "MB")],
        ["load average", f"{results['load_average'][0]:.2f}"],
    ]
    title = (
        f"{results['seconds']:g} s of mono sound, medians of {results['repeats']} runs (smallest to largest), "
        "multiples of real time"
    )
    width = max(len(name) for name, _ in other)
    return "\n".join([title, "", align([head, *rows]), "", *(f"{n.ljust(width)}  {v}" for n, v in other)]) + "\n"


@contextmanager
def _configured(threads: int, dtype: str) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            yield
    finally:
        torch.set_num_threads(before)


def _case(codec: Any, name: str, sound: Audio, threads: int, dtype: str, repeats: int) -> Case:
    import io

    data = codec.encode(sound, RATE)

    def first_packet() -> None:
        out = _FirstPacket()
        with suppress(_Enough):
            codec.encode_stream(iter([sound]), RATE, 1, out)

    def first_sound() -> None:
        next(codec.decode_stream(io.BytesIO(data)).blocks)

    first = (Spread.of(_times(work, repeats)) for work in (first_packet, first_sound))
    return Case(name, threads, dtype, *_speeds(codec, sound, repeats), *first)


def _speeds(codec: Any, sound: Audio, repeats: int) -> tuple[Spread, Spread]:
    """Encoding and decoding, as multiples of real time."""
    data, seconds = codec.encode(sound, RATE), len(sound) / RATE
    encode, decode = (
        Spread.of([seconds / taken for taken in _times(work, repeats)])
        for work in (lambda: codec.encode(sound, RATE), lambda: codec.decode(data))
    )
    return encode, decode


def _untrained(name: str) -> Any:
    """A codec of others with random weights; EvalError for one that has none to draw."""
    from eval import codecs

    try:
        codec = codecs.create(name, {"random_weights": True})
    except TypeError as error:
        raise EvalError(f"{name} is no neural codec: there are encodec, dac and snac") from error
    codec.prepare()
    return codec


def _digits(value: float) -> str:
    """Three digits that count, never an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _times(work: Callable[[], object], repeats: int) -> list[float]:
    work()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken


class _Enough(Exception):
    """The first packet is there."""


class _FirstPacket:
    """A file that stops its writer with the first packet; the header comes as the first write."""

    def __init__(self) -> None:
        self._writes = 0

    def write(self, data: bytes) -> int:
        self._writes += 1
        if self._writes > 1:
            raise _Enough
        return len(data)

    def flush(self) -> None:
        pass

    def seekable(self) -> bool:
        return False
