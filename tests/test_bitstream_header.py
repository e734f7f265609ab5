"""The header: every field survives, every damage is seen, nothing is believed before it is bounded."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitstream import FidelityRule, FormatError, Header, Layout, UnsupportedError
from bitstream.binary import crc32, read_varint, unzigzag, write_varint, zigzag
from bitstream.header import MAGIC, MAX_SAMPLES, VERSION

TYPICAL = Header(
    components=32, source_rate=44100, samples=10 * 44100, step=-4, fidelity=0.99, model_name="default",
    model_id=bytes(range(16)), tables_id=bytes(range(8)),
)  # fmt: skip

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
tag_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="="), min_size=1, max_size=8)

unknown_fields = st.tuples(st.sampled_from([6, 1000]), st.binary(max_size=9))


@st.composite
def headers(draw: st.DrawFn) -> Header:
    channels = draw(st.integers(1, 8))
    layouts = {1: [Layout.MONO], 2: [Layout.JOINT, Layout.DISCRETE]}.get(channels, [Layout.DISCRETE])
    usual = draw(st.booleans())
    latents = 128 if usual else draw(st.integers(1, 1024))
    components = draw(st.integers(1, latents))
    most = min(1024, (1 << 17) // (channels * components))
    return Header(
        components=components,
        channels=channels,
        layout=draw(st.sampled_from(layouts)),
        source_rate=draw(st.sampled_from([8000, 44100, 48000]) | st.integers(1, 1 << 20)),
        samples=draw(st.none() | st.integers(0, MAX_SAMPLES)),
        step=draw(st.integers(-64, 63)),
        frames_per_packet=draw(st.integers(1, most)),
        seed=draw(st.integers(0, 2**32 - 1)),
        fidelity=draw(st.none() | st.floats(1e-6, 1)),
        fidelity_rule=draw(st.sampled_from(FidelityRule)),
        model_name=draw(text),
        model_id=draw(st.binary(min_size=16, max_size=16)),
        tables_id=draw(st.binary(min_size=8, max_size=8)),
        tags=draw(st.dictionaries(tag_names, text, max_size=4)),
        rate=48000 if usual else draw(st.integers(1, 1 << 20)),
        hop=2048 if usual else draw(st.integers(1, 1 << 16)),
        latents=latents,
        unknown=tuple(draw(st.lists(unknown_fields, max_size=2))),
        coherence=draw(st.none() | st.floats(0, 1)),
    )


@given(headers(), st.binary(max_size=20))
@settings(max_examples=150)
def test_round_trip(header: Header, rest: bytes) -> None:
    data = header.to_bytes()
    assert Header.parse(data) == header
    assert Header.parse(data).to_bytes() == data
    file = io.BytesIO(data + rest)
    assert Header.measure(file) == (header, len(data))
    assert file.read() == rest


def test_a_typical_header_is_small() -> None:
    assert len(TYPICAL.to_bytes()) <= 64


def test_every_flipped_bit_and_every_cut_is_noticed() -> None:
    data = TYPICAL.to_bytes()
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FormatError):
            Header.parse(bytes(damaged))
    for size in range(len(data)):
        with pytest.raises(FormatError):
            Header.parse(data[:size])
        with pytest.raises(FormatError):
            Header.parse(io.BytesIO(data[:size]))


@pytest.mark.parametrize("damage", [(b"\r\n", b"\n"), (b"\n", b"\r\n"), (b"\x89", b"\x09"), (b"\x1a", b"")])
def test_text_mode_breaks_the_magic(damage: tuple[bytes, bytes]) -> None:
    with pytest.raises(FormatError, match=r"not an \.rvc file"):
        Header.parse(TYPICAL.to_bytes().replace(*damage))


def sealed(body: bytes, version: int = VERSION) -> bytes:
    """A header with a right CRC around any fields."""
    data = MAGIC + bytes([version]) + write_varint(len(body)) + body
    return data + crc32(data).to_bytes(4, "little")


def body() -> bytes:
    return TYPICAL.to_bytes()[len(MAGIC) + 2 : -4]


def test_unknown_fields() -> None:
    optional = Header.parse(sealed(body() + b"\x46\x02ab"))
    assert optional.unknown == ((0x46, b"ab"),) and optional.to_bytes() == sealed(body() + b"\x46\x02ab")
    with pytest.raises(UnsupportedError):
        Header.parse(sealed(body() + b"\x47\x02ab"))
    with pytest.raises(UnsupportedError):
        Header.parse(sealed(bytes([body()[0] | 0x80]) + body()[1:]))
    with pytest.raises(UnsupportedError, match="version 2"):
        Header.parse(sealed(body(), version=2))


@pytest.mark.parametrize(
    "tail",
    [
        b"\x04\x01a", b"\x04\x03a=b\x04\x03a=c", b"\x04\x02=b", b"\x04\x03a=\xff",
        b"\x02\x01x", b"\x06\xff\x7fa", b"\x06", b"\x86\x00\x00",
        b"\x08\x00", b"\x08\x02aa", b"\x08\x01a\x08\x01a",
    ],
    ids=[
        "no =", "twice", "no name", "not UTF-8", "model twice", "too long", "cut", "long number", "no coherence",
        "two bytes of coherence", "coherence twice",
    ],
)  # fmt: skip
def test_malformed_fields(tail: bytes) -> None:
    with pytest.raises(FormatError):
        Header.parse(sealed(body() + tail))


@given(st.binary(max_size=80), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=400)
def test_any_sealed_bytes_parse_or_raise_a_typed_error(noise: bytes, kept: int, cut: int) -> None:
    try:
        header = Header.parse(sealed(body()[:kept] + noise + body()[kept + cut :]))
    except FormatError:
        return
    assert Header.parse(header.to_bytes()) == header


@pytest.mark.parametrize(
    "wrong",
    [
        {"components": 0}, {"components": 129}, {"channels": 9, "layout": Layout.DISCRETE}, {"channels": 2},
        {"layout": Layout.JOINT}, {"source_rate": 0}, {"samples": -1}, {"step": 64}, {"fidelity": 0.0},
        {"frames_per_packet": 1025}, {"fidelity": 1.5}, {"seed": 1 << 32}, {"model_id": b"short"},
        {"components": 128, "channels": 8, "layout": Layout.DISCRETE, "frames_per_packet": 1024},
        {"tags": {"a=b": "c"}}, {"tags": {"": "c"}}, {"unknown": ((5, b""),)}, {"fidelity": float("nan")},
        {"coherence": -0.1}, {"coherence": 1.1}, {"coherence": float("nan")},
    ],
)  # fmt: skip
def test_impossible_fields_are_refused(wrong: dict) -> None:
    with pytest.raises(FormatError):
        Header(**{"components": 32, **wrong})


def test_tags_cannot_grow_without_bound_and_must_be_text() -> None:
    for tags in ({"a": "b" * 70000}, {"a": "\ud800"}):
        with pytest.raises(FormatError):
            Header(components=1, tags=tags).to_bytes()


def test_tags_and_name_do_not_touch_the_packets() -> None:
    tagged = Header(components=3, tags={"title": "x"}, model_name="y")
    assert tagged.stream_crc == Header(components=3).stream_crc != Header(components=4).stream_crc


def test_a_file_is_not_read_beyond_its_bounds_whatever_the_size_says() -> None:
    class Endless:
        """A file that never ends and counts what is taken from it."""

        taken = 0

        def read(self, size: int) -> bytes:
            self.taken += size
            return (MAGIC + b"\x01\xff\xff\xff\xff\xff")[self.taken - size :][:size].ljust(size, b"\xff")

    file = Endless()
    with pytest.raises(FormatError):
        Header.parse(file)  # type: ignore[arg-type]
    assert file.taken < 1 << 17


@given(st.integers(0, 2**63 - 1))
def test_varints_are_minimal(value: int) -> None:
    data = write_varint(value)
    assert read_varint(data + b"x", 0) == (value, len(data))
    assert len(data) == max(1, -(-value.bit_length() // 7))
    padded = data[:-1] + bytes([data[-1] | 0x80, 0])
    with pytest.raises(FormatError):
        read_varint(padded, 0)
    for size in range(len(data)):
        with pytest.raises(FormatError):
            read_varint(data[:size], 0)


@given(st.integers(-(2**40), 2**40))
def test_zigzag(value: int) -> None:
    assert unzigzag(zigzag(value)) == value and zigzag(value) >= 0


def test_a_header_is_read_without_scipy_torch_or_constriction() -> None:
    code = "import sys, bitstream; print(sorted({'torch', 'scipy', 'constriction'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
