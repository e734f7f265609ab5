"""The codec: sound to .rvc and back, block by block, with one model.

The network sees a block of frames with `preroll` frames on either side; where blocks begin and end depends on the
length of the sound only, so that whole-file and chunked coding give the same integers and the same sound.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from bitstream import FidelityRule, Header, Layout, ModelError, Reader, Writer, seed_of
from bitstream.content import batches
from bitstream.optimise import USUAL_WEIGHT

from .analysis import Analysis, packet_frames
from .audio import Samples, as_samples, check_channels, check_rate
from .basis import RULES, Basis
from .decoding import Decoded, length_at, samples_of, sound, target_rate
from .errors import AudioError, PathLike, UsageError
from .modelfile import Model, load_model
from .quantiser import Quantiser
from .rate import NullFile, Spool, quality_point
from .stereo import arranged
from .synthesis import Synthesis

FALLBACK_POINT = {"fidelity": 0.98, "step": 0}
LIVE_BLOCK = 8  # frames that the encoder takes at once when they are to be written soon


class Codec:
    """One model ready to encode and decode; made by `ravecodec.load`, which says what `stands_in` means."""

    def __init__(self, model: Model, stands_in: bool = False) -> None:
        if model.basis is None or model.tables is None:
            raise ModelError(f"model {model.name!r} is not calibrated (run 'ravecodec calibrate')", name=model.name)
        self.model, self.stands_in = model, stands_in
        self.network = model.network.prepared()
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
        quality: float | None = None,
        bitrate: float | None = None,
        rdoq: bool | None = None,
        stereo: str = "auto",
        tags: Mapping[str, str] | None = None,
    ) -> bytes:
        """Encode sound [n] or [n, channels] at `rate` Hz into the bytes of an .rvc file.

        At most one of fidelity (0 to 1, of the singular values' sum or, by `rule`, of their squares') and components;
        `step` is the quantiser's step index in eighths of an octave. Or a quality, 0 to 10; or a bitrate in kbit/s of
        the whole file. With `rdoq` (rate-distortion optimised quantisation; what is usual) a value that lies almost
        halfway between two integers becomes the cheaper one; without, always the nearest. Two channels are coded
        "joint" or "separate"; "auto" chooses by how much they have in common. Raises AudioError and UsageError.
        """
        samples = as_samples(audio)
        out = io.BytesIO()
        self.encode_stream(
            [samples], rate, samples.shape[1], out, samples=len(samples), fidelity=fidelity, components=components,
            step=step, rule=rule, quality=quality, bitrate=bitrate, rdoq=rdoq, stereo=stereo, tags=tags,
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
        quality: float | None = None,
        bitrate: float | None = None,
        rdoq: bool | None = None,
        stereo: str = "auto",
        cap: float | None = None,
        packet: int | None = None,
        live: bool = False,
        flush: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> Header:
        """Encode blocks of float32 [n, channels] into `out`, in constant memory; returns the header written.

        Args:
            samples: per channel, for the header; None when not known yet (it stands in the end record then).
            fidelity, components, step, rule, quality: the operating point, as for `encode`.
            bitrate: of the file, in kbit/s: the step, and with it the components unless they are given, are chosen so
                that the file comes nearest. The network runs once; what it says is kept until then.
            rdoq, stereo: as for `encode`; live sound, which has no time for it, is rounded if it is not asked for.
                "auto" looks at the first 16 s.
            cap: kbit/s that no packet may exceed: one that would is quantised more coarsely, as far as it takes.
            packet: frames in a packet; by default 128 of sound known to last at most 30 s, else or with a cap 64.
            live: a frame a packet and little delay: 0.8 s of sound instead of 17. The noise's seed is drawn at random,
                so that no packet of another stream can be taken for one of this.
            flush: flush `out` after every packet.
        """
        check_rate(rate)
        check_channels(channels)
        if quality is not None and (fidelity, components, step, bitrate) != (None, None, None, None):
            raise UsageError("give a quality, or fidelity, components, step and bitrate")
        if bitrate is not None and (live or step is not None):
            raise UsageError("a bitrate chooses the step, and needs the whole sound first: not with a step, nor live")
        if quality is not None:
            fidelity, step = quality_point(quality, self.model.notes, self.tables.steps.tolist())
        packet = packet or (1 if live else packet_frames(None if cap else samples, rate))
        if not self.network.places and stereo != "separate":
            if stereo == "joint":
                raise UsageError(f"model {self.name!r} has no envelopes by which joint channels could be told apart")
            stereo = "separate"
        layout, coherence, blocks = arranged(blocks, rate, channels, stereo, live)
        header = self._header(rate, channels, layout, samples, fidelity, components, step, rule, tags, packet)
        header = replace(header, coherence=coherence)
        weighed = not live if rdoq is None else rdoq
        weight = USUAL_WEIGHT if weighed else 0.0
        quantiser = Quantiser(self.basis, self.tables, weight, layout, self.network.ceiling, self.network.switches)
        counted = _Count(blocks)
        analysis = Analysis(self.network, packet, *((LIVE_BLOCK,) if live else ()))
        values: Iterator[np.ndarray] = map(
            quantiser.rotated, analysis.latents(counted, rate, channels, layout == Layout.JOINT)
        )
        spool: Spool | None = None
        if bitrate is not None:
            spool = Spool()
            for part in values:
                spool.append(part)
            values = iter(spool)
            if counted.samples:
                fixed = fidelity is not None or components is not None
                header = quantiser.fitted(spool, header, bitrate * counted.samples / rate, fixed)
        writer: Writer | None = None
        hint = 0
        # Packets are coded side by side where nobody waits for each of them.
        at_once = live or flush or cap is not None
        for group in ([part] for part in values) if at_once else batches(values, header):
            coded: list[bytes] | None = None
            coarser = 0
            if cap is None:
                codes, coded = quantiser.coded(group, header.step, header.components)
            else:
                room = int(cap * 1000 / 8 * group[0].shape[1] * self.hop / self.rate)
                probe = writer or Writer(NullFile(), header, self.tables)  # type: ignore[arg-type]
                capped, hint = quantiser.capped(group[0], probe, room, hint)
                codes, coarser = [capped], hint
            if writer is None:
                header = replace(header, seed=secrets.randbits(32) if live else seed_of(codes[0]))
                writer = Writer(out, header, self.tables, flush=flush)
            writer.write_all(codes, coarser, coded)
        if spool is not None:
            spool.close()
        if writer is None:
            raise AudioError("holds no samples", advice="there must be at least one")
        writer.close(samples=counted.samples)
        return header

    def _header(
        self,
        rate: int,
        channels: int,
        layout: Layout,
        samples: int | None,
        fidelity: float | None,
        components: int | None,
        step: int | None,
        rule: str,
        tags: Mapping[str, str] | None,
        packet: int,
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
        return Header(
            components=components, channels=channels, layout=layout, source_rate=rate, samples=samples, step=step,
            frames_per_packet=packet, fidelity=fidelity, fidelity_rule=FidelityRule(RULES.index(rule)),
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

    def decode_stream(
        self,
        file: BinaryIO,
        *,
        rate: int | str | None = None,
        start: int = 0,
        end: int | None = None,
        block: int | None = None,
    ) -> Decoded:
        """Begin to decode a file; sound comes as the result's `blocks` are taken, in constant memory.

        Lost packets are concealed: their latents glide to the mean, and the report counts them.

        Args:
            rate: as for `decode`.
            start, end: the span to decode, in samples at that rate. Of a file that can seek and has its index only the
                bytes around the span are read; the sound is that of the whole file's decoding within 1e-4.
            block: frames that the network takes at once: fewer answer sooner and cost more.
        """
        return self.sound(self.reader(file), rate=rate, start=start, end=end, block=block)

    def reader(self, file: BinaryIO) -> Reader:
        """A reader of a file of this model; ModelError, with both names and hashes, for any other."""
        reader = Reader(file)
        self.check(reader.header)
        reader.tables = self.tables
        return reader

    def sound(
        self,
        reader: Reader,
        *,
        rate: int | str | None = None,
        start: int = 0,
        end: int | None = None,
        block: int | None = None,
    ) -> Decoded:
        """As `decode_stream`, with a reader of this codec's, which may be used again if its file can seek."""
        header = reader.header
        target = target_rate(rate, header)
        samples = samples_of(reader)
        length = length_at(header, samples, target)
        if start < 0 or (end is not None and end < start):
            raise UsageError(f"samples {start} to {end} are no span")
        if length is not None and (start or end is not None):
            start, end = min(start, length), length if end is None else min(end, length)
            length = end - start
        synthesis = Synthesis(self.network, self.basis, header)
        blocks = sound(reader, synthesis, self._delay, target, samples, start, end, block)
        return Decoded(header, target, header.channels, length, blocks, reader)

    def check(self, header: Header) -> None:
        """ModelError, with both names and hashes, when a file was made with a model that this one cannot decode."""
        if header.model_id != self.model_id and not self.stands_in:
            raise ModelError(
                f"the file was coded with model {header.model_name!r} ({header.model_id.hex()}), "
                f"this is {self.name!r} ({self.model_id.hex()})",
                name=header.model_name, expected=header.model_id.hex(), found=self.model_id.hex(),
            )  # fmt: skip
        if header.tables_id != self.tables_id:
            raise ModelError(
                f"the file needs the entropy tables {header.tables_id.hex()} of model {header.model_name!r}, "
                f"{self.name!r} has {self.tables_id.hex()}",
                name=header.model_name, expected=header.tables_id.hex(), found=self.tables_id.hex(),
            )  # fmt: skip


class _Count:
    """Counts the samples of blocks that pass."""

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._blocks, self.samples = blocks, 0

    def __iter__(self) -> Iterator[Samples]:
        for block in self._blocks:
            self.samples += len(block)
            yield block


def load(name_or_path: PathLike = "default", *, stands_in: bool = False) -> Codec:
    """Load a model by name or path into a codec; ModelError says what is missing or damaged.

    With `stands_in` it also decodes what another model coded, if both have the same entropy tables: these come from the
    encoder and its basis alone, so that only the decoders differ, and the newer one may be the better.
    """
    return Codec(load_model(name_or_path), stands_in)
