"""A demonstration: one sound to .rvc and back, with the figures and the picture that show what became of it.

python -m eval.demo IN.wav OUTDIR [--model NAME]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from eval import spectrogram, table
from eval.audio import RATE, Audio, columns, resample
from eval.errors import CorpusError, EvalError
from eval.metrics import METRICS
from ravecodec.memory import keep_freed_memory

T = TypeVar("T")
REPEATS = 3
WARM_UP_SECONDS = 2.0


@dataclass(frozen=True)
class Demo:
    """What came of a demonstration; speeds are multiples of real time without start-up."""

    seconds: float
    channels: int
    source_rate: int
    file_bytes: int
    kbps: float
    compression_ratio: float
    spectral_distance: float
    encode_speed: float
    decode_speed: float
    load_seconds: float
    coded: Path
    decoded: Path
    picture: Path


def demonstrate(source: Path, out: Path, model: str = "default", **settings: Any) -> Demo:
    """Encodes and decodes a sound; writes STEM.rvc, STEM.decoded.wav and STEM.png into `out`.

    `settings` go to the codec's encode (fidelity, components, step). The compression ratio is against 16-bit
    PCM at the source's rate and channels; the spectral distance is taken at 48 kHz; each speed is the median
    of three runs after one on the first two seconds. Raises CorpusError for a sound that cannot be read.
    """
    import soundfile

    started = time.perf_counter()
    import ravecodec

    codec = ravecodec.load(model)
    load_seconds = time.perf_counter() - started

    try:
        wav, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise CorpusError(f"{source}: not readable as sound ({error})") from error
    if not len(wav):
        raise CorpusError(f"{source}: no samples")
    seconds = len(wav) / rate

    warm_up = wav[: int(WARM_UP_SECONDS * rate)]
    codec.decode(codec.encode(warm_up, rate, **settings))
    data, encode_seconds = _timed(lambda: codec.encode(wav, rate, **settings))
    (decoded, decoded_rate), decode_seconds = _timed(lambda: codec.decode(data))

    original, decoded = resample(wav, rate, RATE), resample(columns(decoded), decoded_rate, RATE)
    distance = _distance(original, decoded)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{source.stem}{suffix}" for suffix in (".rvc", ".decoded.wav", ".png")]
    paths[0].write_bytes(data)
    soundfile.write(paths[1], np.clip(decoded, -1.0, 1.0), RATE, subtype="PCM_16")
    kbps = 8 * len(data) / seconds / 1000
    titles = (f"Original: {source.name}", f"Decoded: {len(data):,} bytes, {kbps:.2f} kbit/s")
    spectrogram.draw(original, decoded, paths[2], titles=titles)
    return Demo(
        seconds=seconds,
        channels=wav.shape[1],
        source_rate=rate,
        file_bytes=len(data),
        kbps=kbps,
        compression_ratio=wav.size * 2 / len(data),
        spectral_distance=distance,
        encode_speed=seconds / encode_seconds,
        decode_speed=seconds / decode_seconds,
        load_seconds=load_seconds,
        coded=paths[0],
        decoded=paths[1],
        picture=paths[2],
    )


def report(demo: Demo) -> str:
    """The demonstration as the lines that are printed."""
    pcm = f"16-bit PCM, {demo.source_rate} Hz, {demo.channels} channel{'s' if demo.channels > 1 else ''}"
    rows = [
        ("file", f"{demo.file_bytes:,} bytes", f"for {demo.seconds:.2f} s of sound"),
        ("bitrate", f"{demo.kbps:.2f} kbit/s", "the whole file over its duration"),
        ("compression", f"{demo.compression_ratio:.0f} : 1", f"against {pcm}"),
        ("spectral distance", f"{demo.spectral_distance:.2f}", "0 is identical, lower is better"),
        ("encoding", f"{demo.encode_speed:.0f} × real time", "start-up not counted"),
        ("decoding", f"{demo.decode_speed:.0f} × real time", "start-up not counted"),
        ("start-up", f"{demo.load_seconds:.2f} s", "importing and loading the model, once"),
    ]
    figures = table.align([row[:2] for row in rows]).splitlines()
    lines = [f"{figure}   {row[2]}" for figure, row in zip(figures, rows, strict=True)]
    places = [("coded", demo.coded), ("decoded", demo.decoded), ("spectrogram", demo.picture)]
    width = max(len(row[0]) for row in rows)
    return "\n".join([*lines, "", *(f"{name:{width}}  {path}" for name, path in places)]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """python -m eval.demo: see --help."""
    parser = argparse.ArgumentParser(prog="python -m eval.demo", description="One sound to .rvc and back.")
    parser.add_argument("source", type=Path, metavar="IN", help="a sound file")
    parser.add_argument(
        "out", type=Path, metavar="OUTDIR", help="folder for the coded, decoded and drawn sound"
    )
    parser.add_argument("--model", default="default", help="a shipped model's name, or a model file")
    given = parser.parse_args(arguments)
    keep_freed_memory()  # as the command line does
    try:
        demo = demonstrate(given.source, given.out, given.model)
    except EvalError as error:
        print(f"eval.demo: {error}", file=sys.stderr)
        return 1
    print(report(demo), end="")
    return 0


def _distance(original: Audio, decoded: Audio) -> float:
    value = METRICS["spectral_distance"](original, decoded)
    assert value is not None  # it is defined for every pair of sounds
    return value


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result of some work and the median of the seconds it took."""
    spent = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = work()
        spent.append(time.perf_counter() - started)
    return result, statistics.median(spent)


if __name__ == "__main__":
    sys.exit(main())
