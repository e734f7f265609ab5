"""The header of an .rvc file: what the sound was, which model and tables decode it, and the tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import BinaryIO

from .binary import crc32, read_varint, unzigzag, write_varint, zigzag
from .errors import FormatError, UnsupportedError

# As PNG's: a byte above 127, the name, both kinds of line end and the end-of-file of DOS, so that
# every transfer that "repairs" text breaks it.
MAGIC = b"\x89RVC\r\n\x1a\n"
VERSION = 1
MAX_FIELDS = 1 << 16  # bytes of core and optional fields together
MAX_CHANNELS = 8
MAX_LATENTS = 1024
MAX_FRAMES_PER_PACKET = 1024
MAX_SYMBOLS = 1 << 17  # channels x frames x components of one packet
MAX_SAMPLES = (1 << 48) - 1
STEP_RANGE = (-64, 63)
PPM = 1_000_000

# What one bit of the flags stands for: the numbers of the first model family.
USUAL_RATE, USUAL_HOP, USUAL_LATENTS = 48000, 2048, 128

FIELD_MODEL_NAME = 2  # optional fields have even types, critical ones odd
FIELD_TAG = 4
FIELD_COHERENCE = 8


class Layout(IntEnum):
    """What the channels are."""

    MONO = 0
    DISCRETE = 2
    JOINT = 3  # 1 was mid and side, before the first release


class FidelityRule(IntEnum):
    """What the fidelity sums over the components: singular values (the paper) or their squares."""

    SIGMA = 0
    SIGMA_SQUARED = 1


@dataclass(frozen=True)
class Header:
    """Everything known before the first packet; FormatError when a field is impossible.

    `samples` is per channel, at `source_rate`, None when unknown (a pipe). `step` is the global step index in
    eighths of an octave. `fidelity` is kept to a millionth, `coherence` (0 to 1: how much of the noise both channels
    have in common; None: not stated) to a 255th. `unknown` holds optional fields of later versions as (type, bytes), so
    that a tool that rewrites the header keeps them.
    """

    components: int
    channels: int = 1
    layout: Layout = Layout.MONO
    source_rate: int = USUAL_RATE
    samples: int | None = None
    step: int = 0
    frames_per_packet: int = 64
    seed: int = 0
    fidelity: float | None = None
    fidelity_rule: FidelityRule = FidelityRule.SIGMA
    model_name: str = ""
    model_id: bytes = bytes(16)
    tables_id: bytes = bytes(8)
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    rate: int = USUAL_RATE
    hop: int = USUAL_HOP
    latents: int = USUAL_LATENTS
    unknown: tuple[tuple[int, bytes], ...] = ()
    coherence: float | None = None

    def __post_init__(self) -> None:
        _bounded("rate", self.rate, 1, 1 << 20)
        _bounded("hop", self.hop, 1, 1 << 16)
        _bounded("latents", self.latents, 1, MAX_LATENTS)
        _bounded("components", self.components, 1, self.latents)
        _bounded("channels", self.channels, 1, MAX_CHANNELS)
        _bounded("source rate", self.source_rate, 1, 1 << 20)
        _bounded("step", self.step, *STEP_RANGE)
        _bounded("frames per packet", self.frames_per_packet, 1, MAX_FRAMES_PER_PACKET)
        _bounded("symbols per packet", self.packet_symbols, 1, MAX_SYMBOLS)
        _bounded("seed", self.seed, 0, (1 << 32) - 1)
        if self.samples is not None:
            _bounded("samples", self.samples, 0, MAX_SAMPLES)
        if self.fidelity is not None:
            if not 0 < self.fidelity <= 1:
                raise FormatError(f"header: fidelity {self.fidelity} is not in 0..1")
            ppm = max(1, round(self.fidelity * PPM))
            object.__setattr__(self, "fidelity", ppm / PPM)
        if self.coherence is not None:
            if not 0 <= self.coherence <= 1:
                raise FormatError(f"header: coherence {self.coherence} is not in 0..1")
            object.__setattr__(self, "coherence", round(self.coherence * 255) / 255)
        if self.layout not in list(Layout):
            raise FormatError(f"header: there is no layout {self.layout}")
        object.__setattr__(self, "layout", Layout(self.layout))
        object.__setattr__(self, "fidelity_rule", FidelityRule(self.fidelity_rule))
        if (self.layout == Layout.MONO) != (self.channels == 1) or (
            self.layout == Layout.JOINT and self.channels != 2
        ):
            raise FormatError(f"header: {self.channels} channels cannot be {self.layout.name}")
        if len(self.model_id) != 16 or len(self.tables_id) != 8:
            raise FormatError("header: a model id has 16 bytes and a tables id 8")
        if any(not key or "=" in key for key in self.tags):
            raise FormatError("header: a tag's name is empty or holds '='")
        if any(kind & 1 or kind in (FIELD_MODEL_NAME, FIELD_TAG, FIELD_COHERENCE) for kind, _ in self.unknown):
            raise FormatError("header: `unknown` may hold only optional fields")

    @property
    def linked(self) -> bool:
        """Whether a channel is predicted from the one before."""
        return self.layout != Layout.DISCRETE

    @property
    def packet_symbols(self) -> int:
        """Integers in one full packet."""
        return self.channels * self.frames_per_packet * self.components

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.rate / self.hop

    def seconds(self, frames: int) -> float:
        """Duration of the sound: of its samples if known, else of so many frames."""
        if self.samples is not None:
            return self.samples / self.source_rate
        return frames * self.hop / self.rate

    @property
    def stream_crc(self) -> int:
        """CRC-32 of the core fields: every packet's CRC starts from it, which ties packets to their file.

        Tags and the model's name stay outside, so that they can be edited without touching a packet.
        """
        return crc32(self._core())

    def _core(self) -> bytes:
        usual = (self.rate, self.hop, self.latents) == (USUAL_RATE, USUAL_HOP, USUAL_LATENTS)
        flags = (self.channels - 1) | self.layout << 3 | self.fidelity_rule << 5 | (not usual) << 6
        numbers = [] if usual else [self.rate, self.hop, self.latents]
        numbers += [
            self.components,
            0 if self.source_rate == self.rate else self.source_rate,
            zigzag(self.step),
            self.frames_per_packet,
            self.seed,
            0 if self.samples is None else self.samples + 1,
            0 if self.fidelity is None else round(self.fidelity * PPM),
        ]
        return bytes([flags]) + b"".join(map(write_varint, numbers)) + self.model_id + self.tables_id

    def to_bytes(self) -> bytes:
        """The header as it stands in a file; FormatError when the tags make it larger than 64 KiB."""
        fields = [self._core()]
        if self.model_name:
            fields.append(_field(FIELD_MODEL_NAME, _to_utf8(self.model_name)))
        fields += [_field(FIELD_TAG, _to_utf8(f"{key}={value}")) for key, value in self.tags.items()]
        if self.coherence is not None:
            fields.append(_field(FIELD_COHERENCE, bytes([round(self.coherence * 255)])))
        fields += [_field(kind, data) for kind, data in self.unknown]
        body = b"".join(fields)
        if len(body) > MAX_FIELDS:
            raise FormatError(f"header: {len(body)} bytes of fields, at most {MAX_FIELDS} are allowed")
        return sealed(body)

    @classmethod
    def parse(cls, source: bytes | bytearray | BinaryIO) -> Header:
        """Read a header from bytes (more may follow) or from a file, which is left just after it."""
        return cls.measure(source)[0]

    @classmethod
    def measure(cls, source: bytes | bytearray | BinaryIO) -> tuple[Header, int]:
        """As `parse`, and the number of bytes the header takes."""
        data = _whole(source)
        _, pos = read_varint(data, len(MAGIC) + 1)
        core, fields = _read_core(data[:-4], pos)
        fields |= _read_fields(data[:-4], core)
        return cls(**fields), len(data)


def _bounded(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise FormatError(f"header: {name} {value} is outside {low}..{high}")


def _to_utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise FormatError(f"header: {text!r} cannot be written as UTF-8") from None


def sealed(fields: bytes) -> bytes:
    """A header of these bytes of fields, whatever they are, with its magic, size and CRC."""
    head = MAGIC + bytes([VERSION]) + write_varint(len(fields)) + fields
    return head + crc32(head).to_bytes(4, "little")


def _field(kind: int, data: bytes) -> bytes:
    return write_varint(kind) + write_varint(len(data)) + data


def _whole(source: bytes | bytearray | BinaryIO) -> bytes:
    """Exactly the bytes of the header, their magic, version, size and CRC checked."""
    if isinstance(source, (bytes, bytearray)):
        data = bytes(source[: MAX_FIELDS + 32])
        read = None
    else:
        data = b""
        read = source.read

    def upto(size: int) -> None:
        nonlocal data
        while read and len(data) < size:
            more = read(size - len(data))
            if not more:
                break
            data += more
        if len(data) < size:
            raise FormatError("the file ends inside its header")

    upto(len(MAGIC) + 1)
    if data[: len(MAGIC)] != MAGIC:
        raise FormatError("not an .rvc file")
    if data[len(MAGIC)] != VERSION:
        raise UnsupportedError(f"version {data[len(MAGIC)]} of the format; this reader knows {VERSION}")
    size_end = len(MAGIC) + 1
    while True:  # the size is a varint of one to three bytes
        size_end += 1
        upto(size_end)
        if data[size_end - 1] < 0x80 or size_end > len(MAGIC) + 3:
            break
    size, pos = read_varint(data[:size_end], len(MAGIC) + 1, MAX_FIELDS)
    upto(pos + size + 4)
    data = data[: pos + size + 4]
    if crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise FormatError("the header is damaged: its CRC does not hold")
    return data


def _read_core(data: bytes, pos: int) -> tuple[int, dict]:
    """Position after the core fields, and the fields."""
    if pos >= len(data):
        raise FormatError("the header is too short")
    flags = data[pos]
    if flags & 0x80:
        raise UnsupportedError("the header sets a flag that this version does not know")
    pos += 1

    def number() -> int:
        nonlocal pos
        value, pos = read_varint(data, pos)
        return value

    fields: dict = {"rate": USUAL_RATE, "hop": USUAL_HOP, "latents": USUAL_LATENTS}
    if flags & 0x40:
        fields = {"rate": number(), "hop": number(), "latents": number()}
        if tuple(fields.values()) == (USUAL_RATE, USUAL_HOP, USUAL_LATENTS):
            raise FormatError("header: the usual rate, hop and latents are spelled out")
    fields["channels"] = (flags & 7) + 1
    fields["layout"] = flags >> 3 & 3
    fields["fidelity_rule"] = flags >> 5 & 1
    fields["components"] = number()
    rate = number()
    if rate == fields["rate"]:
        raise FormatError("header: the source rate is spelled out though it is the rate")
    fields["source_rate"] = rate or fields["rate"]
    fields["step"] = unzigzag(number())
    fields["frames_per_packet"] = number()
    fields["seed"] = number()
    samples, ppm = number(), number()
    fields["samples"] = samples - 1 if samples else None
    fields["fidelity"] = ppm / PPM if ppm else None
    if pos + 24 > len(data):
        raise FormatError("the header ends inside its core fields")
    fields["model_id"], fields["tables_id"] = data[pos : pos + 16], data[pos + 16 : pos + 24]
    return pos + 24, fields


def _read_fields(data: bytes, pos: int) -> dict:
    """The optional fields that follow the core."""
    name: str | None = None
    coherence: float | None = None
    tags: dict[str, str] = {}
    unknown: list[tuple[int, bytes]] = []
    while pos < len(data):
        kind, pos = read_varint(data, pos)
        size, pos = read_varint(data, pos)
        if size > len(data) - pos:
            raise FormatError("a field of the header is longer than the header")
        content = data[pos : pos + size]
        pos += size
        if kind == FIELD_MODEL_NAME and name is None:
            name = _from_utf8(content)
        elif kind == FIELD_TAG:
            key, equals, value = _from_utf8(content).partition("=")
            if not equals or key in tags:
                raise FormatError("header: a tag is malformed or stands twice")
            tags[key] = value
        elif kind == FIELD_MODEL_NAME:
            raise FormatError("header: the model is named twice")
        elif kind == FIELD_COHERENCE:
            if coherence is not None or len(content) != 1:
                raise FormatError("header: the coherence is not one byte, or stands twice")
            coherence = content[0] / 255
        elif kind & 1:
            raise UnsupportedError(f"the header holds the critical field {kind}, unknown to this reader")
        else:
            unknown.append((kind, content))
    return {"model_name": name or "", "tags": tags, "unknown": tuple(unknown), "coherence": coherence}


def _from_utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError("a text in the header is not UTF-8") from None
