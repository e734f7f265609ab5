"""Where coded bytes come from: a path, an open file, standard input, or any URL that fsspec knows."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeGuard, cast

from ravecodec.errors import AudioError, PathLike, Unavailable

if TYPE_CHECKING:
    from bitstream import Header

STANDARD = "-"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[a-z0-9+.-]+)*://")
_RANGE = 1 << 12  # bytes that a remote file is asked for at least: some 10 s of sound


def is_stream(file: PathLike | BinaryIO) -> bool:
    """Whether this is standard input or output, a URL or an open file, and so no path."""
    return file == STANDARD or is_url(file) or is_open(file)


def is_open(file: object) -> TypeGuard[BinaryIO]:
    """Whether this is an open file."""
    return not isinstance(file, (str, os.PathLike)) and hasattr(file, "read")


def is_url(file: object) -> bool:
    """Whether this is text that begins as a URL does."""
    return isinstance(file, str) and _URL.match(file) is not None


def name_of(file: PathLike | BinaryIO) -> str:
    """What to call a file in a message."""
    if is_open(file):
        return str(getattr(file, "name", "the stream"))
    return "standard input" if file == STANDARD else os.fspath(cast(PathLike, file))


@contextmanager
def open_coded(file: PathLike | BinaryIO) -> Iterator[BinaryIO]:
    """Open a file to read bytes from: "-" is standard input; an open file is left open.

    AudioError when it cannot be opened, Unavailable when a URL is given and fsspec is not installed.
    """
    if file == STANDARD:
        yield sys.stdin.buffer
    elif is_open(file):
        yield file
    else:
        with _open(os.fspath(cast(PathLike, file))) as opened:
            yield opened


def _open(file: str) -> BinaryIO:
    try:
        if is_url(file):
            return _open_url(file)
        if Path(file).is_dir():
            raise AudioError("is a folder", file=file)
        return Path(file).open("rb")
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror or error})", file=file) from error


def _open_url(url: str) -> BinaryIO:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise Unavailable("is a URL, which needs fsspec", file=url, advice="pip install 'ravecodec[remote]'") from error
    try:
        system, path = url_to_fs(url)
        opened: BinaryIO = system.open(path, "rb", block_size=_RANGE, cache_type="bytes")
    except (ImportError, ValueError) as error:  # a protocol that is unknown, or whose package is missing
        raise Unavailable(f"cannot be opened ({error})", file=url) from error
    return opened


def peek_header(file: BinaryIO) -> tuple[Header, BinaryIO]:
    """The header at the front of an open file, and a file to read it again from; bitstream.FormatError."""
    from bitstream import Header

    if _can_seek(file):
        place = file.tell()
        header = Header.parse(file)
        file.seek(place)
        return header, file
    taken = _Taken(file)
    header = Header.parse(taken)  # type: ignore[arg-type]
    return header, _Replay(taken.bytes, file)  # type: ignore[return-value]


class _Taken:
    """Keeps what is read of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.bytes = file, b""

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.bytes += data
        return data


class _Replay:
    """A file that cannot seek, with some bytes put back in front of it."""

    def __init__(self, front: bytes, file: BinaryIO) -> None:
        self._front, self._file = front, file
        self._rest = getattr(file, "read1", file.read)

    def read(self, size: int = -1) -> bytes:
        if not self._front:
            rest: bytes = self._rest(size)
            return rest
        size = len(self._front) if size < 0 else size
        data, self._front = self._front[:size], self._front[size:]
        return data

    read1 = read

    def seekable(self) -> bool:
        return False


def _can_seek(file: BinaryIO) -> bool:
    try:
        return file.seekable()
    except (AttributeError, OSError):
        return False
