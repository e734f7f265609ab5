"""Whole files: integers in, the same integers out, at the cost the model says and little more."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitstream import Header, Kind, Layout, ModelError, Reader, Tables, Writer, info, packet_bits
from bitstream.coder import encode_all
from bitstream.trailer import MAX_GROUPS, GroupIndex


def sound(seed: int, frames: int, components: int = 32, channels: int = 1) -> np.ndarray:
    """Integers [channels, frames, components] like those of a model: large in few components."""
    spread = 9 * np.exp(-np.arange(components) / 6) + 0.05
    noise = np.random.default_rng(seed).laplace(size=(channels, frames, components))
    return np.round(noise * spread).astype(np.int32)


TABLES = Tables.fit({0: sound(0, 20000)[0]})
HEADER = Header(
    components=32, samples=441000, source_rate=44100, model_name="default", tables_id=TABLES.id
)  # fmt: skip


def file_of(
    codes: np.ndarray, header: Header = HEADER, tables: Tables = TABLES, samples: int | None = None
) -> bytes:
    """An .rvc file of codes [channels, frames, components]."""
    out = io.BytesIO()
    writer = Writer(out, header, tables)
    for first in range(0, codes.shape[1], header.frames_per_packet):
        writer.write(codes[:, first : first + header.frames_per_packet])
    writer.close(samples)
    assert writer.bytes_written == len(out.getvalue())
    return out.getvalue()


def codes_of(data: bytes, tables: Tables = TABLES) -> np.ndarray:
    """All integers of an undamaged file."""
    reader = Reader.from_bytes(data, tables)
    parts = [packet.codes for packet in reader.packets()]
    assert reader.report.exact and not reader.report.problems(), reader.report
    empty = np.zeros((reader.header.channels, 0, reader.header.components), dtype=np.int32)
    return np.concatenate([empty, *(part for part in parts if part is not None)], axis=1)


def test_packets_written_together_are_as_one_by_one() -> None:
    codes = sound(3, 700)
    codes[:, 64:128], codes[:, 192:256] = 0, codes[:, 192:193]
    full = [codes[:, n : n + 64] for n in range(0, 640, 64)]
    payloads = encode_all(np.stack(full), TABLES, HEADER.step, HEADER.linked)
    for coded in (None, payloads):  # made by the writer, or known already
        out = io.BytesIO()
        with Writer(out, HEADER, TABLES) as writer:
            sizes = writer.write_all(full, coded=coded) + writer.write(codes[:, 640:])
        assert out.getvalue() == file_of(codes)
        assert sizes == sum(packet.total_bytes for packet in Reader.from_bytes(out.getvalue()).walk())
    with pytest.raises(ValueError, match="should be"):
        Writer(io.BytesIO(), HEADER, TABLES).write_all([codes[:, :64], codes[:, :65]])


class Pipe:
    """A file that only reads, a few bytes at a time."""

    def __init__(self, data: bytes, step: int = 7) -> None:
        self.file = io.BytesIO(data)
        self.step = step

    def read(self, size: int) -> bytes:
        return self.file.read(min(size, self.step))


@given(
    frames=st.integers(0, 40), components=st.integers(1, 6), channels=st.integers(1, 3),
    per_packet=st.integers(1, 12), seed=st.integers(0, 9), zeros=st.integers(0, 30),
)  # fmt: skip
@settings(max_examples=150)
def test_integers_survive(
    frames: int, components: int, channels: int, per_packet: int, seed: int, zeros: int
) -> None:
    codes = sound(seed, frames, components, channels)
    codes[:, :zeros] = 0
    header = replace(
        HEADER, components=components, channels=channels, frames_per_packet=per_packet,
        layout=Layout.MONO if channels == 1 else Layout.DISCRETE,
    )  # fmt: skip
    data = file_of(codes, header)
    assert np.array_equal(codes_of(data), codes)
    assert file_of(codes, header) == data
    reader = Reader(Pipe(data), TABLES)  # type: ignore[arg-type]
    assert sum(packet.frames for packet in reader.packets()) == frames
    assert reader.report.exact and reader.bytes_read == len(data)


def test_packets_know_their_place() -> None:
    codes = sound(1, 150)
    reader = Reader.from_bytes(file_of(codes), TABLES)
    packets = list(reader.packets())
    assert [(p.index, p.start_frame, p.frames) for p in packets] == [(0, 0, 64), (1, 64, 64), (2, 128, 22)]
    assert all(p.codes is not None and p.codes.dtype == np.int32 for p in packets)
    walked = list(reader.walk())
    assert [(p.offset, p.total_bytes, p.kind) for p in walked] == [
        (p.offset, p.total_bytes, p.kind) for p in packets
    ]
    assert all(p.codes is None and not p.lost for p in walked)
    assert reader.report.complete and reader.report.hash_ok is None


def test_the_hash_does_not_depend_on_the_packets() -> None:
    codes = sound(2, 100, channels=2)
    stereo = replace(HEADER, channels=2, layout=Layout.JOINT)
    digests = set()
    for size in (1, 9, 64):
        end = Reader.from_bytes(file_of(codes, replace(stereo, frames_per_packet=size))).trailer()
        assert end is not None
        digests.add(end.digest)
    assert len(digests) == 1


@pytest.mark.parametrize("start", [0, 1, 7, 8, 9, 39, 40, 99])
@pytest.mark.parametrize("seekable", [True, False])
def test_reading_from_any_packet(start: int, seekable: bool) -> None:
    codes = sound(3, 40 * 64 - 5, components=4)
    data = b"before" + file_of(codes, replace(HEADER, components=4))
    file = io.BytesIO(data)
    file.seek(6)
    if seekable:
        reader = Reader(file, TABLES)
    else:
        reader = Reader(Pipe(data[6:], 4096), TABLES)  # type: ignore[arg-type]
    packets = list(reader.packets(start))
    assert [packet.index for packet in packets] == list(range(start, 40))
    for packet in packets:
        assert packet.codes is not None
        assert np.array_equal(packet.codes, codes[:, packet.start_frame :][:, : packet.frames])
    assert reader.report.complete and not reader.report.problems()


def test_seeking_reads_only_what_is_needed() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read1(self, size: int | None = -1) -> bytes:
            data = super().read1(size)
            self.taken += len(data)
            return data

    data = file_of(sound(3, 400 * 64))
    assert len(data) > 100_000
    file = Counting(data)
    next(iter(Reader(file, TABLES).packets(200)))
    assert file.taken <= 1 << 16


def test_a_pipe_is_read_once_and_a_file_again() -> None:
    data = file_of(sound(4, 100))
    reader = Reader.from_bytes(data, TABLES)
    assert len(list(reader.packets())) == len(list(reader.packets())) == 2
    pipe = Reader(Pipe(data), TABLES)  # type: ignore[arg-type]
    list(pipe.packets())
    with pytest.raises(ValueError):
        next(pipe.packets())


def test_a_live_packet_is_handed_out_before_the_next_one_comes() -> None:
    class Live:
        def __init__(self, parts: list[bytes]) -> None:
            self.parts = parts

        def read(self, size: int) -> bytes:
            part, self.parts[0] = self.parts[0][:size], self.parts[0][size:]
            if not self.parts[0]:
                self.parts.pop(0)
            return part

    out = io.BytesIO()
    writer = Writer(out, replace(HEADER, frames_per_packet=1), TABLES)
    places = [len(out.getvalue())]
    codes = sound(5, 4)
    codes[:, 1:3] = 0
    for frame in range(4):
        places.append(places[-1] + writer.write(codes[:, frame : frame + 1]))
    data = out.getvalue()
    bounds = zip([0, *places], places, strict=False)
    live = Live([data[first:last] for first, last in bounds])
    packets = Reader(live, TABLES).packets()  # type: ignore[arg-type]
    for left in (3, 2, 1, 0):
        got = next(packets).codes
        assert got is not None and np.array_equal(got, codes[:, 3 - left : 4 - left])
        assert len(live.parts) == left


def test_silence_and_steady_sound_cost_almost_nothing() -> None:
    silent = np.zeros((1, 64 * 100, 32), dtype=np.int32)
    steady = np.repeat(sound(6, 1), 64 * 100, axis=1)
    base = len(file_of(silent[:, :0]))
    assert len(file_of(silent)) - base < 8 * 100
    assert len(file_of(steady)) - base < 40 * 100
    assert np.array_equal(codes_of(file_of(steady)), steady)
    kinds = {packet.kind for packet in Reader.from_bytes(file_of(steady)).walk()}
    assert kinds == {Kind.STEADY}
    assert packet_bits(silent, TABLES, 0) == 0
    assert packet_bits(steady, TABLES, 0) == TABLES.bits(steady[:, :1], 0)


def test_overhead_is_below_three_percent_at_1500_bit_s() -> None:
    minute = sound(7, 60 * 48000 // 2048)
    kept = next(n for n in range(1, 33) if TABLES.bits(minute[..., :n], 0) / 60 > 1400)
    header = replace(HEADER, components=kept, samples=None)
    figures = info(file_of(minute[..., :kept], header, samples=60 * 44100), TABLES)
    assert figures.model_bits is not None and figures.model_kbps is not None
    assert 1.3 < figures.kbps < 1.6
    overhead = 8 * figures.file_bytes - figures.model_bits
    assert overhead / (8 * figures.file_bytes) < 0.03
    assert figures.payload_bytes - figures.model_bits / 8 < 1 * figures.packets
    assert figures.packet_overhead <= 8 * figures.packets


def test_info() -> None:
    data = file_of(sound(8, 130))
    figures = info(data)
    assert (figures.packets, figures.frames, figures.samples, figures.seconds) == (3, 130, 441000, 10.0)
    assert figures.file_bytes == len(data) and figures.kbps == pytest.approx(len(data) * 8 / 10_000)
    assert figures.model_bits is None and figures.model_kbps is None and figures.end_bytes > 20
    decoded = info(io.BytesIO(data), TABLES)
    assert decoded.report.exact and decoded.model_bits == pytest.approx(
        sum(packet_bits(part, TABLES, 0) for part in np.split(sound(8, 130), [64, 128], axis=1))
    )


def test_samples_of_a_pipe_come_from_the_end_record() -> None:
    data = file_of(sound(9, 10), replace(HEADER, samples=None), samples=12345)
    assert info(data).samples == 12345
    assert info(data).seconds == pytest.approx(12345 / 44100)
    unknown = info(file_of(sound(9, 10), replace(HEADER, samples=None)))
    assert unknown.samples is None and unknown.seconds == pytest.approx(10 * 2048 / 48000)


def test_the_index_stays_small() -> None:
    index = GroupIndex(1)
    sizes = [1 + number % 7 for number in range(5000 * 512)]
    for size in sizes:
        index.add(size)
    assert len(index.groups) <= MAX_GROUPS and sum(index.groups) == sum(sizes)
    assert index.groups[3] == sum(sizes[3 * index.stride : 4 * index.stride])


def test_wrong_tables_are_refused_with_both_hashes() -> None:
    data = file_of(sound(1, 3))
    other = Tables.fit({0: sound(5, 100)[0]})
    for use in (lambda: Reader.from_bytes(data, other), lambda: Writer(io.BytesIO(), HEADER, other)):
        with pytest.raises(ModelError) as caught:
            use()
        assert TABLES.id.hex() in str(caught.value) and other.id.hex() in str(caught.value)
        assert (caught.value.name, caught.value.expected) == ("default", TABLES.id.hex())
    with pytest.raises(ModelError):
        Reader.from_bytes(data).packets()
    with pytest.raises(ModelError):
        Writer(io.BytesIO(), replace(HEADER, step=1), TABLES)


def test_wrong_use_of_the_writer() -> None:
    writer = Writer(io.BytesIO(), HEADER, TABLES)
    for shape in ((1, 64, 31), (2, 64, 32), (1, 65, 32), (1, 0, 32), (64, 32)):
        with pytest.raises(ValueError):
            writer.write(np.zeros(shape, dtype=np.int32))
    with pytest.raises(TypeError):
        writer.write(np.ones((1, 64, 32)))  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        writer.close(samples=5)
    writer.write(sound(1, 3))
    with pytest.raises(ValueError):
        writer.write(sound(1, 3))
    writer.close()


def test_a_writer_that_fails_leaves_a_cut_file() -> None:
    out = io.BytesIO()
    with pytest.raises(KeyError), Writer(out, HEADER, TABLES) as writer:
        writer.write(sound(1, 64))
        raise KeyError
    reader = Reader.from_bytes(out.getvalue(), TABLES)
    assert len(list(reader.packets())) == 1 and not reader.report.complete and reader.report.problems()


def test_coding_is_fast() -> None:
    """64 frames x 128 components x 2 channels, 2.7 s of sound, in a few milliseconds."""
    codes = sound(1, 64, 128, 2)
    tables = Tables.fit({0: sound(2, 2000, 128)[0]})
    header = replace(HEADER, components=128, channels=2, layout=Layout.JOINT, tables_id=tables.id)
    file_of(codes, header, tables)
    start = time.perf_counter()
    for _ in range(10):
        data = file_of(codes, header, tables)
    middle = time.perf_counter()
    for _ in range(10):
        assert codes_of(data, tables).size
    end = time.perf_counter()
    # Ten times what a quiet machine takes: this is a guard against loops over symbols, not a benchmark.
    assert (middle - start) / 10 < 0.02 and (end - middle) / 10 < 0.03
