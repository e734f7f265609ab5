"""The codec: sound to .rvc and back, block by block, with one model.

The network sees a block of frames with `preroll` frames on either side; where blocks begin and end depends on the
length of the sound only, so that whole-file and chunked coding give the same integers and the same sound.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import torch

from bitstream import FidelityRule, Header, Layout, ModelError, Reader, Report, Writer

from .analysis import PACKET_FRAMES, Analysis
from .audio import Samples, as_samples, check_channels, check_rate
from .basis import RULES, Basis
from .errors import AudioError, PathLike, UsageError
from .modelfile import Model, load_model
from .resample import resample, resampled_length
from .synthesis import Synthesis

FALLBACK_POINT = {"fidelity": 0.98, "step": 0}
LARGEST_CODE = (1 << 20) - 1


@dataclass(frozen=True)
class Decoded:
    """Sound being decoded: `blocks` yields float32 [n, channels] at `rate`; `report` is complete once it is exhausted.

    `samples` is the length at `rate`, None when the file does not say it before its end.
    """

    header: Header
    rate: int
    channels: int
    samples: int | None
    blocks: Iterator[Samples]
    reader: Reader

    @property
    def report(self) -> Report:
        """What the reader found."""
        return self.reader.report


class Codec:
    """One model ready to encode and decode; made by `ravecodec.load`."""

    def __init__(self, model: Model) -> None:
        if model.basis is None or model.tables is None:
            raise ModelError(f"model {model.name!r} is not calibrated (run 'ravecodec calibrate')", name=model.name)
        self.model = model
        self.network = model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.basis: Basis = model.basis
        self.tables = model.tables
        self.name, self.model_id, self.tables_id = model.name, model.id, model.tables.id
        config = model.network.config
        self.rate, self.hop, self.latents = config.rate, config.hop, config.latents
        self.preroll = model.network.preroll
        self._delay = model.network.delay

    def components_for(self, fidelity: float, rule: str = "sigma") -> int:
        """Number of components that a fidelity keeps (see `Basis.components_for`)."""
        return self.basis.components_for(fidelity, rule)

    @property
    def default_point(self) -> dict[str, Any]:
        """The operating point used when nothing is asked for: fidelity and step."""
        return {**FALLBACK_POINT, **self.model.notes.get("default_point", {})}

    # ------------------------------------------------------------ encoding

    def encode(
        self,
        audio: Any,
        rate: int,
        *,
        fidelity: float | None = None,
        components: int | None = None,
        step: int | None = None,
        rule: str = "sigma",
        tags: Mapping[str, str] | None = None,
    ) -> bytes:
        """Encode sound [n] or [n, channels] at `rate` Hz into the bytes of an .rvc file.

        At most one of fidelity (0 to 1, of the singular values' sum or, by `rule`, of their squares') and components;
        `step` is the quantiser's step index in eighths of an octave. Raises AudioError and UsageError.
        """
        samples = as_samples(audio)
        out = io.BytesIO()
        self.encode_stream(
            [samples], rate, samples.shape[1], out, samples=len(samples),
            fidelity=fidelity, components=components, step=step, rule=rule, tags=tags,
        )  # fmt: skip
        return out.getvalue()

    def encode_stream(
        self,
        blocks: Iterable[Samples],
        rate: int,
        channels: int,
        out: BinaryIO,
        *,
        samples: int | None = None,
        fidelity: float | None = None,
        components: int | None = None,
        step: int | None = None,
        rule: str = "sigma",
        tags: Mapping[str, str] | None = None,
    ) -> Header:
        """Encode blocks of float32 [n, channels] into `out`, in constant memory; returns the header written.

        `samples` per channel goes into the header; None when it is not known yet (it stands in the end record then).
        """
        check_rate(rate)
        check_channels(channels)
        header = self._header(rate, channels, samples, fidelity, components, step, rule, tags)
        steps = self.basis.steps(header.step)[: header.components, None].astype(np.float64)
        counted = _Count(blocks)
        writer: Writer | None = None
        for latents in Analysis(self.network).latents(counted, rate, channels):
            rotated = [self.basis.rotate(z.astype(np.float64), header.components) for z in latents]
            exact = np.stack([(v / steps).T for v in rotated])
            codes = np.rint(exact.clip(-LARGEST_CODE, LARGEST_CODE)).astype(np.int32)
            if writer is None:
                # A seed of the sound's own tells its packets from those of another file with the same settings.
                header = replace(header, seed=zlib.crc32(np.ascontiguousarray(codes, "<i4").tobytes()))
                writer = Writer(out, header, self.tables)
                writer.__enter__()
            writer.write(codes)
        if writer is None:
            raise AudioError("holds no samples", advice="there must be at least one")
        writer.close(samples=counted.samples)
        return header

    def _header(
        self,
        rate: int,
        channels: int,
        samples: int | None,
        fidelity: float | None,
        components: int | None,
        step: int | None,
        rule: str,
        tags: Mapping[str, str] | None,
    ) -> Header:
        if fidelity is not None and components is not None:
            raise UsageError("give a fidelity or a number of components, not both")
        if fidelity is None and components is None:
            fidelity = float(self.default_point["fidelity"])
        if step is None:
            step = int(self.default_point["step"])
        steps = self.tables.steps
        if step not in steps:
            raise UsageError(f"step {step} is not one of the model's, {min(steps)} to {max(steps)}")
        if fidelity is not None:
            try:
                components = self.basis.components_for(fidelity, rule)
            except ValueError as error:
                raise UsageError(str(error)) from error
        assert components is not None
        if not 1 <= components <= self.latents:
            raise UsageError(f"the model has 1 to {self.latents} components, not {components}")
        layout = {1: Layout.MONO, 2: Layout.MID_SIDE}.get(channels, Layout.DISCRETE)
        return Header(
            components=components, channels=channels, layout=layout, source_rate=rate, samples=samples, step=step,
            frames_per_packet=PACKET_FRAMES, fidelity=fidelity, fidelity_rule=FidelityRule(RULES.index(rule)),
            model_name=self.name, model_id=self.model_id, tables_id=self.tables_id, tags=dict(tags or {}),
            rate=self.rate, hop=self.hop, latents=self.latents,
        )  # fmt: skip

    # ------------------------------------------------------------ decoding

    def decode(self, data: bytes, *, rate: int | str | None = None, always_2d: bool = False) -> tuple[Samples, int]:
        """Decode the bytes of an .rvc file into float32 [n] (mono) or [n, channels], and its rate in Hz.

        `rate`: None for the codec's own, "source" for that of the sound that was coded, or any in Hz. Raises
        CorruptError when packets are damaged or missing (`decode_stream` conceals them and reports), ModelError for
        another model's file.
        """
        sound = self.decode_stream(io.BytesIO(data), rate=rate)
        blocks = list(sound.blocks)
        sound.report.raise_if_damaged()
        audio = np.concatenate(blocks) if blocks else np.zeros((0, sound.channels), np.float32)
        return (audio[:, 0] if sound.channels == 1 and not always_2d else audio), sound.rate

    def decode_stream(self, file: BinaryIO, *, rate: int | str | None = None) -> Decoded:
        """Begin to decode a file; sound comes as the result's `blocks` are taken, in constant memory.

        Lost packets are concealed: their latents glide to the mean, and the report counts them.
        """
        reader = Reader(file)
        header = reader.header
        self.check(header)
        reader.tables = self.tables
        target = check_rate(_rate(rate, self.rate, header.source_rate))
        samples = header.samples
        if samples is None:
            trailer = reader.trailer()
            samples = trailer.samples if trailer is not None else None
        length = None if samples is None else _length(samples, header.source_rate, self.rate, target)
        blocks = self._sound(reader, samples)
        if target != self.rate:
            blocks = resample(blocks, self.rate, target, header.channels, length)
        return Decoded(header, target, header.channels, length, blocks, reader)

    def check(self, header: Header) -> None:
        """ModelError, with both names and hashes, when a file was made with another model."""
        if header.model_id != self.model_id:
            raise ModelError(
                f"the file was coded with model {header.model_name!r} ({header.model_id.hex()}), "
                f"this is {self.name!r} ({self.model_id.hex()})",
                name=header.model_name, expected=header.model_id.hex(), found=self.model_id.hex(),
            )  # fmt: skip
        if header.tables_id != self.tables_id:
            raise ModelError(
                f"the file needs the entropy tables {header.tables_id.hex()} of model {header.model_name!r}, "
                f"this one has {self.tables_id.hex()}",
                name=header.model_name, expected=header.tables_id.hex(), found=self.tables_id.hex(),
            )  # fmt: skip

    def _sound(self, reader: Reader, samples: int | None) -> Iterator[Samples]:
        """Blocks of sound at the codec's rate, cut to the length of the sound that was coded."""
        header = reader.header
        left = None if samples is None else resampled_length(samples, header.source_rate, self.rate)
        skip = self._delay
        held: Samples | None = None
        for block in Synthesis(self.network, self.basis, header).blocks(reader):
            block, skip = block[skip:], max(0, skip - len(block))
            if left is not None:
                block = block[:left]
                left -= len(block)
                yield block
                continue
            if held is not None:
                yield held
            held = block
        if held is not None:
            # Only now has the end record told how long the sound is.
            known = reader.report.samples
            if known is not None:
                whole = -(-resampled_length(known, header.source_rate, self.rate) // self.hop) * self.hop
                surplus = whole - resampled_length(known, header.source_rate, self.rate)
                held = held[: len(held) - surplus] if surplus < len(held) else held[:0]
            yield held


class _Count:
    """Counts the samples of blocks that pass."""

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._blocks, self.samples = blocks, 0

    def __iter__(self) -> Iterator[Samples]:
        for block in self._blocks:
            self.samples += len(block)
            yield block


def _rate(rate: int | str | None, codec: int, source: int) -> int:
    if rate is None:
        return codec
    if rate == "source":
        return source
    if isinstance(rate, str):
        raise UsageError(f"the rate is a number of Hz or 'source', not {rate!r}")
    return rate


def _length(samples: int, source: int, rate: int, target: int) -> int:
    if target == source:
        return samples
    return resampled_length(resampled_length(samples, source, rate), rate, target)


def load(name_or_path: PathLike = "default") -> Codec:
    """Load a model by name or path into a codec; ModelError says what is missing or damaged."""
    return Codec(load_model(name_or_path))
