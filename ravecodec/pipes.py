"""Sound on streams that cannot seek: WAV as other programs write it to a pipe, and raw samples."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol

import numpy as np

from ravecodec.audio import AudioInfo, AudioSource, Samples, check_channels, check_rate, check_samples
from ravecodec.errors import AudioError, OutputError, UsageError
from ravecodec.output import Dither

CHUNK = 1 << 16
_UNKNOWN = 0x7FFFF000  # sizes from here on, and zero, are those of a writer that did not know better
_MAX_CHUNK = 1 << 28  # bytes of a chunk before the sound that are passed over
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WIDTHS = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
RAW_FORMATS = {"s16le": "PCM_16", "f32le": "FLOAT"}


@dataclass(frozen=True)
class RawFormat:
    """What raw samples are: "s16le" or "f32le", interleaved; their rate in Hz, and how many channels."""

    encoding: str
    rate: int
    channels: int


class Sound(Protocol):
    """What is read, from a file or from a stream."""

    @property
    def info(self) -> AudioInfo: ...
    def blocks(self) -> Iterator[Samples]: ...


@contextmanager
def open_stream(stream: BinaryIO, name: str, raw: RawFormat | None = None) -> Iterator[Sound]:
    """The sound of a stream: raw samples, WAV of known or unknown length, or, kept on disk meanwhile, any other format.

    AudioError when it is none of them.
    """
    if raw is not None:
        check_rate(raw.rate, name)
        check_channels(raw.channels, name)
        info = AudioInfo(name, raw.rate, raw.channels, None, "RAW", RAW_FORMATS[raw.encoding])
        yield PipeSource(stream, info)
        return
    front = _take(stream, 12)
    if not front:
        raise AudioError("is empty", file=name)
    if front[:4] in (b"RIFF", b"RF64", b"BW64") and front[8:12] == b"WAVE":
        yield PipeSource(stream, _read_wav_header(stream, name, front[:4] != b"RIFF"))
        return
    with ExitStack() as stack:
        kept = stack.enter_context(tempfile.NamedTemporaryFile(prefix="ravecodec-"))
        while front:
            kept.write(front)
            front = stream.read(CHUNK)
        kept.flush()
        try:
            source = stack.enter_context(AudioSource(kept.name))
        except AudioError as error:
            raise AudioError(error.what, file=name, advice=error.advice) from error
        source.file, source.info = name, replace(source.info, file=name)
        yield source


class PipeSource:
    """Samples of a stream, front to back, as they come; `info.frames` is None if their number is not known."""

    def __init__(self, stream: BinaryIO, info: AudioInfo) -> None:
        self.info = info
        self._stream = stream

    def blocks(self) -> Iterator[Samples]:
        """Yield what the stream has at hand as float32 [n, channels]; AudioError when it ends too early or is empty."""
        name, frame = self.info.file, _WIDTHS[self.info.subtype] * self.info.channels
        read = getattr(self._stream, "read1", self._stream.read)
        left = None if self.info.frames is None else self.info.frames * frame
        held, count = b"", 0
        while left is None or left > 0:
            data = read(CHUNK if left is None else min(CHUNK, left))
            if not data:
                break
            left = None if left is None else left - len(data)
            held += data
            whole = len(held) // frame * frame
            if whole:
                block = _from_bytes(held[:whole], self.info.subtype).reshape(-1, self.info.channels)
                held = held[whole:]
                yield check_samples(block, count, name)
                count += len(block)
        if self.info.frames is not None and count < self.info.frames:
            raise AudioError(f"cut short: {count} of {self.info.frames} samples are there", file=name)
        if count == 0:
            raise AudioError("holds no samples", file=name, advice="there must be at least one")


def _read_wav_header(stream: BinaryIO, name: str, large: bool) -> AudioInfo:
    """What a WAV says of itself, up to where its samples begin."""
    form, size64 = b"", None
    while True:
        head = _take(stream, 8)
        if len(head) < 8:
            raise AudioError("ends before its sound begins", file=name)
        kind, size = head[:4], int.from_bytes(head[4:], "little")
        if kind == b"data":
            break
        if size > _MAX_CHUNK:
            raise AudioError("not a WAV, or a damaged one: a chunk has no end", file=name)
        content = _take(stream, size + (size & 1), keep=64)
        if kind == b"fmt ":
            form = content
        elif kind == b"ds64" and len(content) >= 16:
            size64 = int.from_bytes(content[8:16], "little")
    if len(form) < 16:
        raise AudioError("not a WAV, or a damaged one: nothing says what its samples are", file=name)
    tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", form[:16])
    if tag == _EXTENSIBLE and len(form) >= 26:
        tag = int.from_bytes(form[24:26], "little")
    check_rate(rate, name)
    check_channels(channels, name)
    width = align // channels
    kinds = {(_PCM, 1): "PCM_U8", (_PCM, 2): "PCM_16", (_PCM, 3): "PCM_24", (_PCM, 4): "PCM_32",
             (_FLOAT, 4): "FLOAT", (_FLOAT, 8): "DOUBLE"}  # fmt: skip
    subtype = kinds.get((tag, width))
    if subtype is None or align != width * channels:
        raise AudioError(f"is a WAV of kind {tag} with {bits} bits", file=name, advice="send PCM or floating point")
    if large and size64 is not None and size >= _UNKNOWN:
        size = size64 if size64 < 1 << 62 else 0
        known = size > 0
    else:
        known = 0 < size < _UNKNOWN
    return AudioInfo(name, rate, channels, size // align if known else None, "WAV", subtype)


def _take(stream: BinaryIO, size: int, keep: int | None = None) -> bytes:
    """Read so many bytes, fewer at the end; of many only the first `keep` are kept."""
    data, got = b"", 0
    while got < size:
        more = stream.read(min(size - got, CHUNK))
        if not more:
            break
        got += len(more)
        data = data + more if keep is None else (data + more)[:keep]
    return data


def _from_bytes(data: bytes, subtype: str) -> Samples:
    if subtype == "PCM_16":
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(1 << 15)
    if subtype == "PCM_24":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(1 << 31)
    if subtype == "PCM_32":
        return np.frombuffer(data, "<i4").astype(np.float32) / np.float32(1 << 31)
    if subtype == "PCM_U8":
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    with np.errstate(over="ignore"):
        return np.frombuffer(data, "<f4" if subtype == "FLOAT" else "<f8").astype(np.float32)


class PipeWriter:
    """Writes sound to a stream that cannot seek, and flushes it after every block.

    Args:
        stream: where to write.
        rate, channels: of the sound.
        subtype: "PCM_16", "PCM_24" or "FLOAT"; 24 bits by default. 16 bits are dithered.
        samples: length per channel, if known; else the WAV says, as usual in pipes, that it is not.
        raw: no header at all.
    """

    def __init__(
        self,
        stream: BinaryIO,
        rate: int,
        channels: int,
        *,
        subtype: str | None = None,
        samples: int | None = None,
        raw: bool = False,
    ) -> None:
        self.subtype = (subtype or ("PCM_16" if raw else "PCM_24")).upper()
        if self.subtype not in ("PCM_16", "PCM_24", "FLOAT"):
            raise UsageError(f"a pipe takes PCM_16, PCM_24 or FLOAT, not {subtype}")
        self._stream, self._channels, self.bytes = stream, channels, 0
        self._dither = Dither(16) if self.subtype == "PCM_16" else None
        if not raw:
            self._put(_wav_header(rate, channels, self.subtype, samples))

    def write(self, block: Samples) -> None:
        """Append float32 [n, channels]."""
        if self.subtype == "FLOAT":
            data = block.astype("<f4").tobytes()
        elif self._dither is not None:
            scaled = np.rint(self._dither.add(block) * np.float32(1 << 15))
            data = scaled.clip(-(1 << 15), (1 << 15) - 1).astype("<i2").tobytes()
        else:
            scaled = np.rint(block.astype(np.float64) * (1 << 23)).clip(-(1 << 23), (1 << 23) - 1)
            data = np.ascontiguousarray(scaled.astype("<i4")).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        self._put(data)

    def _put(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"cannot be written ({error.strerror})", file="standard output") from error
        self.bytes += len(data)


def _wav_header(rate: int, channels: int, subtype: str, samples: int | None) -> bytes:
    width = _WIDTHS[subtype]
    size = 0xFFFFFFFF if samples is None else samples * width * channels
    form = struct.pack(
        "<HHIIHH", _FLOAT if subtype == "FLOAT" else _PCM, channels, rate, rate * width * channels,
        width * channels, 8 * width,
    )  # fmt: skip
    if size > 0xFFFFFFFF - 36:
        size, whole = 0xFFFFFFFF, 0xFFFFFFFF
    else:
        whole = size + 36
    head = b"RIFF" + struct.pack("<I", whole) + b"WAVEfmt " + struct.pack("<I", len(form))
    return head + form + b"data" + struct.pack("<I", size)
