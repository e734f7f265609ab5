"""Whole files: sound to .rvc and back in constant memory; read, write, info in the manner of soundfile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

import numpy as np

from ravecodec.audio import AudioSource, Samples, as_samples, check_rate
from ravecodec.errors import AudioError, OutputError, PathLike
from ravecodec.output import SoundWriter, replacing, sound_format
from ravecodec.registry import DEFAULT, find, find_for

if TYPE_CHECKING:
    from bitstream import FileInfo, Header, Report

Rate = int | Literal["source"] | None
"""The rate to decode to: None for the codec's 48 kHz, "source" for that of the sound coded, or Hz."""

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
    """The part of `ravecodec.Codec` that files need."""

    def encode_stream(
        self, blocks: Iterable[Samples], rate: int, channels: int, out: BinaryIO, *, samples: int | None = None,
        fidelity: float | None = None, components: int | None = None, step: int | None = None,
        rule: str = "sigma", tags: Mapping[str, str] | None = None,
    ) -> Header: ...  # fmt: skip

    def decode_stream(self, file: BinaryIO, *, rate: Rate = None) -> DecodedStream: ...


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
    force: bool = True,
    progress: Progress | None = None,
) -> FileResult:
    """Encode a sound file into an .rvc file, in constant memory; the destination appears whole or not at all.

    Args:
        source: any format libsndfile reads, 1 to 8 channels, 1 to 768 kHz.
        destination: the .rvc file; its folder must exist.
        codec: from `ravecodec.load`.
        fidelity, components, step, rule: the operating point, as for `Codec.encode`.
        tags: text to keep in the header.
        force: replace a destination that exists.
        progress: called with the samples done, at the source's rate.

    Raises:
        AudioError: the source cannot be read or coded.
        OutputError: the destination cannot be written.
    """
    _must_differ(source, destination)
    with AudioSource(source) as audio, replacing(destination, force=force) as out:
        counted = _Counter(progress)
        blocks = counted.through(audio.blocks())
        header = codec.encode_stream(
            blocks, audio.info.rate, audio.info.channels, out, samples=audio.info.frames,
            fidelity=fidelity, components=components, step=step, rule=rule, tags=tags,
        )  # fmt: skip
        size = out.seek(0, os.SEEK_END)
        return FileResult(counted.samples, audio.info.rate, audio.info.channels, size, header)


def decode_file(
    source: PathLike,
    destination: PathLike,
    codec_loader: Callable[[Path], StreamCodec] | None = None,
    *,
    rate: Rate = None,
    subtype: str | None = None,
    force: bool = True,
    progress: Progress | None = None,
) -> FileResult:
    """Decode an .rvc file into a sound file, in constant memory; the destination appears whole or not at all.

    Damaged packets are concealed by the codec and named in the result's `report`: look at it.

    Args:
        source: the .rvc file.
        destination: its ending gives the format; see `ravecodec.output.sound_format`.
        codec_loader: gives the codec for the file; by default the model that the file names.
        rate: None for 48 kHz, "source" for the rate of the sound that was coded, or Hz.
        subtype: as libsndfile calls it, e.g. "PCM_16" or "FLOAT"; by default 24-bit PCM if the format has it.
        force: replace a destination that exists.
        progress: called with the samples done, at the rate of the output.

    Raises:
        AudioError: the source cannot be opened.
        bitstream.RvcError: it is no .rvc file, is damaged beyond concealment, or its model is missing.
        OutputError: the destination cannot be written.
    """
    _must_differ(source, destination)
    sound_format(destination, subtype)  # a wrong ending is found before the model is loaded
    if isinstance(rate, int):
        check_rate(rate)
    codec = (codec_loader or codec_for)(Path(source))
    with _open_coded(source) as file, replacing(destination, force=force) as out:
        sound = codec.decode_stream(file, rate=rate)
        counted = _Counter(progress)
        with SoundWriter(
            out, destination, sound.rate, sound.channels, subtype=subtype, samples=sound.samples
        ) as writer:
            for block in counted.through(sound.blocks):
                writer.write(block)
        size = out.seek(0, os.SEEK_END)
        return FileResult(counted.samples, sound.rate, sound.channels, size, sound.header, sound.report)


def read(
    file: PathLike, *, rate: Rate = None, model: PathLike | None = None, always_2d: bool = False
) -> tuple[Samples, int]:
    """Decode an .rvc file into an array, float32 [n] (mono) or [n, channels], and its rate in Hz.

    Args:
        rate: None for 48 kHz, "source" for the rate of the sound that was coded, or Hz.
        model: a model's name or path; by default the one the file names.
        always_2d: return [n, 1] for mono.

    Raises:
        bitstream.CorruptError: packets are damaged or missing; `decode_file` conceals them and says so.
    """
    codec = codec_for(Path(file)) if model is None else cached_codec(find(model))
    with _open_coded(file) as stream:
        sound = codec.decode_stream(stream, rate=rate)
        blocks = list(sound.blocks)
    faults = damage(sound.report)
    if faults:
        from bitstream.errors import CorruptError

        raise CorruptError(f"{os.fspath(file)}: {faults}")
    audio = np.concatenate(blocks) if blocks else np.zeros((0, sound.channels), np.float32)
    return (audio[:, 0] if sound.channels == 1 and not always_2d else audio), sound.rate


def write(
    file: PathLike,
    audio: Any,
    rate: int,
    *,
    model: PathLike = DEFAULT,
    fidelity: float | None = None,
    components: int | None = None,
    step: int | None = None,
    rule: str = "sigma",
    tags: Mapping[str, str] | None = None,
) -> None:
    """Encode an array into an .rvc file, replacing it whole.

    Args:
        audio: [n] or [n, channels]; floating point with full scale 1, or signed integers.
        rate: of the array, in Hz.
        model: a model's name or path.
        fidelity, components, step, rule, tags: as for `Codec.encode`.
    """
    samples = as_samples(audio)
    codec = cached_codec(find(model))
    with replacing(file) as out:
        codec.encode_stream(
            [samples], check_rate(rate), samples.shape[1], out, samples=len(samples),
            fidelity=fidelity, components=components, step=step, rule=rule, tags=tags,
        )  # fmt: skip


def info(file: PathLike) -> FileInfo:
    """What an .rvc file holds: its header, sizes and bitrates; needs no torch and no model."""
    import bitstream

    with _open_coded(file) as stream:
        return bitstream.info(stream)


def damage(report: Report | None) -> str:
    """Say in one line what makes decoded sound differ from what was coded; empty when the hash proves it equal."""
    return "" if report is None or report.exact else "; ".join(report.problems()) or "its integers could not be checked"


def read_header(file: PathLike) -> Header:
    """The header of an .rvc file; AudioError when it cannot be opened, bitstream.FormatError when it is not one."""
    from bitstream import Header

    with _open_coded(file) as stream:
        return Header.parse(stream)


def codec_for(file: Path) -> StreamCodec:
    """The codec whose model an .rvc file names; ModelError, with name and id, when it is not installed."""
    header = read_header(file)
    return cached_codec(find_for(header.model_name, header.model_id))


@lru_cache(maxsize=2)
def cached_codec(model: Path) -> StreamCodec:
    """Load a model file, or give the one loaded before."""
    from ravecodec.codec import load

    codec: StreamCodec = load(model)
    return codec


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


def _open_coded(file: PathLike) -> closing[BinaryIO]:
    try:
        if Path(file).is_dir():
            raise AudioError("is a folder", file=file)
        return closing(Path(file).open("rb"))
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})", file=file) from error


def _must_differ(source: PathLike, destination: PathLike) -> None:
    try:
        same = Path(source).samefile(destination)
    except OSError:
        same = False
    if same:
        raise OutputError("is the file to be read", file=destination, advice="give another name")


