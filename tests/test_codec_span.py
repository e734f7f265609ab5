"""A span of a file: only its bytes are read, and it sounds as in the whole."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from sounds import glide
from test_codec import HOP, save_untrained

from bitstream import CorruptError, Reader
from ravecodec import RvcFile
from ravecodec.codec import Codec, load
from ravecodec.errors import UsageError
from ravecodec.position import Position

SECONDS = 60


class Counting(io.BytesIO):
    """A file that counts the bytes taken from it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data

    def read1(self, size: int | None = -1) -> bytes:
        return self.read(size)


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return load(save_untrained(tmp_path_factory.mktemp("models") / "tiny.safetensors", 0))


@pytest.fixture(scope="module")
def coded(codec: Codec) -> bytes:
    return codec.encode(np.tile(glide(1, 10 * 44100, 44100), SECONDS // 10), 44100, components=6, step=0)


@pytest.fixture(scope="module")
def whole(codec: Codec, coded: bytes) -> dict[int, np.ndarray]:
    return {rate: codec.decode(coded, rate=rate)[0] for rate in (48000, 44100, 8000)}


def span_of(codec: Codec, file: io.BytesIO, rate: int, start: int, end: int | None) -> np.ndarray:
    decoded = codec.decode_stream(file, rate=rate, start=start, end=end)
    sound = np.concatenate([np.zeros((0, 1), np.float32), *decoded.blocks])
    assert decoded.samples == len(sound)
    assert not decoded.report.problems() and not decoded.report.whole
    return sound[:, 0]


@pytest.mark.parametrize("rate", [48000, 44100, 8000])
@pytest.mark.parametrize(
    ("start", "end"), [(0, 0.01), (0, 30), (1.5, 1.5005), (13.4567, 27.9), (51.2, 59.95), (58, None), (59.99, 80)]
)
def test_a_span_sounds_as_in_the_whole(
    codec: Codec, coded: bytes, whole: dict[int, np.ndarray], rate: int, start: float, end: float | None
) -> None:
    first, last = round(start * rate), None if end is None else round(end * rate)
    expected = whole[rate][first:last]
    found = span_of(codec, io.BytesIO(coded), rate, first, last)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4


def test_the_integers_of_a_span_are_those_of_the_whole_and_few_bytes_are_read(codec: Codec, coded: bytes) -> None:
    everything = list(Reader.from_bytes(coded, codec.tables).packets())
    file = Counting(coded)
    reader = Reader(file, codec.tables)
    for packet, same in zip(reader.packets(17, 19), everything[17:19], strict=True):
        assert packet.index == same.index and np.array_equal(packet.codes, same.codes)  # type: ignore[arg-type]
    group = 512 / (SECONDS * 48000 / HOP)  # of the file's frames
    assert file.taken < (group + 0.1) * len(coded)
    assert reader.report.complete and not reader.report.problems()


def test_a_little_sound_costs_little_reading(codec: Codec, coded: bytes, whole: dict[int, np.ndarray]) -> None:
    file = Counting(coded)
    with RvcFile(file, model=codec) as sound:
        sound.seek(-48000, io.SEEK_END)
        assert np.abs(sound.read(4800) - whole[48000][-48000:][:4800]).max() < 1e-4
    assert 0 < file.taken < len(coded) / 3
    assert not file.closed


def test_a_pipe_can_be_asked_for_a_span(codec: Codec, coded: bytes, whole: dict[int, np.ndarray]) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    found = span_of(codec, Pipe(coded), 48000, 48000, 96000)
    assert np.abs(found - whole[48000][48000:96000]).max() < 1e-4


@pytest.mark.parametrize("cut", [True, False])
def test_without_a_good_index_the_span_is_found_all_the_same(
    codec: Codec, coded: bytes, whole: dict[int, np.ndarray], cut: bool
) -> None:
    places = list(Reader.from_bytes(coded).walk())
    victim = places[2]
    assert victim.offset is not None
    damaged = coded[:-30] if cut else coded[: victim.offset] + coded[victim.offset + victim.total_bytes :]
    decoded = codec.decode_stream(io.BytesIO(damaged), start=48000 * 50, end=48000 * 51)
    found = np.concatenate(list(decoded.blocks))[:, 0]
    assert np.abs(found - whole[48000][48000 * 50 : 48000 * 51]).max() < 1e-4
    assert not decoded.report.lost


def test_a_lost_packet_before_the_span_fades_as_in_the_whole(codec: Codec, coded: bytes) -> None:
    victim = list(Reader.from_bytes(coded).walk())[20]
    assert victim.offset is not None
    damaged = bytearray(coded)
    damaged[victim.offset + 20] ^= 1
    everything = np.concatenate(list(codec.decode_stream(io.BytesIO(damaged)).blocks))
    for frame in (victim.start_frame - 2, victim.start_frame, victim.start_frame + 3, victim.start_frame + 70):
        decoded = codec.decode_stream(io.BytesIO(damaged), start=frame * HOP, end=(frame + 2) * HOP)
        found = np.concatenate(list(decoded.blocks))
        assert np.abs(found - everything[frame * HOP : (frame + 2) * HOP]).max() < 1e-4
    with RvcFile(io.BytesIO(damaged), model=codec) as file, pytest.raises(CorruptError, match="lost"):
        file.seek(victim.start_frame * HOP)
        file.read(100)
    with RvcFile(io.BytesIO(damaged), model=codec, conceal=True) as file:
        file.seek(victim.start_frame * HOP)
        assert len(file.read(100)) == 100
        assert file.report.lost == 1


def test_reading_on_in_pieces_and_blocks_equals_the_whole(
    codec: Codec, coded: bytes, whole: dict[int, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "a.rvc"
    path.write_bytes(coded)
    with RvcFile(path, model=codec, rate="source") as file:
        assert (file.frames, file.samplerate, file.channels, len(file)) == (SECONDS * 44100, 44100, 1, SECONDS * 44100)
        expected = whole[44100]
        assert file.seek(1000) == file.tell() == 1000
        pieces = [file.read(size) for size in (1, 10, 5000, 44100, 100_000)]
        assert file.tell() == 1000 + 149_111
        assert np.abs(np.concatenate(pieces) - expected[1000:][:149_111]).max() < 1e-4
        file.seek(-2000, io.SEEK_CUR)
        blocks = list(file.blocks(1000, overlap=100, frames=2500, always_2d=True))
        begin = 1000 + 149_111 - 2000
        assert [len(b) for b in blocks] == [1000, 1000, 700]
        for number, block in enumerate(blocks):
            assert np.abs(block[:, 0] - expected[begin + 900 * number :][: len(block)]).max() < 1e-4
        assert [len(b) for b in file.blocks(1000, frames=2500, fill_value=0)] == [1000] * 3
        file.seek(0, io.SEEK_END)
        assert len(file.read()) == 0 and len(file.read(10, fill_value=0.5)) == 10
        file.seek(-5, io.SEEK_CUR)
        assert file.read(10, dtype="int16").dtype == np.int16 and file.tell() == file.frames
        for wrong in (-1, file.frames + 1):
            with pytest.raises(ValueError, match="outside"):
                file.seek(wrong)
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_a_url_is_read_through_fsspec(codec: Codec, coded: bytes, whole: dict[int, np.ndarray]) -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://sound/a.rvc", "wb") as file:
        file.write(coded)
    with RvcFile("memory://sound/a.rvc", model=codec) as file:
        file.seek(480_000)
        assert np.abs(file.read(4800) - whole[48000][480_000:][:4800]).max() < 1e-4


def test_what_cannot_seek_is_refused(codec: Codec, coded: bytes) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(UsageError, match="cannot seek"):
        RvcFile(Pipe(coded), model=codec)


@pytest.mark.parametrize(
    ("text", "sample"),
    [("1", 100), ("1.5", 150), (".25s", 25), ("1:02.5", 6250), ("1:02:03", 372300), ("77samples", 77), ("5 sample", 5)],
)
def test_places_are_written_in_several_ways(text: str, sample: int) -> None:
    assert Position.parse(text).at(100) == sample


@pytest.mark.parametrize("text", ["", "-1", "1e3", "a", "1:60", "1:75:00", "1.5samples", "::", "nan"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        Position.parse(text)
