"""Destinations: a file that appears whole or not at all, and sound written to it in any usual format."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

import numpy as np
import soundfile

from ravecodec.audio import Samples
from ravecodec.errors import OutputError, PathLike

T = TypeVar("T")

# ---------------------------------------------------------------- a file, whole or not at all


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


def part_name(target: Path, token: str) -> Path:
    """The hidden name of a file in the making; the token "*" gives the pattern of all of them."""
    return target.with_name(f".{target.name[:40]}.{token}.part")


def _open(path: Path, shown: str, mode: str) -> BinaryIO:
    return io.BufferedRandom(_attempt(shown, lambda: _File(path, shown, mode)))


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


# ---------------------------------------------------------------- sound

FORMATS = {
    ".wav": "WAV", ".wave": "WAV", ".bwf": "WAV", ".rf64": "RF64", ".w64": "W64",
    ".flac": "FLAC", ".aif": "AIFF", ".aiff": "AIFF", ".caf": "CAF", ".au": "AU", ".snd": "AU",
    ".ogg": "OGG", ".oga": "OGG", ".opus": "OGG", ".mp3": "MP3",
}  # fmt: skip
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}
_WAV_LIMIT = 2**32 - 2**16  # bytes; the header needs some


def sound_format(file: PathLike, subtype: str | None = None) -> tuple[str, str]:
    """libsndfile's format and subtype for a file name: 24-bit PCM where that exists, else the usual one.

    Raises:
        OutputError: the name's ending says no format, or the format has no such subtype.
    """
    suffix = Path(file).suffix.lower()
    if suffix not in FORMATS:
        advice = "use one of " + " ".join(FORMATS)
        raise OutputError(f"ending {suffix!r} names no sound format", file=file, advice=advice)
    kind = FORMATS[suffix]
    if subtype is None:
        if suffix == ".opus":
            subtype = "OPUS"
        else:
            subtype = "PCM_24" if soundfile.check_format(kind, "PCM_24") else soundfile.default_subtype(kind)
    subtype = subtype.upper()
    if not soundfile.check_format(kind, subtype):
        known = " ".join(soundfile.available_subtypes(kind))
        raise OutputError(f"{kind} has no subtype {subtype!r}", file=file, advice=f"use one of {known}")
    return kind, subtype


class SoundWriter:
    """Write sound to an open file, block by block; a context manager.

    Values beyond full scale are clipped; 8 and 16 bits are dithered (triangular, two steps wide, from a fixed
    seed: the same sound gives the same file). WAV becomes RF64 when the sound is longer than 4 GB allow.

    Args:
        file: where to write; readable, seekable.
        name: its name, for messages and for the format.
        rate, channels: of the sound.
        subtype: as libsndfile calls it, e.g. "PCM_16", "FLOAT", "VORBIS"; see `sound_format`.
        samples: length per channel if it is known.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: PathLike,
        rate: int,
        channels: int,
        *,
        subtype: str | None = None,
        samples: int | None = None,
    ) -> None:
        self.name = os.fspath(name)
        kind, subtype = sound_format(name, subtype)
        self._step_bits = _BITS.get(subtype, 24)
        self._frame_bytes = channels * self._step_bits // 8
        self._limit = _WAV_LIMIT if kind == "WAV" else None
        if self._limit and samples and samples * self._frame_bytes > self._limit:
            kind, self._limit = "RF64", None
        self._bytes = 0
        self._dither = np.random.default_rng(0) if self._step_bits <= 16 else None
        self._file = _Sheltered(file)
        try:
            self._sound = soundfile.SoundFile(
                self._file, "w", samplerate=rate, channels=channels, format=kind, subtype=subtype
            )
        except (soundfile.SoundFileError, ValueError, TypeError) as error:
            self._file.settle()
            what = f"{kind} ({subtype}) cannot hold {channels} channels at {rate} Hz"
            raise OutputError(what, file=name, advice="choose another format or --rate") from error

    def write(self, block: Samples) -> None:
        """Append float32 [n, channels]; OutputError when that fails."""
        self._bytes += len(block) * self._frame_bytes
        if self._limit and self._bytes > self._limit:
            raise OutputError("longer than a WAV file may be", file=self.name, advice="use .w64 or .rf64")
        if self._dither is not None:
            noise = self._dither.random((len(block), block.shape[1], 2))
            block = (block + (noise[..., 0] - noise[..., 1]) / 2 ** (self._step_bits - 1)).astype(np.float32)
        for start in range(0, len(block), 4096):  # libvorbis keeps a whole write on its stack
            self._guarded(lambda at=start: self._sound.write(block[at : at + 4096]))  # type: ignore[misc]

    def close(self) -> None:
        """Complete the file's header; OutputError when that fails."""
        self._guarded(self._sound.close)

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (soundfile.SoundFileError, AssertionError) as error:
            self._file.settle()
            raise OutputError(f"cannot be written ({error or 'short write'})", file=self.name) from error
        self._file.settle()

    def __enter__(self) -> SoundWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.broken = True  # libsndfile must not touch a file that is about to go
            with suppress(Exception):
                self._sound.close()


class _Sheltered:
    """A file for libsndfile's callbacks, out of which no exception may come; the first waits for `settle`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: BaseException | None = None
        self.broken = False

    def settle(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _keep(self, action: Callable[[], int]) -> int:
        if self.broken:
            return 0
        try:
            return action()
        except BaseException as error:  # KeyboardInterrupt too would get lost in C
            self._error, self.broken = error, True
            return 0

    def write(self, data: bytes) -> int:
        return self._keep(lambda: self._file.write(data))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._keep(lambda: self._file.seek(offset, whence))

    def tell(self) -> int:
        return self._keep(self._file.tell)

    def readinto(self, buffer: Any) -> int:
        return self._keep(lambda: self._file.readinto(buffer))  # type: ignore[attr-defined]
