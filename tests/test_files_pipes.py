"""Pipes: sound and coded bytes that come and go without an end in sight, and writers that die."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone
from sounds import glide
from test_codec import save_untrained

from bitstream import Following, Reader
from ravecodec.cli import main
from ravecodec.codec import load
from ravecodec.errors import AudioError, UsageError
from ravecodec.pipes import PipeWriter, RawFormat, open_stream

FFMPEG, SOX = 0xFFFFFFFF, 0x7FFFFFFF


class Pipe(io.RawIOBase):
    """Bytes that come a few at a time and cannot be gone back to."""

    def __init__(self, data: bytes, step: int = 1000) -> None:
        self.rest, self.step = data, step

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = self.step if size < 0 else min(size, self.step)
        piece, self.rest = self.rest[:size], self.rest[size:]
        return piece


def wav(audio: np.ndarray, subtype: str, size: int | None = None, extensible: bool = False) -> bytes:
    """A WAV by libsndfile, its sizes replaced by what a program writes that does not know them."""
    out = io.BytesIO()
    kind = "WAVEX" if extensible else "WAV"
    soundfile.write(out, audio, 48000, format=kind, subtype=subtype)
    data = bytearray(out.getvalue())
    if size is not None:
        at = data.index(b"data")
        data[4:8] = data[at + 4 : at + 8] = struct.pack("<I", size)
    return bytes(data)


def read(data: bytes, raw: RawFormat | None = None, step: int = 1000) -> np.ndarray:
    with open_stream(Pipe(data, step), "standard input", raw) as sound:  # type: ignore[arg-type]
        return np.concatenate(list(sound.blocks()))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("size", [None, 0, FFMPEG, SOX])
@pytest.mark.parametrize("extensible", [False, True])
def test_a_wav_in_a_pipe_is_the_wav_of_a_file(subtype: str, size: int | None, extensible: bool) -> None:
    audio = tone(0.1, channels=2)
    data = wav(audio, subtype, size, extensible)
    expected = soundfile.read(io.BytesIO(wav(audio, subtype)), dtype="float32")[0]
    if subtype in ("FLOAT", "DOUBLE") and size is not None:  # libsndfile adds a chunk behind the sound
        data = data[: data.index(b"data") + 8 + audio.size * (4 if subtype == "FLOAT" else 8)]
    assert np.abs(read(data, step=7 if size == SOX else 1000)[: len(expected)] - expected).max() < 1e-6


@pytest.mark.parametrize(("encoding", "kind"), [("s16le", "<i2"), ("f32le", "<f4")])
def test_raw_samples_are_taken_as_told(encoding: str, kind: str) -> None:
    audio = tone(0.05, channels=2)
    data = (audio * (32767 if encoding == "s16le" else 1)).astype(kind).tobytes()
    assert np.abs(read(data + b"x", RawFormat(encoding, 48000, 2), 33) - audio).max() < 1e-4


@pytest.mark.parametrize("name", ["FLAC", "OGG", "AIFF"])
def test_other_formats_come_through_a_pipe_too(name: str) -> None:
    out = io.BytesIO()
    soundfile.write(out, tone(0.2), 48000, format=name)
    assert len(read(out.getvalue())) == 9600


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"RIFF\0\0\0\0WAVE", "ends before its sound"),
        (b"no sound at all, but text", "not an audio file"),
        (wav(tone(0.1), "PCM_16")[:-100], "cut short: 4750 of 4800"),
        (wav(tone(0.1), "PCM_16")[:44], "cut short"),
        (wav(tone(0.1), "ULAW"), "WAV of kind 7"),
        (wav(np.full(10, np.nan), "FLOAT"), "is nan"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff" + bytes(100), "has no end"),
        (b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff" + bytes(100), "nothing says"),
    ],
)
def test_what_is_wrong_with_a_pipe_is_said(data: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        read(data)
    assert str(caught.value).startswith("standard input: ")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("samples", [4800, None])
def test_sound_goes_out_as_wav_that_others_read(subtype: str, samples: int | None) -> None:
    out = io.BytesIO()
    writer = PipeWriter(out, 48000, 2, subtype=subtype, samples=samples)
    audio = tone(0.1, channels=2) * 4.5  # beyond full scale: integers clip
    for start in range(0, len(audio), 777):
        writer.write(audio[start : start + 777])
    assert writer.bytes == len(out.getvalue())
    for found in (read(out.getvalue()), soundfile.read(io.BytesIO(out.getvalue()))[0]):
        expected = audio if subtype == "FLOAT" else audio.clip(-1, 1)
        assert np.abs(found - expected).max() < 2 ** -(13 if subtype == "PCM_16" else 22)


def test_raw_out_is_the_samples_alone() -> None:
    out = io.BytesIO()
    PipeWriter(out, 48000, 1, raw=True).write(tone(0.1))
    assert len(out.getvalue()) == 2 * 4800
    with pytest.raises(UsageError, match="a pipe takes"):
        PipeWriter(out, 48000, 1, subtype="VORBIS")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_untrained(folder / "default.safetensors", 0)
    document = (folder / "default.safetensors").read_bytes()
    assert b"default" in document
    return folder


class Standard(io.StringIO):
    """Standard input or output: text, and bytes below it."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__()
        self.buffer = Pipe(data) if data else io.BytesIO()


def test_through_the_command_from_pipe_to_pipe(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(data: bytes, *arguments: str) -> bytes:
        out = Standard()
        monkeypatch.setattr(sys, "stdin", Standard(data))
        monkeypatch.setattr(sys, "stdout", out)
        assert main([*arguments]) == 0
        assert isinstance(out.buffer, io.BytesIO)
        return out.buffer.getvalue()

    monkeypatch.setenv("RAVECODEC_MODELS", str(models))
    audio = glide(1, 3 * 48000)[:, None]
    encoded = run(wav(audio, "PCM_16", FFMPEG), "encode", "-", "-", "-q")
    assert capsys.readouterr().err == ""
    reader = Reader.from_bytes(encoded)
    assert reader.header.samples is None
    trailer = reader.trailer()
    assert trailer is not None and trailer.samples == len(audio)
    decoded = run(encoded, "decode", "-", "-")
    assert capsys.readouterr().err.startswith("ravecodec: standard output: 3.00 s")
    codec = load(models / "default.safetensors")
    expected = codec.decode(encoded, always_2d=True)[0]
    assert np.abs(read(decoded) - expected.clip(-1, 1)).max() < 1e-4
    raw = run(encoded, "decode", "-", "-", "--raw", "--subtype", "FLOAT", "--start", "1", "--end", "48100samples", "-q")
    assert np.abs(np.frombuffer(raw, "<f4") - expected[48000:48100, 0]).max() < 1e-4


def test_a_killed_writer_leaves_what_it_wrote_and_a_reader_that_follows_has_it(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = glide(1, 10 * 48000)
    path = tmp_path / "live.rvc"
    writer = subprocess.Popen(
        [sys.executable, "-m", "ravecodec", "encode", "-", path, "--live", "--raw-format", "f32le",
         "--raw-rate", "48000"],
        stdin=subprocess.PIPE, env={**os.environ, "RAVECODEC_MODELS": str(models)},
    )  # fmt: skip
    assert writer.stdin is not None
    writer.stdin.write(audio.astype("<f4").tobytes())  # more than it can know the future of
    writer.stdin.flush()
    codec = load(models / "default.safetensors")
    deadline = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < 1000:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    heard: list[np.ndarray] = []
    with path.open("rb") as file:
        following = codec.decode_stream(Following(file, timeout=1.5), block=8)  # type: ignore[arg-type]
        thread = threading.Thread(target=lambda: heard.extend(following.blocks))
        thread.start()
        while not heard:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert writer.poll() is None  # sound is heard while it is being written
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        thread.join(timeout=60)
    writer.stdin.close()
    data = path.read_bytes()
    assert os.listdir(tmp_path) == ["live.rvc"]
    reader = Reader.from_bytes(data, codec.tables)
    packets = list(reader.packets())
    report = reader.report
    assert reader.header.frames_per_packet == 1 and len(packets) > 50
    assert not report.complete and not report.lost and "cut short" in report.problems()[0]
    assert all(p.codes is not None for p in packets)
    whole = codec.decode(codec.encode(audio, 48000))[0]
    sound = np.concatenate(heard)[:, 0]
    assert len(sound) == len(packets) * 2048
    assert following.report.problems() == report.problems()
    assert np.isfinite(sound).all() and np.abs(sound).max() < 2 * np.abs(whole).max()
    monkeypatch.setenv("RAVECODEC_MODELS", str(models))
    assert main(["decode", str(path), "-q"]) == 3
    assert "cut short" in capsys.readouterr().err
    assert soundfile.info(path.with_suffix(".wav")).frames == len(packets) * 2048


def test_following_ends_at_the_end_record_and_at_the_timeout(tmp_path: Path) -> None:
    path = tmp_path / "grows"
    path.write_bytes(b"ab")
    with path.open("rb") as file:
        following = Following(file, timeout=0.1)
        assert following.read(1) + following.read(5) == b"ab"
        assert following.read(1) == b""
        with path.open("ab") as more:
            more.write(b"c")
        assert following.read(1) == b"c"
        assert not following.seekable()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encode", "-"], "say where to write"),
        (["encode", "-", "x.rvc", "--raw-format", "s16le"], "--raw-format needs --raw-rate"),
        (["decode", "-"], "say where to write"),
        (["decode", "x.rvc", "y.wav", "--raw"], "--raw is for standard output"),
    ],
)
def test_wrong_use_of_pipes_is_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
