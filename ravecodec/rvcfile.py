"""A coded file open for reading at any place, in the manner of python-soundfile's SoundFile."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ravecodec.audio import Samples
from ravecodec.errors import PathLike, UsageError
from ravecodec.registry import find, find_for
from ravecodec.streams import name_of, open_coded

if TYPE_CHECKING:
    from bitstream import Header, Report
    from ravecodec.codec import Codec

_FIRST, _MOST = 16, 512  # frames decoded ahead: at first after a seek, and when reading goes on and on
_INTEGERS = {"int16": 15, "int32": 31}


class RvcFile:
    """An .rvc file open for reading; a context manager.

    Only the bytes around what is read are taken from the file, by its seek index; the sound is that of the whole
    file's decoding within 1e-4. `frames` (samples per channel) and all places count at `samplerate`.

    Args:
        file: a path, an open binary file that can seek (it is left open), or a URL that fsspec knows.
        rate: None for the codec's 48 kHz, "source" for that of the sound that was coded, or Hz.
        model: a model's name or path, or a loaded codec; by default the model the file names.
        conceal: go on over lost packets, whose sound fades to the mean; `report` counts them. Otherwise they raise.

    Raises:
        AudioError, bitstream.FormatError, bitstream.ModelError: it cannot be opened.
        UsageError: it cannot seek.
    """

    mode, format = "r", "RVC"

    def __init__(
        self,
        file: PathLike | BinaryIO,
        *,
        rate: int | str | None = None,
        model: PathLike | Codec | None = None,
        conceal: bool = False,
    ) -> None:
        self.name = name_of(file)
        self._open: ExitStack | None = ExitStack()
        self._conceal = conceal
        with ExitStack() as failing:
            failing.callback(self.close)
            stream = self._open.enter_context(open_coded(file))
            if not stream.seekable():
                raise UsageError("cannot seek", file=self.name, advice="decode it from front to back")
            self._codec = _codec(stream, model)
            self._reader = self._codec.reader(stream)
            whole = self._codec.sound(self._reader, rate=rate)
            self.samplerate, self.channels = whole.rate, whole.channels
            self.frames = whole.samples if whole.samples is not None else self._count()
            failing.pop_all()
        self._place = 0
        self._ahead: Samples = np.zeros((0, self.channels), np.float32)
        self._step = _FIRST

    @property
    def header(self) -> Header:
        """The file's header: model, operating point, tags."""
        return self._reader.header

    @property
    def report(self) -> Report:
        """What the reader found on its last way through the file."""
        return self._reader.report

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._open is None

    def close(self) -> None:
        """Close the file, if it was opened here."""
        stack, self._open = self._open, None
        if stack is not None:
            stack.close()

    def seekable(self) -> bool:
        """Always: what cannot seek is not opened."""
        return True

    def tell(self) -> int:
        """The sample that comes next."""
        return self._place

    def seek(self, frames: int, whence: int = io.SEEK_SET) -> int:
        """Go to a sample, counted from the beginning, from here or from the end; returns where that is.

        ValueError outside the sound.
        """
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.frames}
        if whence not in base:
            raise ValueError(f"whence is 0, 1 or 2, not {whence!r}")
        place = base[whence] + frames
        if not 0 <= place <= self.frames:
            raise ValueError(f"sample {place} is outside the sound, which has {self.frames}")
        kept = place - self._place
        if 0 <= kept <= len(self._ahead):
            self._ahead = self._ahead[kept:]
        else:
            self._ahead, self._step = self._ahead[:0], _FIRST
        self._place = place
        return place

    def read(
        self, frames: int = -1, dtype: str = "float32", always_2d: bool = False, fill_value: float | None = None
    ) -> np.ndarray:
        """The next samples, [n] (mono) or [n, channels]; fewer at the end, unless `fill_value` makes up for them.

        Args:
            frames: how many; -1 for all that are left.
            dtype: "float32", "float64", "int16" or "int32".

        Raises:
            bitstream.CorruptError: packets of the span are lost, and `conceal` was not set.
        """
        if self._open is None:
            raise ValueError(f"{self.name}: the file is closed")
        left = self.frames - self._place
        count = left if frames < 0 else min(frames, left)
        if count > len(self._ahead):
            self._fetch(count)
        sound, self._ahead = self._ahead[:count], self._ahead[count:]
        self._place += len(sound)
        if fill_value is not None and len(sound) < frames:
            sound = np.pad(sound, ((0, frames - len(sound)), (0, 0)), constant_values=fill_value)
        converted = _as_type(sound, dtype)
        return converted[:, 0] if self.channels == 1 and not always_2d else converted

    def blocks(
        self,
        blocksize: int,
        overlap: int = 0,
        frames: int = -1,
        dtype: str = "float32",
        always_2d: bool = False,
        fill_value: float | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield the next samples in blocks of `blocksize`, each beginning with `overlap` samples of the one before."""
        if not 0 <= overlap < blocksize:
            raise ValueError("a block must be longer than its overlap")
        end = self.frames if frames < 0 else min(self.frames, self._place + frames)
        block = np.zeros((0, self.channels), dtype)
        while self._place < end:
            kept = block[max(0, len(block) - overlap) :]
            fresh = self.read(min(blocksize - len(kept), end - self._place), dtype, always_2d=True)
            if not len(fresh):
                return
            block = np.concatenate([kept, fresh])
            given = block
            if fill_value is not None and len(block) < blocksize:
                given = np.pad(block, ((0, blocksize - len(block)), (0, 0)), constant_values=fill_value)
            yield given[:, 0] if self.channels == 1 and not always_2d else given

    def _fetch(self, count: int) -> None:
        """Decode ahead, so that at least `count` samples are there."""
        start = self._place + len(self._ahead)
        ahead = self._step * self.header.hop * self.samplerate // self.header.rate
        end = min(self.frames, max(self._place + count, start + ahead))
        self._step = min(2 * self._step, _MOST)
        decoded = self._codec.sound(self._reader, rate=self.samplerate, start=start, end=end)
        blocks = list(decoded.blocks)
        report = decoded.report
        got = sum(map(len, blocks))
        if not self._conceal and (report.lost or got < end - start):
            report.raise_if_damaged()
        if got < end - start:  # cut short: there is no more
            self.frames = start + got
        self._ahead = np.concatenate([self._ahead, *blocks])

    def _count(self) -> int:
        """Samples of a file that does not say how many: those of its frames."""
        for _ in self._reader.walk():
            pass
        return self._reader.report.frames * self.header.hop * self.samplerate // self.header.rate

    def __len__(self) -> int:
        return self.frames

    def __enter__(self) -> RvcFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _codec(stream: BinaryIO, model: Any) -> Codec:
    from ravecodec.files import cached_codec
    from ravecodec.streams import peek_header

    if model is None:
        header = peek_header(stream)[0]
        model = find_for(header)
    elif isinstance(model, (str, Path)):
        model = find(model)
    else:
        loaded: Codec = model
        return loaded
    codec: Codec = cached_codec(model)  # type: ignore[assignment]
    return codec


def _as_type(sound: Samples, dtype: str) -> np.ndarray:
    if dtype in _INTEGERS:
        scale = 2.0 ** _INTEGERS[dtype]
        return np.rint(sound.astype(np.float64) * scale).clip(-scale, scale - 1).astype(dtype)
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype is float32, float64, int16 or int32, not {dtype!r}")
    return sound.astype(dtype, copy=False)
