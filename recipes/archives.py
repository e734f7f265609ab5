"""Sound inside packages: plain files, zip and pk3 archives at any depth, and Ogg streams inside Qt resource files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

SOUND = frozenset(".ogg .oga .opus .wav .flac .mp3 .aif .aiff".split())
ZIPS = frozenset(".zip .pk3 .pk4 .jar".split())
RESOURCES = frozenset([".rcc"])
MAX_DEPTH = 4

Found = tuple[str, Callable[[], bytes]]
"""A path (inside an archive: that of the archive, ".d/" and the path in it) and how to read the file."""


def sounds(root: Path) -> Iterator[Found]:
    """Every sound file below a folder, in the order of the names."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield from _look(path.relative_to(root).as_posix(), path.read_bytes, 0)


def _look(name: str, read: Callable[[], bytes], depth: int) -> Iterator[Found]:
    suffix = Path(name).suffix.lower()
    if suffix in SOUND:
        yield name, read
    elif suffix in ZIPS and depth < MAX_DEPTH:
        yield from _unzip(name, read(), depth)
    elif suffix in RESOURCES:
        for number, stream in enumerate(ogg_streams(read())):
            yield f"{name}.d/{number:04}.ogg", lambda stream=stream: stream  # type: ignore[misc]


def _unzip(name: str, data: bytes, depth: int) -> Iterator[Found]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile:
        return
    with archive:
        for member in sorted(archive.namelist()):
            yield from _look(f"{name}.d/{member}", lambda member=member: archive.read(member), depth + 1)  # type: ignore[misc]


def ogg_streams(data: bytes) -> Iterator[bytes]:
    """Every complete Ogg stream that lies uncompressed in some bytes, from its first page to its last."""
    at = data.find(b"OggS")
    while at >= 0:
        end = _stream_end(data, at)
        if end is None:
            at = data.find(b"OggS", at + 4)
        else:
            yield data[at:end]
            at = data.find(b"OggS", end)


def _stream_end(data: bytes, at: int) -> int | None:
    """Where the stream that begins at a place ends; None if no stream begins there or it has no last page."""
    first = True
    while data[at : at + 4] == b"OggS" and len(data) >= at + 27:
        kind, segments = data[at + 5], data[at + 26]
        if first != bool(kind & 2):  # a page that begins a stream, and only the first, has this flag
            return None
        first = False
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])
        if kind & 4:  # the last page
            return at if at <= len(data) else None
    return None
