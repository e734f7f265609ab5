"""Destinations: a file that appears whole or not at all."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ravecodec.errors import OutputError, PathLike

T = TypeVar("T")


@contextmanager
def replacing(destination: PathLike, *, force: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when the block ends well.

    Until then it stands beside the destination under a hidden name ending in .part; it is removed when the
    block raises, KeyboardInterrupt included. What is no regular file (/dev/null) is written directly.

    Args:
        destination: its folder must exist.
        force: replace a file that is there already.

    Raises:
        OutputError: it exists and may not be replaced, or cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(destination))  # a link stays a link: what it names is replaced
    shown = os.fspath(destination)
    if target.is_dir():
        raise OutputError("is a folder", file=shown, advice="name a file in it")
    if target.exists() and not target.is_file():
        with _open(target, shown, "r+") as file:
            yield file
        return
    if target.exists() and not force:
        raise OutputError("exists already", file=shown, advice="use --force to replace it")
    part = part_name(target, secrets.token_hex(4))
    file = _open(part, shown, "x+")
    try:
        yield file
        file.flush()
        _attempt(shown, lambda: os.fsync(file.fileno()))
        file.close()
        _attempt(shown, lambda: part.replace(target))
    except BaseException:
        with suppress(Exception):
            file.close()
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def growing(destination: PathLike, *, force: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing under its own name: what is written stays, whatever happens; an empty file does not.

    OutputError: it exists and may not be replaced, or cannot be written.
    """
    shown = os.fspath(destination)
    if Path(destination).is_dir():
        raise OutputError("is a folder", file=shown, advice="name a file in it")
    if Path(destination).is_file() and not force:
        raise OutputError("exists already", file=shown, advice="use --force to replace it")
    target = Path(destination)
    opened = _open(target, shown, "w")
    try:
        with opened as file:
            yield file
    except BaseException:
        with suppress(OSError):
            if target.is_file() and not target.stat().st_size:
                target.unlink()
        raise


def must_differ(source: PathLike, destination: PathLike) -> None:
    """OutputError if a file is to be written over itself."""
    try:
        same = Path(source).samefile(destination)
    except OSError:
        same = False
    if same:
        raise OutputError("is the file to be read", file=destination, advice="give another name")


def part_name(target: Path, token: str) -> Path:
    """The hidden name of a file in the making; the token "*" gives the pattern of all of them."""
    return target.with_name(f".{target.name[:40]}.{token}.part")


def _open(path: Path, shown: str, mode: str) -> BinaryIO:
    file = _attempt(shown, lambda: _File(path, shown, mode))
    return io.BufferedRandom(file) if file.seekable() and file.readable() else io.BufferedWriter(file)


class _File(io.FileIO):
    """A file whose failures to write name the destination instead of its hidden name."""

    def __init__(self, path: Path, shown: str, mode: str) -> None:
        self.shown = shown
        super().__init__(path, mode)

    def write(self, data: Any) -> int:
        return _attempt(self.shown, lambda: super(_File, self).write(data))


def _attempt(shown: str, action: Callable[[], T]) -> T:
    try:
        return action()
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", file=shown) from error
