"""Sound files to .rvc and back, in constant memory; also pipes, spans, and files that still grow."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

from ravecodec.audio import AudioSource, Samples, check_rate
from ravecodec.destination import growing, must_differ, replacing
from ravecodec.errors import PathLike, UsageError
from ravecodec.output import SoundWriter, sound_format
from ravecodec.pipes import PipeWriter, RawFormat, Sound, open_stream
from ravecodec.position import Position, as_position
from ravecodec.registry import find, find_for
from ravecodec.sourcetags import tags_of
from ravecodec.streams import STANDARD, is_stream, name_of, open_coded, peek_header

if TYPE_CHECKING:
    from bitstream import Header, Report

Rate = int | Literal["source"] | None
"""The rate to decode to: None for the codec's 48 kHz, "source" for that of the sound coded, or Hz."""

LIVE_BLOCK = 8  # frames that the decoder takes at once when sound is to be heard while it is made

Progress = Callable[[int], object]
"""Called with the number of samples (per channel) just done."""


class DecodedStream(Protocol):
    """What a codec's `decode_stream` returns; `report` is complete once `blocks` is exhausted."""

    @property
    def header(self) -> Header: ...
    @property
    def rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def samples(self) -> int | None: ...
    @property
    def blocks(self) -> Iterator[Samples]: ...
    @property
    def report(self) -> Report: ...


class StreamCodec(Protocol):
    """The part of `ravecodec.Codec` that files need; what comes last is given only if it is asked for."""

    def encode_stream(
        self, blocks: Iterable[Samples], rate: int, channels: int, out: BinaryIO, *, samples: int | None = None,
        fidelity: float | None = None, components: int | None = None, step: int | None = None,
        rule: str = "sigma", tags: Mapping[str, str] | None = None, quality: float | None = None,
        bitrate: float | None = None, cap: float | None = None, packet: int | None = None, live: bool = False,
        flush: bool = False, rdoq: bool | None = None,
    ) -> Header: ...  # fmt: skip

    def decode_stream(
        self, file: BinaryIO, *, rate: Rate = None, start: int = 0, end: int | None = None, block: int | None = None
    ) -> DecodedStream: ...


@dataclass(frozen=True)
class FileResult:
    """What was made of a file: samples (per channel) of sound, their rate in Hz, and the bytes written.

    `report` is the reader's account of damage when a file was decoded, None when one was encoded.
    """

    samples: int
    rate: int
    channels: int
    bytes: int
    header: Header
    report: Report | None = None

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


def encode_file(
    source: PathLike,
    destination: PathLike,
    codec: StreamCodec,
    *,
    fidelity: float | None = None,
    components: int | None = None,
    step: int | None = None,
    rule: str = "sigma",
    tags: Mapping[str, str] | None = None,
    source_tags: bool = True,
    raw: RawFormat | None = None,
    live: bool = False,
    force: bool = True,
    progress: Progress | None = None,
    **more: Any,
) -> FileResult:
    """Encode a sound file into an .rvc file, in constant memory; the destination appears whole or not at all.

    Args:
        source: any format libsndfile reads, 1 to 8 channels, 1 to 768 kHz; or "-", standard input.
        destination: the .rvc file; its folder must exist. "-" is standard output, written packet by packet.
        codec: from `ravecodec.load`.
        fidelity, components, step, rule: the operating point, as for `Codec.encode`; so are `more`.
        tags: text to keep in the header.
        source_tags: keep title, artist and the like of the source as well, unless `tags` names them.
        raw: what the samples on standard input are, if they have no header.
        live: one frame a packet, written at once; the destination grows in place, and what is there of it when
            something goes wrong stays and can be decoded.
        force: replace a destination that exists.
        progress: called with the samples done, at the source's rate.

    Raises:
        AudioError: the source cannot be read or coded.
        OutputError: the destination cannot be written.
    """
    must_differ(source, destination)
    more = {key: value for key, value in more.items() if value is not None} | ({"live": True} if live else {})
    if live or destination == STANDARD:
        more["flush"] = True
    if source_tags and not is_stream(source):
        tags = {**tags_of(source), **(tags or {})}
    with _open_sound(source, raw) as audio, _open_output(destination, live, force) as out:
        counted = _Counter(progress)
        blocks = counted.through(audio.blocks())
        written: Any = _Written(out)
        header = codec.encode_stream(
            blocks, audio.info.rate, audio.info.channels, written, samples=audio.info.frames,
            fidelity=fidelity, components=components, step=step, rule=rule, tags=tags, **more,
        )  # fmt: skip
        return FileResult(counted.samples, audio.info.rate, audio.info.channels, written.bytes, header)


def decode_file(
    source: PathLike,
    destination: PathLike,
    codec_loader: Callable[[Path], StreamCodec] | None = None,
    *,
    rate: Rate = None,
    subtype: str | None = None,
    start: float | Position | None = None,
    end: float | Position | None = None,
    raw: bool = False,
    follow: bool = False,
    timeout: float | None = None,
    force: bool = True,
    progress: Progress | None = None,
) -> FileResult:
    """Decode an .rvc file into a sound file, in constant memory; the destination appears whole or not at all.

    Damaged packets are concealed by the codec and named in the result's `report`: look at it.

    Args:
        source: the .rvc file, a URL that fsspec knows, or "-", standard input.
        destination: its ending gives the format; see `ravecodec.output.sound_format`. "-" is standard output: WAV.
        codec_loader: gives the codec for the file; by default the model that the file names.
        rate: None for 48 kHz, "source" for the rate of the sound that was coded, or Hz.
        subtype: as libsndfile calls it, e.g. "PCM_16" or "FLOAT"; by default 24-bit PCM if the format has it.
        start, end: the span to decode, in seconds or as a Position; only the bytes around it are read.
        raw: samples without a header, for standard output.
        follow: the source is being written: wait for more at its end, until its end record comes.
        timeout: seconds to wait in vain before the source is taken to be cut short; None for ever.
        force: replace a destination that exists.
        progress: called with the samples done, at the rate of the output.

    Raises:
        AudioError: the source cannot be opened.
        UsageError: the span begins after the end of the sound.
        bitstream.RvcError: it is no .rvc file, is damaged beyond concealment, or its model is missing.
        OutputError: the destination cannot be written.
    """
    must_differ(source, destination)
    if destination != STANDARD:
        sound_format(destination, subtype)  # a wrong ending is found before the model is loaded
    if isinstance(rate, int):
        check_rate(rate)
    with _open_source(source, codec_loader, follow, timeout) as (file, codec):
        options: dict[str, Any] = {}
        if start is not None or end is not None:
            header, file = peek_header(file)
            hertz = header.rate if rate is None else header.source_rate if rate == "source" else rate
            options |= {name: as_position(p).at(hertz) for name, p in (("start", start), ("end", end)) if p is not None}
        if follow or source == STANDARD:
            options["block"] = LIVE_BLOCK  # sound that is being made is heard soon
        sound = codec.decode_stream(file, rate=rate, **options)
        if sound.samples == 0 and start:
            raise UsageError("the span begins after the end of the sound", file=name_of(source))
        counted = _Counter(progress)
        if destination == STANDARD:
            pipe = PipeWriter(
                sys.stdout.buffer, sound.rate, sound.channels, subtype=subtype, samples=sound.samples, raw=raw
            )
            for block in counted.through(sound.blocks):
                pipe.write(block)
            size = pipe.bytes
        else:
            with replacing(destination, force=force) as out:
                with SoundWriter(
                    out, destination, sound.rate, sound.channels, subtype=subtype, samples=sound.samples
                ) as writer:
                    for block in counted.through(sound.blocks):
                        writer.write(block)
                size = out.seek(0, os.SEEK_END)
        return FileResult(counted.samples, sound.rate, sound.channels, size, sound.header, sound.report)


def damage(report: Report | None) -> str:
    """Say in one line what makes decoded sound differ from what was coded; empty when the hash proves it equal."""
    if report is None or report.sound:
        return ""
    return "; ".join(report.problems()) or "its integers could not be checked"


def read_header(file: PathLike) -> Header:
    """The header of an .rvc file; AudioError when it cannot be opened, bitstream.FormatError when it is not one."""
    with open_coded(file) as stream:
        return peek_header(stream)[0]


def codec_for(file: Path) -> StreamCodec:
    """The codec whose model an .rvc file names; ModelError, with name and id, when it is not installed."""
    return cached_codec(find_for(read_header(file)))


@lru_cache(maxsize=2)
def cached_codec(model: Path, stands_in: bool = False) -> StreamCodec:
    """Load a model file, or give the one loaded before; `stands_in` as for `ravecodec.load`."""
    from ravecodec.codec import load

    codec: StreamCodec = load(model, stands_in=stands_in)
    return codec


def decoder(model: PathLike | None, stands_in: bool = False) -> Callable[[Path], StreamCodec] | None:
    """What gives `decode_file` this model, by name or path; None is the one that a file names."""
    return None if model is None else lambda _: cached_codec(find(model), stands_in)


class _Counter:
    """Counts the samples that pass."""

    def __init__(self, progress: Progress | None) -> None:
        self.samples = 0
        self._progress = progress

    def through(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        for block in blocks:
            yield block
            self.samples += len(block)
            if self._progress:
                self._progress(len(block))


@contextmanager
def _open_source(
    source: PathLike, loader: Callable[[Path], StreamCodec] | None, follow: bool, timeout: float | None
) -> Iterator[tuple[BinaryIO, StreamCodec]]:
    """A coded file, ready to be read, and its codec."""
    if not follow and not is_stream(source):
        codec = (loader or codec_for)(Path(source))
        with open_coded(source) as file:
            yield file, codec
        return
    with open_coded(source) as opened:
        if follow and source != STANDARD:
            from bitstream import Following

            opened = Following(opened, timeout)  # type: ignore[assignment]
        header, file = peek_header(opened)
        if loader is not None:
            yield file, loader(Path(source))
        else:
            yield file, cached_codec(find_for(header))


def _open_sound(source: PathLike, raw: RawFormat | None) -> AbstractContextManager[Sound]:
    if source == STANDARD:
        return open_stream(sys.stdin.buffer, name_of(source), raw)
    if raw is not None:
        return _raw_file(open_coded(source), os.fspath(source), raw)
    return AudioSource(source)


@contextmanager
def _raw_file(opening: AbstractContextManager[BinaryIO], name: str, raw: RawFormat) -> Iterator[Sound]:
    with opening as file, open_stream(file, name, raw) as sound:
        yield sound


def _open_output(destination: PathLike, live: bool, force: bool) -> AbstractContextManager[BinaryIO]:
    if destination == STANDARD:
        return nullcontext(sys.stdout.buffer)
    return growing(destination, force=force) if live else replacing(destination, force=force)


class _Written:
    """A file that counts what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.bytes = file, 0
        self.flush = file.flush

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        return self._file.write(data)
