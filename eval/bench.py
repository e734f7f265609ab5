"""Speed and memory of the codec on this machine: repeated runs, medians with their spread, everything as JSON.

Speeds are multiples of real time and never count start-up, which stands on its own. Whatever else the machine is doing
is in the figures: each run's load average is recorded beside them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval import provenance
from eval.audio import RATE, Audio

SCHEMA = "ravecodec-bench"
VERSION = 1
DTYPES = ("fp32", "bf16")

# Run in a process of its own, which prints a JSON object: what it took and the most memory it held.
_START = """
import json, resource, sys, time
began = time.perf_counter()
import ravecodec
imported = time.perf_counter()
codec = ravecodec.load(sys.argv[1])
loaded = time.perf_counter()
import numpy as np
seconds = float(sys.argv[2])
if seconds:
    sound = 0.1 * np.random.default_rng(0).standard_normal(int(48000 * seconds)).astype(np.float32)
    codec.decode(codec.encode(sound, 48000))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"import": imported - began, "load": loaded - imported, "peak_bytes": peak}))
"""


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of repeated figures."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


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
    sound = example(seconds)
    codec = ravecodec.load(model)
    cases = []
    for count in threads:
        for dtype in dtypes:
            progress(f"{model}: {count} threads, {dtype}")
            with _configured(count, dtype):
                cases.append(_case(codec, model, sound, count, dtype, repeats))
        for name in beside:
            progress(f"{name}: {count} threads, random weights")
            with _configured(count, "fp32"):
                cases.append(_other(name, sound, count, repeats))
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
        "start": {k: asdict(v) for k, v in start(model, min(repeats, 3)).items()},
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

    data = codec.encode(sound, RATE)
    reader = Reader.from_bytes(data, codec.tables)
    packets = [packet.codes for packet in reader.packets() if packet.codes is not None]

    def encode() -> None:
        with Writer(io.BytesIO(), reader.header, codec.tables) as writer:
            for codes in packets:
                writer.write(codes)

    def decode() -> None:
        for _ in Reader.from_bytes(data, codec.tables).packets():
            pass

    seconds = len(sound) / RATE
    return {
        name: Spread.of([seconds / taken for taken in _times(work, repeats)])
        for name, work in (("encode", encode), ("decode", decode))
    }


def start(model: str, repeats: int) -> dict[str, Spread]:
    """Seconds to import and to load, and peak memory (bytes) after loading and after coding ten seconds, in processes
    of their own."""
    idle = [_process(model, 0) for _ in range(repeats)]
    busy = [_process(model, 10) for _ in range(repeats)]
    return {
        "import_seconds": Spread.of([run["import"] for run in idle]),
        "load_seconds": Spread.of([run["load"] for run in idle]),
        "loaded_bytes": Spread.of([run["peak_bytes"] for run in idle]),
        "peak_bytes": Spread.of([run["peak_bytes"] for run in busy]),
    }


def text(results: dict[str, Any]) -> str:
    """The figures as a table for people."""
    from eval.table import align

    def shown(value: dict[str, float] | None, scale: float = 1.0, unit: str = "×") -> str:
        if value is None:
            return "–"
        return f"{value['median'] * scale:.3g} ({value['low'] * scale:.3g} to {value['high'] * scale:.3g}) {unit}"

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
        ["load the model", shown(begin["load_seconds"], unit="s")],
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

    seconds = len(sound) / RATE
    data = codec.encode(sound, RATE)

    def first_packet() -> None:
        out = _FirstPacket()
        with suppress(_Enough):
            codec.encode_stream(iter([sound]), RATE, 1, out)

    def first_sound() -> None:
        next(codec.decode_stream(io.BytesIO(data)).blocks)

    def speed(work: Callable[[], object]) -> Spread:
        return Spread.of([seconds / taken for taken in _times(work, repeats)])

    return Case(
        name,
        threads,
        dtype,
        encode=speed(lambda: codec.encode(sound, RATE)),
        decode=speed(lambda: codec.decode(data)),
        first_packet=Spread.of(_times(first_packet, repeats)),
        first_sound=Spread.of(_times(first_sound, repeats)),
    )


def _other(name: str, sound: Audio, threads: int, repeats: int) -> Case:
    from eval import codecs

    codec = codecs.create(name, {"random_weights": True})
    codec.prepare()
    data = codec.encode(sound, RATE)
    seconds = len(sound) / RATE

    def speed(work: Callable[[], object]) -> Spread:
        return Spread.of([seconds / taken for taken in _times(work, repeats)])

    return Case(
        f"{name} (random weights)",
        threads,
        "fp32",
        encode=speed(lambda: codec.encode(sound, RATE)),
        decode=speed(lambda: codec.decode(data)),
    )


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


def _process(model: str, seconds: float) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _START, model, str(seconds)], capture_output=True, text=True, timeout=600, check=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result

