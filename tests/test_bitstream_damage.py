"""Damaged files: never other integers in silence, never an untyped error, never work without bound."""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from context_streams import random_context, random_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from bitstream import CorruptError, FormatError, Header, Kind, Layout, Packet, Reader, Tables, Writer, info
from bitstream.binary import write_varint
from bitstream.packet import seal
from bitstream.tables import CHOSEN
from bitstream.trailer import Trailer

FULL, COMPONENTS = 8, 5


def sound(seed: int, frames: int) -> np.ndarray:
    """Integers [1, frames, COMPONENTS]."""
    spread = np.array([6, 3, 1.5, 0.7, 0.2])
    noise = np.random.default_rng(seed).laplace(size=(1, frames, COMPONENTS))
    return np.round(noise * spread).astype(np.int32)


TABLES = Tables.fit({0: sound(0, 5000)[0]})
HEADER = Header(components=COMPONENTS, frames_per_packet=FULL, samples=94000, tables_id=TABLES.id)
FRAMES = 5 * FULL + 3  # six packets, the last one short; the third silent, the fourth steady
CODES = sound(1, FRAMES)
CODES[:, 2 * FULL : 3 * FULL] = 0
CODES[:, 3 * FULL : 4 * FULL] = CODES[:, 3 * FULL : 3 * FULL + 1]


def parts_of(header: Header = HEADER, codes: np.ndarray = CODES) -> list[bytes]:
    """Header, packets and end record of a file, each by itself."""
    out = io.BytesIO()
    with Writer(out, header, TABLES) as writer:
        places = [0, writer.bytes_written]
        for first in range(0, codes.shape[1], FULL):
            places.append(places[-1] + writer.write(codes[:, first : first + FULL]))
    data = out.getvalue()
    return [data[first:last] for first, last in zip(places, [*places[1:], len(data)], strict=True)]


PARTS = parts_of()
FILE = b"".join(PARTS)


def read(data: bytes) -> tuple[list[Packet], Reader]:
    """Read a damaged file and check what must hold of every one: what is not reported lost is right."""
    reader = Reader.from_bytes(data, TABLES)
    packets = list(reader.packets())
    for number, packet in enumerate(packets):
        assert packet.index == number and packet.start_frame == FULL * number
        assert packet.lost == (packet.codes is None)
        if packet.codes is not None:
            assert np.array_equal(packet.codes, CODES[:, packet.start_frame :][:, : packet.frames])
    report = reader.report
    assert report.finished and report.packets == len(packets)
    assert report.lost == sum(packet.lost for packet in packets)
    assert not report.exact or report.frames == FRAMES
    return packets, reader


def test_every_flipped_bit_is_an_error_a_lost_packet_or_a_reported_end() -> None:
    outcomes = {"header": 0, "lost": 0, "end": 0}
    for place in range(8 * len(FILE)):
        damaged = bytearray(FILE)
        damaged[place // 8] ^= 1 << place % 8
        try:
            _, reader = read(bytes(damaged))
        except FormatError:
            outcomes["header"] += 1
            continue
        assert reader.report.problems() and not reader.report.exact
        with pytest.raises(CorruptError):
            reader.report.raise_if_damaged()
        if reader.report.complete:
            assert reader.report.lost == 1 and reader.report.frames == FRAMES
            outcomes["lost"] += 1
        else:
            assert reader.report.lost == 0 and reader.report.frames == FRAMES
            outcomes["end"] += 1
    sizes = [8 * len(part) for part in PARTS]
    assert outcomes == {"header": sizes[0], "lost": sum(sizes[1:-1]), "end": sizes[-1]}


def test_every_cut_decodes_up_to_the_last_whole_packet() -> None:
    ends = np.cumsum([len(part) for part in PARTS])
    for size in range(len(FILE)):
        if size < ends[0]:
            with pytest.raises(FormatError):
                read(FILE[:size])
            continue
        packets, reader = read(FILE[:size])
        assert len(packets) == np.searchsorted(ends[:-1], size, "right") - 1
        assert not reader.report.complete and reader.report.lost == 0 and reader.report.problems()


@pytest.mark.parametrize("number", range(1, 7))
def test_a_removed_packet_is_lost_with_its_frames(number: int) -> None:
    packets, reader = read(b"".join(PARTS[:number] + PARTS[number + 1 :]))
    assert [packet.index for packet in packets if packet.lost] == [number - 1]
    assert reader.report.frames == FRAMES and reader.report.lost_spans == [(number - 1, 1)]
    assert packets[number - 1].frames == (3 if number == 6 else FULL)


def test_all_packets_removed() -> None:
    _, reader = read(PARTS[0] + PARTS[-1])
    assert reader.report.lost == 6 and reader.report.frames == FRAMES and reader.report.hash_ok is None


@pytest.mark.parametrize("number", range(1, 7))
def test_a_doubled_packet_is_dropped(number: int) -> None:
    _, reader = read(b"".join(PARTS[: number + 1] + PARTS[number:]))
    assert reader.report.duplicates == 1 and reader.report.exact and reader.report.problems()


@given(st.permutations(range(6)))
@settings(max_examples=100)
def test_packets_out_of_order_are_put_in_order_or_lost(order: list[int]) -> None:
    _, reader = read(PARTS[0] + b"".join(PARTS[1 + number] for number in order) + PARTS[-1])
    report = reader.report
    assert report.frames == FRAMES and (report.exact or report.lost)
    assert bool(report.problems()) == (order != sorted(order))


def test_neighbours_that_change_places_cost_nothing() -> None:
    _, reader = read(b"".join([*PARTS[:2], PARTS[3], PARTS[2], *PARTS[4:]]))
    assert reader.report.exact and reader.report.reordered == 1


def test_packets_of_another_file_are_not_taken() -> None:
    other = parts_of(replace(HEADER, seed=1), sound(9, FRAMES))
    packets, reader = read(b"".join([*PARTS[:3], other[3], *PARTS[4:]]))
    assert [packet.index for packet in packets if packet.lost] == [2]
    assert reader.report.skipped_bytes == len(other[3])
    _, reader = read(FILE + b"".join(other))
    assert reader.report.exact and reader.report.trailing_bytes == len(b"".join(other))


def test_a_packet_of_a_twin_is_caught_by_the_hash() -> None:
    twin = parts_of(HEADER, sound(9, FRAMES))
    reader = Reader.from_bytes(b"".join([*PARTS[:2], twin[2], *PARTS[3:]]), TABLES)
    list(reader.packets())
    assert reader.report.hash_ok is False and not reader.report.exact and reader.report.problems()


@given(st.data())
@settings(max_examples=150)
def test_any_mixture_of_damage(data: st.DataObject) -> None:
    body = bytearray(FILE[len(PARTS[0]) :])
    for _ in range(data.draw(st.integers(1, 4))):
        first = data.draw(st.integers(0, len(body)))
        last = data.draw(st.integers(first, min(len(body), first + 40)))
        body[first:last] = data.draw(st.binary(max_size=30))
    damaged = PARTS[0] + bytes(body)
    _, reader = read(damaged)
    assert damaged == FILE or not reader.report.exact or reader.report.problems()
    assert info(damaged).report.packets == reader.report.packets


@given(st.binary(max_size=200))
@settings(max_examples=150)
def test_bytes_that_are_no_file(noise: bytes) -> None:
    with contextlib.suppress(FormatError):
        list(Reader.from_bytes(noise, TABLES).packets())
    read(PARTS[0] + noise)
    read(PARTS[0] + noise + b"".join(PARTS[1:]))


def crafted(kind: Kind, index: int, frames: int | None, payload: bytes) -> bytes:
    """A packet whose CRC is right and whose content need not be."""
    return seal(kind, index, frames, payload, HEADER.stream_crc)


@given(st.integers(0, 2), st.binary(max_size=30), st.none() | st.integers(1, FULL - 1))
@settings(max_examples=150)
def test_payloads_with_a_right_crc_decode_or_are_lost(kind: int, payload: bytes, frames: int | None) -> None:
    packet = crafted(Kind(kind), 0, frames, payload)
    reader = Reader.from_bytes(PARTS[0] + packet, TABLES)
    for got in reader.packets():
        assert got.lost or got.codes is not None
        assert got.frames == (frames or FULL)


@given(st.integers(0, 9), st.binary(max_size=40), st.lists(st.integers(0, 2**40), max_size=6))
@settings(max_examples=150)
def test_end_records_with_a_right_crc_are_believed_or_ignored(
    index: int, noise: bytes, numbers: list[int]
) -> None:
    for payload in (noise, bytes(16) + b"".join(map(write_varint, numbers)) + noise[:4]):
        data = b"".join(PARTS[:-1]) + crafted(Kind.END, index, None, payload)
        reader = Reader.from_bytes(data, TABLES)
        packets = list(reader.packets())
        assert len(packets) < 20 and reader.report.problems()
        reader.trailer()
        list(reader.packets(3))


def test_a_lying_index_only_costs_time() -> None:
    good = Reader.from_bytes(FILE).trailer()
    assert good is not None
    lie = replace(good, stride=1, groups=(3, 1000, 0, 1 << 40, 5, 5))
    size = len(crafted(Kind.END, 6, None, lie.to_payload(9))) - len(lie.to_payload(9))
    reader = Reader.from_bytes(
        b"".join(PARTS[:-1]) + crafted(Kind.END, 6, None, lie.to_payload(size)), TABLES
    )
    assert isinstance(reader.trailer(), Trailer)
    for start in range(7):
        for packet in reader.packets(start):
            assert packet.lost or packet.codes is not None
            if packet.codes is not None:
                assert np.array_equal(packet.codes, CODES[:, packet.start_frame :][:, : packet.frames])


@pytest.mark.parametrize("index", [5000, 1 << 20, (1 << 28) - 1])
def test_a_jump_of_the_index_is_not_believed_without_bound(index: int) -> None:
    for kind in (Kind.ZERO, Kind.END):
        payload = b"" if kind == Kind.ZERO else Trailer(index, index * FULL, None, bytes(16)).to_payload(9)
        reader = Reader.from_bytes(PARTS[0] + PARTS[1] + crafted(kind, index, None, payload), TABLES)
        assert len(list(reader.packets())) == 1 and reader.report.problems()


def test_lost_packets_cannot_be_multiplied_without_bound() -> None:
    jumps = b"".join(crafted(Kind.ZERO, 4000 * number, None, b"") for number in range(200))
    reader = Reader.from_bytes(PARTS[0] + jumps, TABLES)
    assert sum(1 for _ in reader.packets()) < 4096 + 17 * 200
    assert reader.report.foreign > 0


def test_nothing_follows_a_short_packet() -> None:
    data = PARTS[0] + crafted(Kind.ZERO, 0, 3, b"") + crafted(Kind.ZERO, 1, None, b"")
    reader = Reader.from_bytes(data, TABLES)
    assert [packet.frames for packet in reader.packets()] == [3] and reader.report.foreign == 1


def noise(size: int) -> bytes:
    """Reproducible random bytes."""
    return hashlib.shake_128(b"rvc").digest(size)


# Heads that promise long payloads at every byte: the worst that a scanner can meet.
PROMISES = write_varint(1000 << 3) + b"\x01"


@pytest.mark.parametrize("kind", ["noise", "zeros", "promises"])
@pytest.mark.parametrize("traced", [False, True])
def test_a_long_damage_is_crossed_in_bounded_time_and_memory(kind: str, traced: bool) -> None:
    size = 5_000 if traced else 100_000  # tracing memory is slow
    junk = {"noise": noise(size), "zeros": bytes(size), "promises": PROMISES * (size // 3)}[kind]
    wide = replace(HEADER, components=128, frames_per_packet=1024)  # payloads up to 1 MiB would be honest
    assert wide.packet_symbols == 1 << 17
    packet = seal(Kind.ZERO, 0, None, b"", wide.stream_crc)
    data = wide.to_bytes() + junk + packet
    if traced:
        tracemalloc.start()
    start = time.perf_counter()
    reader = Reader.from_bytes(data)
    assert [got.lost for got in reader.walk()] == [False]
    if traced:
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()
    else:
        assert time.perf_counter() - start < 5
    assert reader.report.skipped_bytes == len(junk)


def test_escapes_without_end_stay_within_memory() -> None:
    components = 128
    tables = Tables.from_rows({0: [(0, (1 << 15,))] * components})
    wide = Header(components=components, frames_per_packet=1024, tables_id=tables.id)
    packet = seal(Kind.CODED, 0, None, b"\xff" * 900_000 + b"\x01", wide.stream_crc)
    tracemalloc.start()
    list(Reader.from_bytes(wide.to_bytes() + packet, tables).packets())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20


@pytest.mark.parametrize(
    ("channels", "frames", "count"), [(8, 1024, 9), (1, 1024, 9), (1, 64, 200), (1, 1, 600), (8, 1, 600)]
)
def test_packets_decoded_together_stay_within_memory(channels: int, frames: int, count: int) -> None:
    dice = np.random.default_rng(5)
    rows = random_rows(dice, 4, 2)
    context = random_context(dice, 1, np.arange(2), dice.integers(0, 4, (3, 8)), 64)
    tables = Tables(
        [0], [[CHOSEN] * 2], [low for low, _ in rows], [len(c) for _, c in rows], [n for _, c in rows for n in c],
        context,
    )  # fmt: skip
    wide = Header(
        components=2, channels=channels, layout=Layout.DISCRETE if channels > 1 else Layout.MONO,
        frames_per_packet=frames, tables_id=tables.id,
    )  # fmt: skip
    packets = [seal(Kind.CODED, n, None, dice.bytes(200) + b"\x01", wide.stream_crc) for n in range(count)]
    data = wide.to_bytes() + b"".join(packets)
    tracemalloc.start()
    assert sum(1 for _ in Reader.from_bytes(data, tables).packets()) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20
