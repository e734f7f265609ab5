"""Sound before it is coded: what is accepted, and reading in blocks.

Arrays are float32 [samples, channels] with full scale at 1.0, everywhere in this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import soundfile

from ravecodec.errors import AudioError, PathLike

Samples = npt.NDArray[np.float32]

# Below 1 kHz nothing of a sound is left, and a file that says so is mislabelled: one minute of CD sound
# marked "1 Hz" would become 30 days at 48 kHz. Above 768 kHz no converter works.
MIN_RATE, MAX_RATE = 1000, 768_000
MAX_CHANNELS = 8
# 40 dB over full scale is no headroom but another unit (16-bit integers kept as floats, say).
MAX_LEVEL = 100.0
BLOCK = 65536

AUDIO_SUFFIXES = frozenset(
    ".wav .wave .bwf .rf64 .w64 .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .caf .au .snd .voc".split()
)


# ---------------------------------------------------------------- checks


def check_rate(rate: float, file: PathLike | None = None) -> int:
    """Return a sampling rate as an integer; AudioError unless it is a whole number of Hz, 1000 to 768000."""
    if not float(rate).is_integer() or not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"sampling rate of {rate:g} Hz is outside {MIN_RATE} to {MAX_RATE} Hz",
            file=file,
            advice="resample it or correct its header",
        )
    return int(rate)


def check_channels(channels: int, file: PathLike | None = None) -> int:
    """Return a channel count; AudioError unless it is 1 to 8."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(
            f"has {channels} channels, and 1 to {MAX_CHANNELS} can be coded",
            file=file,
            advice="split it into several files",
        )
    return channels


def check_samples(block: Samples, start: int = 0, file: PathLike | None = None) -> Samples:
    """Return a block of samples; AudioError naming the first that is NaN, infinite or 40 dB over full scale.

    Args:
        block: float32 [n, channels].
        start: index of the first sample, for the message.
        file: named in the message.
    """
    with np.errstate(invalid="ignore"):
        sound = np.abs(block) <= MAX_LEVEL  # False for NaN as well
    if sound.all():
        return block
    row, channel = (int(i) for i in np.argwhere(~sound)[0])
    value = float(block[row, channel])
    if np.isfinite(value):
        what, advice = f"is {value:g}, where full scale is 1", "scale it down"
    else:
        what, advice = f"is {value}", "only finite samples can be coded"
    raise AudioError(f"sample {start + row} of channel {channel + 1} {what}", file=file, advice=advice)


def as_samples(audio: npt.ArrayLike) -> Samples:
    """Return an array of sound as checked float32 [n, channels]; integers are scaled by their full scale.

    Args:
        audio: [n] or [n, channels], any real type.
    """
    array = np.asarray(audio)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise AudioError(f"array of {array.ndim} dimensions, expected [samples] or [samples, channels]")
    check_channels(array.shape[1])
    if np.issubdtype(array.dtype, np.signedinteger):
        array = array / -float(np.iinfo(array.dtype).min)
    elif not np.issubdtype(array.dtype, np.floating):
        raise AudioError(f"array of {array.dtype}, expected floating point or signed integers")
    if not len(array):
        raise AudioError("holds no samples", advice="there must be at least one")
    return check_samples(np.ascontiguousarray(array, dtype=np.float32))


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file says of itself; `frames` is None where its format only estimates them (MP3)."""

    file: str
    rate: int
    channels: int
    frames: int | None
    format: str
    subtype: str

    @property
    def seconds(self) -> float | None:
        return None if self.frames is None else self.frames / self.rate


class AudioSource:
    """An audio file open for reading, in any format libsndfile knows; a context manager.

    Raises AudioError at opening when the file is missing, empty, cut short or no audio, has more than 8
    channels or a rate out of range; while reading, when it is damaged or holds samples that are not finite.
    """

    def __init__(self, file: PathLike) -> None:
        self.file = os.fspath(file)
        self._sound = _open(self.file)
        try:
            _check_complete(self.file, self._sound)
            # An MP3 without a length header is measured by its bitrate: close, not exact.
            frames = None if self._sound.format == "MP3" else int(self._sound.frames)
            if frames == 0:
                raise AudioError("holds no samples", file=self.file, advice="there must be at least one")
            self.info = AudioInfo(
                self.file,
                check_rate(self._sound.samplerate, self.file),
                check_channels(self._sound.channels, self.file),
                frames,
                self._sound.format,
                self._sound.subtype,
            )
        except BaseException:
            self.close()
            raise

    def blocks(self, size: int | None = None) -> Iterator[Samples]:
        """Yield the rest of the file as float32 [n, channels], by default a second or 65536 samples each."""
        size = size or min(self.info.rate, BLOCK)
        count = 0
        while True:
            try:
                block = self._sound.read(size, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise AudioError(f"damaged or cut short after {count} samples", file=self.file) from error
            if not len(block):
                break
            yield check_samples(block, count, self.file)
            count += len(block)
        if count == 0:
            raise AudioError("holds no samples", file=self.file, advice="there must be at least one")
        declared = int(self._sound.frames)
        slack = max(4608, declared // 100) if self.info.format == "MP3" else 0
        if count + slack < declared:
            raise AudioError(f"cut short: {count} of {declared} samples are there", file=self.file)

    def close(self) -> None:
        self._sound.close()

    def __enter__(self) -> AudioSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_audio(file: PathLike) -> tuple[Samples, int]:
    """Read a whole audio file: float32 [n, channels] and its rate in Hz; AudioError as from AudioSource."""
    with AudioSource(file) as source:
        return np.concatenate(list(source.blocks())), source.info.rate


class _Forward(soundfile.SoundFile):
    """A sound file read from front to back. soundfile seeks to where it stands after every read, which makes
    decoders with a memory start anew (an MP3 clicks at each block); it does not where there is no seeking."""

    def seekable(self) -> bool:
        return False


def _open(file: str) -> _Forward:
    try:
        if Path(file).is_dir():
            raise AudioError("is a folder", file=file)
        if Path(file).is_file() and Path(file).stat().st_size == 0:
            raise AudioError("is empty", file=file)
        with Path(file).open("rb"):  # the system's own reason; libsndfile only says "System error"
            pass
        return _Forward(file)
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})", file=file) from error
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: *.raw, which has no header
        formats = "give WAV, FLAC, Ogg, MP3 or another format of libsndfile"
        raise AudioError("not an audio file, or a damaged one", file=file, advice=formats) from error


# libsndfile reads what is left of a cut file without a word, but notes what the header promised.
_PROMISE = re.compile(
    r"^\s*(RIFF|riff|Riff size|FORM|data|SSND|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE
)
_UNKNOWN_LENGTH = 0x7FFFF000  # what a recorder writes that does not know yet how long the sound will be


def _check_complete(file: str, sound: _Forward) -> None:
    for name, promised, there in _PROMISE.findall(sound.extra_info):
        # Some writers count the outer chunk's own header in; the chunk of samples allows no such slack.
        slack = 0 if name in ("data", "SSND", "Data Size") else 64
        if int(there) + slack < int(promised) < _UNKNOWN_LENGTH:
            raise AudioError(f"cut short: {there} of {promised} bytes are there", file=file)
    if sound.format == "OGG" and _ends_inside_ogg_page(file):
        raise AudioError("cut short: the last Ogg page is incomplete", file=file)


def _ends_inside_ogg_page(file: str) -> bool:
    with Path(file).open("rb") as stream:
        stream.seek(max(0, Path(file).stat().st_size - 2 * 65307))  # a page has at most 65307 bytes
        tail = stream.read()
    page = tail.rfind(b"OggS")
    if page < 0:
        return False
    if len(tail) < page + 27:
        return True
    lacing = tail[page + 27 : page + 27 + tail[page + 26]]
    return len(tail) < page + 27 + tail[page + 26] + sum(lacing)
