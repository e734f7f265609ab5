"""Sound written to a file in any usual format."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import soundfile

from ravecodec.audio import Samples
from ravecodec.errors import OutputError, PathLike

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


class Dither:
    """Triangular noise two steps wide, from a fixed seed: the same sound gives the same file."""

    def __init__(self, bits: int) -> None:
        self._noise, self._step = np.random.default_rng(0), 2.0 ** (1 - bits)

    def add(self, block: Samples) -> Samples:
        """Float32 [n, channels] with the noise of its place in the stream."""
        noise = self._noise.random((len(block), block.shape[1], 2))
        return (block + (noise[..., 0] - noise[..., 1]) * self._step).astype(np.float32)


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
        self._dither = Dither(self._step_bits) if self._step_bits <= 16 else None
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
            block = self._dither.add(block)
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
