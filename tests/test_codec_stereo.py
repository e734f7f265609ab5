"""Two channels: jointly, with an envelope each and all else in common, or by themselves if nothing is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from sounds import glide

from bitstream import Header, Layout, Reader, thin
from ravecodec.codec import Codec, load
from ravecodec.errors import UsageError
from ravecodec.stereo import HEARD, arranged, parted, put_together, shared_noise

SECONDS = 4
ONE, TWO = (glide(seed, SECONDS * 48000).astype(np.float32) for seed in (3, 5))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return load()


def panned(left: float, right: float) -> np.ndarray:
    return np.stack([left * ONE, right * ONE], 1)


def codes_of(data: bytes, codec: Codec) -> tuple[Header, np.ndarray]:
    reader = Reader.from_bytes(data, codec.tables)
    codes = [packet.codes for packet in reader.packets() if packet.codes is not None]
    assert reader.report.exact
    return reader.header, np.concatenate(codes, 1)


def test_the_same_in_both_channels_costs_little_more_than_once(codec: Codec) -> None:
    data, once = codec.encode(panned(1, 1), 48000), codec.encode(ONE, 48000)
    header, codes = codes_of(data, codec)
    assert header.layout == Layout.JOINT and not codes[1].any()
    assert np.array_equal(codes[0], codes_of(once, codec)[1][0])
    assert len(data) < 1.25 * len(once)
    left, right = codec.decode(data)[0].T
    assert np.array_equal(left, right)


def test_what_is_panned_keeps_its_place(codec: Codec) -> None:
    for decibels in (-18, -6, 6, 18):
        gain = 10 ** (decibels / 20)
        decoded, _ = codec.decode(codec.encode(panned(1, gain), 48000, stereo="joint"))
        left, right = np.square(decoded).mean(0)
        assert 10 * np.log10(right / left) == pytest.approx(decibels, abs=1.5)


def test_two_jointly_coded_channels_share_what_has_no_place(codec: Codec) -> None:
    audio = np.stack([ONE + 0.2 * TWO, 0.2 * ONE + TWO], 1)
    header, codes = codes_of(codec.encode(audio, 48000), codec)
    assert header.layout == Layout.JOINT
    own = np.abs(codec.basis.vectors[: header.components]).argmax(1) >= codec.network.contour.start
    assert not codes[1][:, ~own].any() and codes[1][:, own].any()


def test_middle_and_half_difference_give_both_channels_back() -> None:
    exact = np.random.default_rng(0).normal(size=(2, 50, 30)) * np.geomspace(0.1, 50, 30)
    middle, half = codes = np.rint(parted(exact)).astype(int)
    left, right = found = put_together(codes)
    assert np.array_equal(left + right, 2 * middle) and np.array_equal(right - left, 2 * half)
    assert np.abs(found - exact).max() <= 0.5 + 2 / 3  # half a step of the middle, and what a difference is spared
    assert not half[np.abs(exact[1] - exact[0]) < 4 / 3].any()
    assert np.array_equal(np.rint(parted(exact[[1, 0]])), np.stack([middle, -half]))


def test_channels_with_nothing_in_common_are_coded_as_if_each_were_alone(codec: Codec) -> None:
    audio = np.stack([ONE, TWO], 1)
    data = codec.encode(audio, 48000)
    header, codes = codes_of(data, codec)
    assert header.layout == Layout.DISCRETE
    alone = [codec.encode(audio[:, channel], 48000) for channel in range(2)]
    for channel in range(2):
        assert np.array_equal(codes[channel], codes_of(alone[channel], codec)[1][0])
    assert len(data) < sum(map(len, alone))
    for asked, layout in (("separate", Layout.DISCRETE), ("joint", Layout.JOINT)):
        other = codec.encode(audio, 48000, stereo=asked)
        assert Header.parse(other).layout == layout and (other == data) == (layout == Layout.DISCRETE)


def test_how_it_is_coded_is_told_by_its_beginning(codec: Codec) -> None:
    wide, narrow, opposed = np.stack([ONE, TWO], 1), panned(1, 0.5), panned(1, -0.5)
    times = round(HEARD / SECONDS)
    for first, rest, layout in ((wide, narrow, Layout.DISCRETE), (narrow, wide, Layout.JOINT)):
        blocks = [first] * times + [rest] * times
        assert arranged(blocks, 48000, 2)[0] == layout
        found = list(arranged(iter(blocks), 48000, 2)[2])
        assert np.array_equal(np.concatenate(found), np.concatenate(blocks))
    assert arranged([opposed], 48000, 2)[0] == Layout.DISCRETE
    assert arranged([opposed], 48000, 2, live=True)[0] == Layout.JOINT
    assert arranged([wide[:0]], 48000, 2)[0] == arranged([0 * wide], 48000, 2)[0] == Layout.JOINT
    with pytest.raises(UsageError, match="joint or separate"):
        codec.encode(wide, 48000, stereo="mid-side")


def test_channels_have_as_much_noise_in_common_as_they_are_alike(codec: Codec) -> None:
    for wanted in (None, 0.0, 0.3, 0.8, 1.0):
        left, right = shared_noise(7, wanted, 4, -5, 20000).numpy()
        found = np.corrcoef(left.ravel(), right.ravel())[0, 1]
        assert found == pytest.approx(1 if wanted is None else wanted, abs=0.02)
        assert np.abs(np.sort(right.ravel()) - np.linspace(-1, 1, right.size)).max() < 0.02  # as uniform as it was
        again = shared_noise(7, wanted, 4, 95, 100).numpy()
        assert np.array_equal(again[1], right[:, 100:200])
    dice = np.random.default_rng(0)
    common, one, two = dice.normal(size=(3, 96000)).astype(np.float32) * 0.05
    for share in (0.2, 0.5, 0.9):
        audio = np.stack([share**0.5 * common + (1 - share) ** 0.5 * other for other in (one, two)], 1)
        data = codec.encode(audio, 48000)
        assert Header.parse(data).coherence == pytest.approx(share, abs=0.03)
        left, right = codec.decode(data)[0].T
        assert np.corrcoef(left, right)[0, 1] == pytest.approx(share, abs=0.2)
    assert Header.parse(codec.encode(panned(1, 1), 48000)).coherence == 1.0


def test_one_hard_left_and_one_hard_right(codec: Codec) -> None:
    audio = np.stack([ONE, 0 * ONE], 1)
    decoded, _ = codec.decode(codec.encode(audio, 48000))
    left, right = np.square(decoded).mean(0)
    assert left > 1000 * right


def test_it_is_thinned_to_what_would_have_been_written(codec: Codec) -> None:
    audio, out = panned(1, 0.5), io.BytesIO()
    thin(io.BytesIO(codec.encode(audio, 48000, components=60)), out, codec.tables, 20)
    assert out.getvalue() == codec.encode(audio, 48000, components=20)


@pytest.mark.parametrize("kilobits", [2.0, 5.0])
def test_it_goes_with_a_bitrate_with_a_cap_and_with_rdoq(codec: Codec, kilobits: float) -> None:
    audio = np.stack([ONE + 0.3 * TWO, ONE - 0.3 * TWO], 1)
    data = codec.encode(audio, 48000, bitrate=kilobits)
    assert len(data) * 8 / SECONDS / 1000 == pytest.approx(kilobits, rel=0.1)
    out = io.BytesIO()
    codec.encode_stream([audio], 48000, 2, out, step=-16, cap=kilobits, packet=32)
    reader = Reader.from_bytes(out.getvalue(), codec.tables)
    packets = list(reader.packets())
    assert reader.report.exact and any(packet.coarser for packet in packets)
    for found in packets:
        assert found.total_bytes * 8 <= kilobits * 1000 * found.frames * 2048 / 48000
    assert len(codec.encode(audio, 48000)) < len(codec.encode(audio, 48000, rdoq=False))
