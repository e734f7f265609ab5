"""Rate control: the bitrate that was asked for, by one run of the network; qualities; live coding."""

from __future__ import annotations

import dataclasses
import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sounds import glide
from test_codec import codes_of, save_untrained

import bitstream
from bitstream import Header, ModelError, Reader, thin
from ravecodec import storedtables
from ravecodec.codec import Codec, load
from ravecodec.errors import UsageError
from ravecodec.modelfile import model_id
from ravecodec.rate import QUALITIES, Point, Spool, choose, first_fit, quality_point

STEPS = list(range(-24, 9))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained(tmp_path_factory.mktemp("models") / "tiny.safetensors", 0)


@pytest.fixture(scope="module")
def codec(model: Path) -> Codec:
    return load(model)


@pytest.fixture(scope="module")
def audio() -> np.ndarray:
    return np.stack([glide(1, 12 * 48000), glide(2, 12 * 48000)], 1)


def kbps(data: bytes) -> float:
    return bitstream.info(data).kbps


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [1.0, 2.5, 6.0])
def test_a_file_has_the_bitrate_asked_for(codec: Codec, audio: np.ndarray, rate: float, channels: int) -> None:
    data = codec.encode(audio[:, :channels], 48000, bitrate=rate * channels)
    assert kbps(data) == pytest.approx(rate * channels, rel=0.02)
    assert bitstream.info(data, codec.tables).report.exact
    header = Header.parse(data)
    again = codec.encode(audio[:, :channels], 48000, components=header.components, step=header.step)
    assert np.array_equal(codes_of(again, codec), codes_of(data, codec))


def test_the_network_runs_once(codec: Codec, audio: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0
    encode = codec.network.encode

    def counted(sound):  # type: ignore[no-untyped-def]
        nonlocal runs
        runs += 1
        return encode(sound)

    monkeypatch.setattr(codec.network, "encode", counted)
    codec.encode(audio[:, 0], 48000, bitrate=2.0)
    assert runs == 1


def test_components_that_are_given_stay(codec: Codec, audio: np.ndarray) -> None:
    header = Header.parse(codec.encode(audio[:, 0], 48000, bitrate=2.0, components=40))
    assert header.components == 40
    header = Header.parse(codec.encode(audio[:, 0], 48000, bitrate=2.0, fidelity=0.7))
    assert (header.components, header.fidelity) == (codec.components_for(0.7), 0.7)


def test_every_cut_of_a_file_is_the_encoding_of_so_many_components(codec: Codec, audio: np.ndarray) -> None:
    whole = codec.encode(audio, 48000, components=128, tags={"title": "x"})
    for components in (1, 2, 17, 64, 127, 128):
        out = io.BytesIO()
        thin(io.BytesIO(whole), out, codec.tables, components)
        assert out.getvalue() == codec.encode(audio, 48000, components=components, tags={"title": "x"})


@pytest.mark.parametrize("target", [1.0, 50.0, 400.0, 1500.0, 1e5])
@pytest.mark.parametrize("fixed", [True, False])
def test_the_nearest_point_is_found_with_few_codings(target: float, fixed: bool) -> None:
    asked = []

    def size(point: Point) -> int:
        asked.append(point)
        return round(20 + point.components**0.8 * 2 ** (-point.step / 8) * 5)

    point = choose(size, target, STEPS, 60, 128, fixed)
    assert len(asked) == len(set(asked)) <= 40
    assert point.step in STEPS and 1 <= point.components <= 128 and (not fixed or point.components == 60)
    best = min(abs(size(p) - target) for p in list(asked))
    assert abs(size(point) - target) == best
    if not fixed and 50 <= target <= 1500:
        assert best < 0.03 * target + 1


@pytest.mark.parametrize("count", [1, 2, 33])
def test_the_first_that_fits_is_found_from_any_hint(count: int) -> None:
    for answer in range(count + 1):
        for hint in range(count + 2):
            asked: list[int] = []
            found = first_fit(lambda n: asked.append(n) is None and n >= answer, count, hint)  # noqa: B023
            assert found == min(answer, count - 1)
            assert len(asked) <= 12 and all(0 <= n < count for n in asked)
            if 0 < hint == answer < count:
                assert len(asked) == 2


def test_qualities_rise(codec: Codec, audio: np.ndarray) -> None:
    sizes = [len(codec.encode(audio[:, 0], 48000, quality=q)) for q in (0, 2.5, 5, 7.5, 10)]
    assert all(a < b for a, b in pairwise(sizes))
    assert len(QUALITIES) == 11
    notes = {"points": [{"fidelity": 0.5, "step": 8}, {"fidelity": 0.9, "step": -8}]}
    assert quality_point(0, notes, STEPS) == (0.5, 8)
    assert quality_point(10, notes, STEPS) == (0.9, -8)
    assert quality_point(5, notes, [-8, 1, 8]) == (0.7, 1)
    for wrong in (-1, 10.5):
        with pytest.raises(UsageError, match="quality is 0 to 10"):
            quality_point(wrong, {}, STEPS)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 5, "fidelity": 0.9}, {"quality": 5, "bitrate": 2}, {"bitrate": 2, "step": 0},
        {"bitrate": 2, "live": True},
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(codec: Codec, audio: np.ndarray, options: dict) -> None:
    with pytest.raises(UsageError):
        codec.encode_stream([audio], 48000, 2, io.BytesIO(), **options)


def test_a_spool_gives_back_what_it_got_even_from_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ravecodec.rate._IN_MEMORY", 1000)
    parts = [np.random.default_rng(k).standard_normal((2, k + 1, 7)).astype(np.float32) for k in range(20)]
    spool = Spool()
    for part in parts:
        spool.append(part)
    for _ in range(2):
        assert all(np.array_equal(a, b) for a, b in zip(spool, parts, strict=True))
    spool.close()


def test_live_packets_are_single_frames_with_a_seed_of_their_own(codec: Codec, audio: np.ndarray) -> None:
    class Flushed(io.BytesIO):
        flushes = 0

        def flush(self) -> None:
            self.flushes += 1

    files = [Flushed(), Flushed()]
    for file in files:
        codec.encode_stream([audio[:48000, :1]], 48000, 1, file, live=True, flush=True)
    first, second = (Reader.from_bytes(f.getvalue(), codec.tables) for f in files)
    packets = list(first.packets())
    assert {p.frames for p in packets} == {1} and first.report.exact
    assert files[0].flushes == len(packets) + 2
    assert first.header.seed != second.header.seed
    assert first.header.stream_crc != second.header.stream_crc
    whole = codes_of(codec.encode(audio[:48000, :1], 48000, rdoq=False), codec)
    live = codes_of(files[0].getvalue(), codec)
    assert live.shape == whole.shape and np.mean(live != whole) < 0.01
    parts = [p for p in packets if p.offset is not None]
    data = bytearray(files[0].getvalue())
    a, b = parts[3], parts[4]
    assert a.offset is not None and b.offset is not None
    data[a.offset : b.offset + b.total_bytes] = (
        data[b.offset : b.offset + b.total_bytes] + data[a.offset : b.offset]
    )  # neighbours change places
    reader = Reader.from_bytes(bytes(data), codec.tables)
    list(reader.packets())
    assert reader.report.exact and reader.report.reordered == 1
    foreign = list(second.walk())[5]
    assert foreign.offset is not None
    stray = files[1].getvalue()[foreign.offset : foreign.offset + foreign.total_bytes]
    reader = Reader.from_bytes(files[0].getvalue()[: a.offset] + stray + files[0].getvalue()[a.offset :], codec.tables)
    list(reader.packets())
    assert reader.report.exact and reader.report.skipped_bytes == len(stray)


@pytest.mark.parametrize("honest", [False, True])
def test_one_flipped_bit_of_a_weight_is_another_model(
    model: Path, codec: Codec, audio: np.ndarray, tmp_path: Path, honest: bool
) -> None:
    """A file that still names the old id is damaged; one that names its own is refused by the coded file."""
    data = codec.encode(audio[:4800, :1], 48000)
    with safe_open(model, framework="numpy") as file:
        document = json.loads(file.metadata()["ravecodec"])
        tensors = {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118 (not a dict)
    name = next(name for name in sorted(tensors) if name.startswith("net.") and tensors[name].size > 100)
    tensors[name].view(np.uint16).reshape(-1)[50] ^= 1
    hashed = {key: value for key, value in tensors.items() if key != storedtables.NAME}
    altered = model_id(document["config"], hashed).hex()
    if honest:
        document["id"] = altered
    path = tmp_path / "altered.safetensors"
    save_file(tensors, path, {"ravecodec": json.dumps(document)})
    with pytest.raises(ModelError) as caught:
        load(path).decode(data)
    assert codec.model_id.hex() != altered
    assert codec.model_id.hex() in str(caught.value) and altered in str(caught.value)


@pytest.mark.parametrize(("cap", "packet"), [(2.0, 32), (1.0, 16), (3.0, 1), (0.8, 8)])
def test_no_packet_exceeds_its_cap(codec: Codec, audio: np.ndarray, cap: float, packet: int) -> None:
    sound = audio[: (2 if packet == 1 else 5) * 48000, 0].copy()
    sound[48000:72000] *= 0.01
    out = io.BytesIO()
    codec.encode_stream([sound[:, None]], 48000, 1, out, components=128, step=-12, cap=cap, packet=packet)
    reader = Reader.from_bytes(out.getvalue(), codec.tables)
    packets = list(reader.packets())
    assert reader.report.exact
    for found in packets:
        assert found.total_bytes * 8 <= cap * 1000 * found.frames * 2048 / 48000
    assert len({p.coarser for p in packets}) > (1 if packet > 1 else 0)
    decoded, _ = codec.decode(out.getvalue())
    assert np.isfinite(decoded).all()
    thinned = io.BytesIO()
    thin(io.BytesIO(out.getvalue()), thinned, codec.tables, 20)
    for one, other in zip(Reader.from_bytes(thinned.getvalue(), codec.tables).packets(), packets, strict=True):
        assert other.codes is not None and one.coarser == other.coarser
        assert np.array_equal(one.codes, other.codes[..., :20])  # type: ignore[arg-type]
    repaired = io.BytesIO()
    bitstream.repair(io.BytesIO(out.getvalue()), repaired, codec.tables)
    assert repaired.getvalue() == out.getvalue()


def test_a_cap_that_is_not_needed_changes_nothing_and_one_that_is_too_small_is_refused(
    codec: Codec, audio: np.ndarray
) -> None:
    plain, capped = io.BytesIO(), io.BytesIO()
    codec.encode_stream([audio[:96000]], 48000, 2, plain, samples=96000, packet=64)
    codec.encode_stream([audio[:96000]], 48000, 2, capped, samples=96000, cap=100.0)
    assert capped.getvalue() == plain.getvalue()
    with pytest.raises(UsageError, match="raise the cap"):
        codec.encode_stream([audio], 48000, 2, io.BytesIO(), live=True, cap=0.5)


def test_a_coarser_packet_sounds_as_a_file_of_that_step(codec: Codec, audio: np.ndarray) -> None:
    """The same integers under a header of their step and under a finer one with coarser packets."""
    data = codec.encode(audio[:96000, 0], 48000, step=4)
    reader = Reader.from_bytes(data, codec.tables)
    packets = list(reader.packets())
    out = io.BytesIO()
    header = dataclasses.replace(reader.header, step=-4)
    with bitstream.Writer(out, header, codec.tables) as writer:
        for packet in packets:
            assert packet.codes is not None
            writer.write(packet.codes, 8)
    assert np.array_equal(codec.decode(out.getvalue())[0], codec.decode(data)[0])
    assert len(out.getvalue()) <= len(data) + 3 * len(packets)
