"""`ravecodec prepare`: any folder tree of audio to a training store."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from .store import FORMAT, INDEX, SKIPPED, SOUND, _whole_lines

UNREADABLE = (OSError, ValueError, soundfile.LibsndfileError)
SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".w64", ".rf64", ".caf"}


@dataclass(frozen=True)
class Piece:
    """A span of a source file: `seconds` None means to its end."""

    path: Path
    kind: str
    offset: float = 0.0
    seconds: float | None = None

    @property
    def key(self) -> str:
        """What the index remembers of it."""
        return f"{self.path.as_posix()}@{self.offset:g}"


@dataclass(frozen=True)
class PrepareResult:
    """What `prepare` did: pieces taken now, taken before, skipped; seconds in the store."""

    added: int
    kept: int
    skipped: int
    seconds: float


def pieces(source: Path) -> Iterator[Piece]:
    """Every audio file under `source`; where a folder has a manifest.csv (file, kind[, offset, seconds]), what it
    lists."""
    listed: set[Path] = set()
    for manifest in sorted(source.rglob("manifest.csv")):
        listed.add(manifest.parent)
        with manifest.open(encoding="utf-8", newline="") as f:
            for row in csv.DictReader(f):
                seconds = float(row["seconds"]) if "offset" in row and row.get("seconds") else None
                yield Piece(manifest.parent / row["file"], row.get("kind") or "all", float(row.get("offset")
                or 0), seconds)
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not any(parent in listed for parent in path.parents):
            relative = path.relative_to(source)
            yield Piece(path, relative.parts[0] if len(relative.parts) > 1 else "all")


def prepare(
    source: Path,
    folder: Path,
    rate: int = 48000,
    minimum_seconds: float = 0.25,
    progress: Callable[[list[Piece]], Iterator[Piece]] = iter,
) -> PrepareResult:
    """Bring all sound under `source` to mono 16-bit at `rate` Hz in the store `folder`; a run cut short goes on.

    Unreadable or too short pieces are listed in the store's skipped.csv and do not stop the rest. Raises
    FileNotFoundError when there is no audio, ValueError when the store was made at another rate.
    """
    todo = list(pieces(source))
    if not todo:
        raise FileNotFoundError(f"{source}: no audio found below this folder")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / FORMAT).exists():
        if json.loads((folder / FORMAT).read_text())["rate"] != rate:
            raise ValueError(f"{folder}: this store has another rate; choose another folder")
    else:
        (folder / FORMAT).write_text(json.dumps({"format": 1, "rate": rate}))
    done, end = _recover(folder)
    added = kept = skipped = 0
    with (
        (folder / SOUND).open("ab") as sound,
        (folder / INDEX).open("a", encoding="utf-8") as index,
        (folder / SKIPPED).open("w", encoding="utf-8", newline="") as failures,
    ):
        report = csv.writer(failures)
        report.writerow(["file", "why"])
        for piece in progress(todo):
            if piece.key in done:
                kept += 1
                continue
            try:
                samples = np.round(np.clip(read(piece, rate, mono=True), -1, 1) * 32767).astype("<i2")
                if len(samples) < minimum_seconds * rate:
                    raise ValueError(f"shorter than {minimum_seconds} s")
            except UNREADABLE as error:
                report.writerow([piece.key, str(error)])
                skipped += 1
                continue
            sound.write(samples.tobytes())
            sound.flush()
            os.fsync(sound.fileno())
            # The line comes after its samples: a killed run leaves at worst samples without a line.
            entry = {"source": piece.key, "kind": piece.kind, "start": end, "length": len(samples)}
            index.write(json.dumps(entry, ensure_ascii=False) + "\n")
            index.flush()
            end += len(samples)
            added += 1
    return PrepareResult(added, kept, skipped, end / rate)


def _recover(folder: Path) -> tuple[set[str], int]:
    """Sources already in the store and its true end; cuts off what a killed run left behind."""
    if not (folder / INDEX).exists():
        (folder / SOUND).write_bytes(b"")
        return set(), 0
    lines = _whole_lines(folder / INDEX)
    entries = [json.loads(line) for line in lines]
    end = max((e["start"] + e["length"] for e in entries), default=0)
    (folder / INDEX).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    os.truncate(folder / SOUND, 2 * end)
    return {e["source"] for e in entries}, end


def read(piece: Piece, rate: int, mono: bool) -> np.ndarray:
    """Samples of a piece at `rate` Hz, float32 [n] or, not `mono`, [n, channels]; an error of `UNREADABLE`."""
    with soundfile.SoundFile(piece.path) as file:
        file.seek(min(round(piece.offset * file.samplerate), file.frames))
        count = -1 if piece.seconds is None else round(piece.seconds * file.samplerate)
        audio = file.read(count, dtype="float32", always_2d=True)
        if mono:
            audio = audio.mean(1)
        if file.samplerate != rate:
            audio = soxr.resample(audio, file.samplerate, rate)
    if not np.isfinite(audio).all():
        raise ValueError("contains NaN or infinite samples")
    return audio
