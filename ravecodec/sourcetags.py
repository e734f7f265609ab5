"""The tags of a sound file that its coded file carries on: title, artist and the like, never pictures or lyrics."""

from __future__ import annotations

import os
from typing import Any

from ravecodec.errors import PathLike

MAX_VALUE = 256  # bytes of one value; what is longer is left out
MAX_TAGS = 1024  # bytes of all of them
KEYS = (
    "title", "artist", "album", "albumartist", "composer", "conductor", "performer", "tracknumber", "discnumber",
    "date", "genre", "copyright", "license", "isrc", "comment",
)  # fmt: skip
# What ID3 calls them, in files whose tags mutagen gives as they are: WAV and AIFF.
_ID3 = {
    "TIT2": "title", "TPE1": "artist", "TALB": "album", "TPE2": "albumartist", "TCOM": "composer", "TPE3": "conductor",
    "TRCK": "tracknumber", "TPOS": "discnumber", "TDRC": "date", "TCON": "genre", "TCOP": "copyright", "TSRC": "isrc",
    "COMM": "comment",
}  # fmt: skip


def tags_of(file: PathLike) -> dict[str, str]:
    """Tags of a sound file, by the names of Vorbis comments; empty if it has none that can be read.

    Values longer than 256 bytes are left out, and what follows once all have 1024 bytes.
    """
    found, room = {}, MAX_TAGS
    tags = _read(os.fspath(file))
    for key in KEYS:
        value = " ".join(tags.get(key, "").replace("\0", " ").split())
        size = len(value.encode("utf-8", "surrogatepass"))
        if value and value.isprintable() and size <= min(MAX_VALUE, room):
            found[key] = value
            room -= size
    return found


def _read(file: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for key, value in _items(file):
        name = _ID3.get(str(key)[:4].upper(), str(key).lower())
        values = getattr(value, "text", value)
        parts = [str(v) for v in values] if isinstance(values, (list, tuple)) else [str(values)]
        tags.setdefault(name, ", ".join(parts))
    return tags


def _items(file: str) -> list[tuple[Any, Any]]:
    """Names and values as the file's format has them: by mutagen, or the few that libsndfile knows."""
    try:  # tags are a courtesy: whatever is wrong with them, the sound is coded
        try:
            import mutagen
        except ImportError:
            import soundfile

            with soundfile.SoundFile(file) as sound:
                return list(sound.copy_metadata().items())
        opened: Any = mutagen.File(file, easy=True)
        return [] if opened is None or opened.tags is None else list(opened.tags.items())
    except Exception:
        return []
