"""Repair, tags, thinning and the count of bits, on integers alone."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from test_bitstream_damage import CODES, COMPONENTS, FILE, FRAMES, FULL, HEADER, PARTS, TABLES, parts_of

from bitstream import (
    FormatError,
    Header,
    Layout,
    ModelError,
    Packet,
    Reader,
    Report,
    Tables,
    Writer,
    packet_bits,
    repair,
    retag,
    seed_of,
    thin,
)
from bitstream.bits import bit_map
from bitstream.trailer import NO_HASH


def repaired(data: bytes, tables: Tables | None = TABLES) -> tuple[bytes, Report]:
    out = io.BytesIO()
    report = repair(io.BytesIO(data), out, tables)
    return out.getvalue(), report


def read(data: bytes) -> tuple[list[Packet], Reader]:
    reader = Reader.from_bytes(data, TABLES)
    return list(reader.packets()), reader


@pytest.mark.parametrize("tables", [TABLES, None])
@pytest.mark.parametrize(
    "damage",
    [
        lambda: FILE,
        lambda: FILE + b"and more",
        lambda: b"".join([*PARTS[:2], b"noise", *PARTS[2:]]),
        lambda: b"".join([*PARTS[:3], PARTS[2], *PARTS[3:]]),
        lambda: b"".join([*PARTS[:2], PARTS[3], PARTS[2], *PARTS[4:]]),
    ],
)
def test_what_is_all_there_is_as_it_was_written(damage, tables: Tables | None) -> None:  # type: ignore[no-untyped-def]
    assert repaired(damage(), tables)[0] == FILE


@pytest.mark.parametrize("number", range(1, 7))
def test_a_lost_packet_stays_known_as_lost(number: int) -> None:
    damaged = bytearray(FILE)
    damaged[len(b"".join(PARTS[:number])) + 3] ^= 4
    data, report = repaired(bytes(damaged))
    assert report.lost_spans == [(number - 1, 1)]
    packets, reader = read(data)
    assert [p.index for p in packets if p.lost] == [number - 1] and reader.report.frames == FRAMES
    assert reader.report.skipped_bytes == 0 and reader.report.complete and reader.index_fits()
    for start in range(6):
        assert [p.index for p in reader.packets(start) if p.lost] == [number - 1] * (number > start)
    assert repaired(data)[0] == data


def test_a_cut_file_ends_where_its_header_says() -> None:
    expected = -(-HEADER.samples * HEADER.rate // (HEADER.source_rate * HEADER.hop))  # type: ignore[operator]
    for kept in range(6):
        cut = b"".join(PARTS[: 1 + kept]) + PARTS[1 + kept][:5]
        for tables in (TABLES, None):
            data, report = repaired(cut, tables)
            packets, reader = read(data)
            frames = max(expected, kept * FULL)
            assert reader.report.complete and reader.report.frames == frames == report.frames
            assert [p.lost for p in packets] == [False] * kept + [True] * (-(-frames // FULL) - kept)
            assert report.packets == len(packets) and report.lost == reader.report.lost


def test_a_cut_file_of_unknown_length_ends_where_it_was_cut() -> None:
    parts = parts_of(replace(HEADER, samples=None))
    data, report = repaired(b"".join(parts[:4]))
    assert report.lost == 0
    _, reader = read(data)
    assert reader.report.exact and reader.report.frames == 3 * FULL
    data, _ = repaired(b"".join(parts[:4]), None)
    _, reader = read(data)
    assert reader.ending is not None and reader.ending.digest == NO_HASH
    assert not reader.report.exact and not reader.report.sound
    assert reader.report.problems() == ["the file names no hash of its integers"]
    assert repaired(data, TABLES)[0] == repaired(b"".join(parts[:4]))[0]


def test_a_packet_that_does_not_decode_is_taken_out_if_the_tables_are_there() -> None:
    from bitstream.packet import Kind, seal

    impossible = seal(Kind.CODED, 1, None, b"\x01\x00", HEADER.stream_crc)  # a payload never ends in zero
    data = b"".join([*PARTS[:2], impossible, *PARTS[3:]])
    out, report = repaired(data)
    assert report.undecodable == 1 and report.lost_spans == [(1, 1)]
    assert read(out)[1].report.undecodable == 0 and read(out)[1].report.lost == 1
    assert repaired(data, None)[0].startswith(data[: -len(PARTS[-1])])


def test_a_damaged_header_is_not_repaired() -> None:
    with pytest.raises(FormatError):
        repaired(b"\0" + FILE)
    with pytest.raises(ModelError):
        repaired(FILE, Tables.from_rows({0: [(0, (1 << 15,))]}))


def test_tags_change_and_nothing_else_does() -> None:
    tagged = replace(HEADER, tags={"title": "Ä", "artist": "B"}, model_name="m", unknown=((6, b"kept"),))
    data = tagged.to_bytes() + b"".join(PARTS[1:])
    out = io.BytesIO()
    header = retag(io.BytesIO(data), out, {"title": "C"})
    assert header == replace(tagged, tags={"title": "C"}) == Header.parse(out.getvalue())
    assert out.getvalue()[len(header.to_bytes()) :] == b"".join(PARTS[1:])
    assert read(out.getvalue())[1].report.exact
    again = io.BytesIO()
    retag(io.BytesIO(out.getvalue()), again, tagged.tags)
    assert again.getvalue() == data
    with pytest.raises(FormatError):
        retag(io.BytesIO(data), io.BytesIO(), {"a": "x" * 70000})


def encoded(codes: np.ndarray, header: Header, lost: int | None = None) -> bytes:
    out = io.BytesIO()
    writer = Writer(out, replace(header, seed=seed_of(codes[:, :FULL])), TABLES)
    for first in range(0, codes.shape[1], FULL):
        if first == lost:
            writer.lose(FULL)
        else:
            writer.write(codes[:, first : first + FULL])
    writer.close()
    return out.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("components", range(1, COMPONENTS + 1))
def test_thinning_gives_the_bytes_of_encoding_less(components: int, channels: int) -> None:
    codes = np.concatenate([CODES, CODES[:, ::-1]])[:channels]
    header = replace(HEADER, channels=channels, layout=Layout.JOINT if channels == 2 else Layout.MONO)
    out = io.BytesIO()
    made = thin(io.BytesIO(encoded(codes, header)), out, TABLES, components)
    assert out.getvalue() == encoded(codes[..., :components], replace(header, components=components))
    assert made.bytes == len(out.getvalue()) and made.report.exact and made.header.components == components


def test_thinning_keeps_what_is_lost_lost_and_cannot_add() -> None:
    out = io.BytesIO()
    thin(io.BytesIO(encoded(CODES, HEADER, lost=FULL)), out, TABLES, 2)
    packets, reader = read(out.getvalue())
    assert [p.index for p in packets if p.lost] == [1]
    assert reader.ending is not None and reader.ending.digest == NO_HASH
    for wrong in (0, COMPONENTS + 1):
        with pytest.raises(ValueError, match="components"):
            thin(io.BytesIO(FILE), io.BytesIO(), TABLES, wrong)


def test_bits_add_up_to_what_the_packets_cost() -> None:
    found = bit_map(io.BytesIO(FILE), TABLES)
    assert found.bits.shape == (6, COMPONENTS)
    for packet, bits in zip(read(FILE)[0], found.bits, strict=True):
        assert packet.codes is not None
        assert bits.sum() == pytest.approx(packet_bits(packet.codes, TABLES, 0))
    assert found.seconds == FRAMES * 2048 / 48000


def test_a_writer_passes_over_lost_packets_but_not_beyond_the_end() -> None:
    writer = Writer(io.BytesIO(), HEADER, TABLES)
    writer.lose(FULL)
    writer.lose(3)
    with pytest.raises(ValueError, match="ended the file"):
        writer.lose(1)
    with pytest.raises(ValueError, match="1 to 8 frames"):
        Writer(io.BytesIO(), HEADER, TABLES).lose(9)


@pytest.mark.parametrize("full", [1, 8])
def test_packets_may_have_a_step_of_their_own(full: int) -> None:
    tables = Tables.fit({step: CODES[0] >> step // 8 for step in (0, 8, 16)})
    header = replace(HEADER, frames_per_packet=full, tables_id=tables.id, samples=None)
    out, sizes = io.BytesIO(), []
    steps = [0, 8, 16, 0, 16, 8] * 8
    with Writer(out, header, tables) as writer:
        for start, step in zip(range(0, FRAMES, full), steps, strict=False):
            codes = CODES[:, start : start + full] >> step // 8
            sizes.append(writer.size_of(codes, step))
            assert writer.write(codes, step) == sizes[-1]
    reader = Reader.from_bytes(out.getvalue(), tables)
    for packet, step in zip(reader.packets(), steps, strict=False):
        assert packet.coarser == step and packet.codes is not None
        start = packet.start_frame
        assert np.array_equal(packet.codes, CODES[:, start : start + packet.frames] >> step // 8)
    assert reader.report.exact and reader.report.frames == FRAMES
    with pytest.raises(ModelError):
        Writer(io.BytesIO(), header, tables).write(CODES[:, :full], 1)


def test_a_step_that_does_not_exist_makes_a_packet_impossible() -> None:
    from bitstream.packet import Kind, seal

    for coarser in (1, 63, 64, 127):
        wrong = seal(Kind.CODED, 0, coarser * FULL, b"\x01", HEADER.stream_crc)
        packets, reader = read(b"".join([PARTS[0], wrong, *PARTS[2:]]))
        assert packets[0].lost and reader.report.undecodable == 1 and reader.report.lost == 1
    outside = seal(Kind.CODED, 0, 128 * FULL, b"\x01", HEADER.stream_crc)
    assert read(b"".join([PARTS[0], outside, *PARTS[2:]]))[1].report.skipped_bytes == len(outside)
