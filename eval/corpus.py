"""A corpus: a folder of sounds, or a manifest, as a list of clips with kinds."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.audio import RATE, Audio, resample
from eval.errors import CorpusError

MANIFEST = "manifest.csv"
SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".caf", ".w64", ".au"}
)
UNNAMED_KIND = "all"


@dataclass(frozen=True)
class Clip:
    """One sound of a corpus.

    `name` is its path inside the corpus with forward slashes, the same on every machine; `kind` is the group
    that it is reported under ("speech", "music", ...).
    """

    path: Path
    kind: str
    name: str


def load(data: str | Path) -> list[Clip]:
    """The clips of `data`, in a fixed order.

    `data` is a manifest (a CSV with a header line and at least the columns `file` and `kind`, paths relative
    to the manifest) or a folder. A folder that holds a manifest.csv is read through it. Otherwise every sound
    below the folder is a clip, whose kind is the name of the first sub-folder, or "all" where there is none.

    Raises CorpusError when nothing is there, when a manifest lacks a column or when it names a missing file.
    """
    data = Path(data)
    if data.is_file():
        clips = _from_manifest(data)
    elif (data / MANIFEST).is_file():
        clips = _from_manifest(data / MANIFEST)
    elif data.is_dir():
        clips = _from_folder(data)
    else:
        raise CorpusError(f"{data}: neither a folder nor a manifest")
    if not clips:
        raise CorpusError(f"{data}: no sound in it (looked for {', '.join(sorted(SUFFIXES))})")
    return clips


def read(clip: Clip) -> Audio:
    """The clip's samples, float32 [n, ch] at 48 kHz; CorpusError when unreadable, empty or not finite.

    The message names the clip by its name, since it goes into records, which name no machine's folders.
    """
    import soundfile

    try:
        wav, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        said = str(error).replace(str(clip.path), clip.path.name)
        raise CorpusError(f"{clip.name}: not readable as sound ({said})") from error
    if not len(wav):
        raise CorpusError(f"{clip.name}: no samples")
    if not np.isfinite(wav).all():
        raise CorpusError(f"{clip.name}: samples that are not finite")
    return resample(wav, rate, RATE)


def _from_manifest(manifest: Path) -> list[Clip]:
    # utf-8-sig: spreadsheets put a byte order mark in front, which would otherwise become part of "file".
    with manifest.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = {"file", "kind"} - set(rows.fieldnames or ())
        if missing:
            raise CorpusError(f"{manifest}: no column {' and no column '.join(sorted(missing))}")
        clips = []
        for row in rows:
            path = manifest.parent / row["file"]
            if not path.is_file():
                raise CorpusError(f"{manifest}, line {rows.line_num}: no file {path}")
            clips.append(Clip(path, row["kind"] or UNNAMED_KIND, Path(row["file"]).as_posix()))
    return clips


def _from_folder(folder: Path) -> list[Clip]:
    clips = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        inside = path.relative_to(folder)
        kind = inside.parts[0] if len(inside.parts) > 1 else UNNAMED_KIND
        clips.append(Clip(path, kind, inside.as_posix()))
    return clips
