"""Two channels: coded by themselves where the side is loud, else with a side whose step is as coarse as it may be."""

from __future__ import annotations

import io

import numpy as np
import pytest
from sounds import glide

from bitstream import Header, Layout, Packet, Reader, thin
from ravecodec.codec import Codec, load
from ravecodec.errors import UsageError
from ravecodec.stereo import EQUAL, FARTHEST, arranged

SECONDS = 4
MID, SIDE = (glide(seed, SECONDS * 48000) for seed in (3, 5))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return load()


def stereo(loudness: float, mid: np.ndarray = MID) -> np.ndarray:
    side = SIDE * loudness * np.sqrt(np.square(MID).mean() / np.square(SIDE).mean())
    return np.stack([mid + side, mid - side], 1).astype(np.float32)


def read(data: bytes, codec: Codec) -> tuple[Header, list[Packet]]:
    reader = Reader.from_bytes(data, codec.tables)
    packets = list(reader.packets())
    assert reader.report.exact
    return reader.header, packets


def test_a_side_is_as_much_coarser_as_it_is_less_loud(codec: Codec) -> None:
    sizes = []
    for octaves in range(4):
        data = codec.encode(stereo(2.0**-octaves), 48000, step=-8, stereo="mid-side")
        header, packets = read(data, codec)
        assert header.side_steps
        for packet in packets:
            assert packet.side == pytest.approx(EQUAL + 8 * octaves, abs=3)
        sizes.append(len(data))
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 0.8 * sizes[0]


def test_its_mid_is_coded_as_if_it_were_alone(codec: Codec) -> None:
    alone = read(codec.encode(MID.astype(np.float32), 48000), codec)[1]
    for packet, other in zip(read(codec.encode(stereo(0.3), 48000), codec)[1], alone, strict=True):
        assert packet.codes is not None and other.codes is not None
        assert np.array_equal(packet.codes[0], other.codes[0])


def test_a_louder_side_is_not_finer_and_a_silent_one_costs_little(codec: Codec) -> None:
    assert {packet.side for packet in read(codec.encode(stereo(8.0), 48000, stereo="mid-side"), codec)[1]} == {0}
    data = codec.encode(stereo(0.0), 48000, step=-8)
    assert {packet.side for packet in read(data, codec)[1]} == {min(FARTHEST, int(codec.tables.steps[-1]) + 8)}
    assert len(data) < 1.1 * len(codec.encode(MID.astype(np.float32), 48000, step=-8))


def test_where_it_would_cost_more_than_it_saves_there_is_none(codec: Codec) -> None:
    for packet, expected in ((1, False), (8, False), (64, True)):
        out = io.BytesIO()
        codec.encode_stream([stereo(0.3)], 48000, 2, out, packet=packet)
        header, packets = read(out.getvalue(), codec)
        assert header.side_steps == expected == any(each.side for each in packets)
    three = np.concatenate([stereo(0.3), MID[:, None].astype(np.float32)], 1)
    for audio in (three, MID.astype(np.float32)):
        assert not read(codec.encode(audio, 48000), codec)[0].side_steps


def test_it_is_thinned_to_what_would_have_been_written(codec: Codec) -> None:
    audio, out = stereo(0.3), io.BytesIO()
    thin(io.BytesIO(codec.encode(audio, 48000, components=60)), out, codec.tables, 20)
    assert out.getvalue() == codec.encode(audio, 48000, components=20)


@pytest.mark.parametrize("kilobits", [2.0, 6.0])
def test_it_goes_with_a_bitrate_and_with_a_cap(codec: Codec, kilobits: float) -> None:
    data = codec.encode(stereo(0.2), 48000, bitrate=kilobits)
    assert len(data) * 8 / SECONDS / 1000 == pytest.approx(kilobits, rel=0.1)
    out = io.BytesIO()
    codec.encode_stream([stereo(0.2)], 48000, 2, out, step=-16, cap=kilobits, packet=32)
    packets = read(out.getvalue(), codec)[1]
    assert any(packet.coarser for packet in packets) and any(packet.side for packet in packets)
    for found in packets:
        assert found.total_bytes * 8 <= kilobits * 1000 * found.frames * 2048 / 48000


@pytest.mark.parametrize(
    ("loudness", "layout"), [(1.0, Layout.DISCRETE), (0.6, Layout.DISCRETE), (0.3, Layout.MID_SIDE)]
)
def test_a_loud_side_makes_two_channels_of_their_own(codec: Codec, loudness: float, layout: Layout) -> None:
    audio = stereo(loudness)
    data = codec.encode(audio, 48000)
    header, packets = read(data, codec)
    assert header.layout == layout and header.side_steps == (layout == Layout.MID_SIDE)
    for mode, asked in (("left-right", Layout.DISCRETE), ("mid-side", Layout.MID_SIDE)):
        other = codec.encode(audio, 48000, stereo=mode)
        assert Header.parse(other).layout == asked and (other == data) == (asked == layout)
    if layout == Layout.DISCRETE:
        for channel in range(2):
            alone = read(codec.encode(audio[:, channel], 48000), codec)[1]
            for one, both in zip(alone, packets, strict=True):
                assert one.codes is not None and both.codes is not None
                assert np.array_equal(one.codes[0], both.codes[channel])


def test_how_it_is_arranged_is_told_by_its_beginning(codec: Codec) -> None:
    wide, narrow = stereo(1.0), stereo(0.2)
    for beginning, rest, layout in ((wide, narrow, Layout.DISCRETE), (narrow, wide, Layout.MID_SIDE)):
        blocks = [beginning] * 4 + [rest] * 4
        assert arranged(blocks, 48000, 2, "auto")[0] == layout
        found = list(arranged(iter(blocks), 48000, 2, "auto")[1])
        assert len(found) == 8 and np.array_equal(np.concatenate(found), np.concatenate(blocks))
    assert arranged([wide], 48000, 2, "auto", live=True)[0] == Layout.MID_SIDE
    assert arranged([wide[:0]], 48000, 2, "auto")[0] == Layout.MID_SIDE
    with pytest.raises(UsageError, match="left-right"):
        codec.encode(wide, 48000, stereo="joint")


def test_left_and_right_stay_where_they_are(codec: Codec) -> None:
    audio = np.stack([MID, np.zeros_like(MID)], 1).astype(np.float32)
    decoded, _ = codec.decode(codec.encode(audio, 48000))
    left, right = np.square(decoded).mean(0)
    assert left > 10 * right
