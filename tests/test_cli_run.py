"""The command line as its users meet it: results, messages, exit status; with a codec that needs no model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fake_codec import FakeCodec

from bitstream import Report
from ravecodec import __version__, files, registry
from ravecodec.cli import main

SoundFile = Callable[..., Path]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is the fake codec, and every .rvc file is one of its."""
    monkeypatch.setattr(registry, "find", lambda name: Path(name))
    monkeypatch.setattr(files, "cached_codec", lambda path: FakeCodec())
    monkeypatch.setattr(files, "codec_for", lambda path: FakeCodec())
    header = FakeCodec()._header(48000, 1, 48000)
    monkeypatch.setattr(files, "read_header", lambda path: header)


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("ravecodec: ") for line in lines), lines
    return [line.removeprefix("ravecodec: ") for line in lines]


def test_encode_and_decode_beside_the_source(sound_file: SoundFile, capsys: pytest.CaptureFixture[str]) -> None:
    source = sound_file("song.flac", rate=44100)
    assert main(["encode", str(source)]) == 0
    coded = source.with_suffix(".rvc")
    assert f"{coded}: 1.00 s, {coded.stat().st_size:,} bytes" in capsys.readouterr().out
    assert main(["decode", str(coded), "--rate", "source", "-q"]) == 0
    assert soundfile.info(source.with_suffix(".wav")).frames == 44100
    assert capsys.readouterr() == ("", "")


def test_the_output_may_be_named_or_a_folder(tmp_path: Path, sound_file: SoundFile) -> None:
    source = sound_file("song.wav")
    (tmp_path / "out").mkdir()
    assert main(["encode", str(source), str(tmp_path / "out")]) == 0
    assert main(["encode", str(source), str(tmp_path / "x.rvc")]) == 0
    assert (tmp_path / "out/song.rvc").read_bytes() == (tmp_path / "x.rvc").read_bytes()
    assert main(["decode", str(tmp_path / "x.rvc"), str(tmp_path / "out"), "--format", "flac"]) == 0
    assert soundfile.info(tmp_path / "out/x.flac").format == "FLAC"


def test_an_original_is_not_overwritten_by_its_decoded_copy(
    sound_file: SoundFile, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sound_file("song.wav")
    before = source.read_bytes()
    assert main(["encode", str(source), "-q"]) == 0
    assert main(["decode", str(source.with_suffix(".rvc"))]) == 1
    assert errors(capsys) == [f"{source}: exists already; use --force to replace it"]
    assert source.read_bytes() == before
    assert main(["decode", str(source.with_suffix(".rvc")), "--force", "-q"]) == 0


@pytest.mark.parametrize("make", ["missing", "empty", "text", "nan", "folder_as_output"])
def test_bad_input_is_one_line_status_1_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: str
) -> None:
    source, output = tmp_path / "in.wav", tmp_path / "out.rvc"
    named = source
    if make == "empty":
        source.touch()
    elif make == "text":
        source.write_text("no sound")
    elif make == "nan":
        soundfile.write(source, np.full(100, np.nan), 48000, subtype="FLOAT")
    elif make == "folder_as_output":
        soundfile.write(source, np.zeros(100), 48000)
        output = named = tmp_path / "nowhere" / "out.rvc"
    before = sorted(os.listdir(tmp_path))
    assert main(["encode", str(source), str(output)]) == 1
    (line,) = errors(capsys)
    assert line.startswith(f"{named}: ")
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["polish", "x"],
        ["encode"],
        ["encode", "x", "--fidelity", "1.5"],
        ["encode", "x", "--fidelity", "0.9", "--components", "3"],
        ["encode", "x", "--step", "1.5"],
        ["encode", "x", "--tag", "nosign"],
        ["decode", "x", "--rate", "fast"],
        ["train"],
        ["sweep", "--data", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: ravecodec" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"ravecodec {__version__}\n"


def test_a_folder_is_worked_through_and_failures_come_last(
    tmp_path: Path, sound_file: SoundFile, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in/a.wav", "in/deep/b.flac", "in/c.wav"):
        sound_file(name)
    bad = tmp_path / "in/bad.wav"
    bad.write_text("no sound")
    folder, out, back = (str(tmp_path / name) for name in ("in", "out", "back"))
    assert main(["encode", folder, out, "--jobs", "1"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("3 done, 1 failed; 3.00 s of sound")
    assert captured.err.startswith(f"ravecodec: {bad}: not an audio file")
    assert (tmp_path / "out/deep/b.rvc").exists()
    bad.unlink()
    assert main(["encode", folder, out, "--jobs", "1"]) == 0
    assert capsys.readouterr().out == "0 done, 3 there already (--force does them again)\n"
    assert main(["decode", out, back, "--jobs", "1", "--format", "flac"]) == 0
    assert soundfile.info(tmp_path / "back/deep/b.flac").frames == 24000


def test_a_folder_needs_a_folder_to_write_to(
    tmp_path: Path, sound_file: SoundFile, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sound_file("in/a.wav")
    (tmp_path / "empty").mkdir()
    assert main(["encode", str(source.parent)]) == 2
    assert main(["encode", str(source.parent), str(source)]) == 2
    assert main(["encode", str(tmp_path / "empty"), str(tmp_path / "out")]) == 2
    assert [
        next(w for w in ("is a folder", "is a file", "holds nothing") if w in line) for line in errors(capsys)
    ] == ["is a folder", "is a file", "holds nothing"]


def test_damage_is_reported_and_the_status_is_3(
    sound_file: SoundFile, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sound_file("song.wav")
    assert main(["encode", str(source), "-q"]) == 0
    lost = Report(finished=True, complete=True, packets=4, lost=1)
    monkeypatch.setattr(files, "codec_for", lambda path: FakeCodec(lost))
    coded, out = source.with_suffix(".rvc"), source.with_name("x.wav")
    assert main(["decode", str(coded), str(out), "-q"]) == 3
    assert errors(capsys) == [f"{coded}: 1 packet(s) lost; what was lost is concealed in {out}"]
    assert main(["decode", str(source.parent), str(source.parent / "out"), "--jobs", "1"]) == 3
    captured = capsys.readouterr()
    assert f"{coded}: 1 packet(s) lost" in captured.err
    assert "1 with damage concealed" in captured.out


def test_an_unforeseen_fault_has_no_traceback(
    sound_file: SoundFile, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> FakeCodec:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(files, "cached_codec", broken)
    source = sound_file("song.wav")
    assert main(["encode", str(source)]) == 1
    first, second = errors(capsys)
    assert first == f"{source}: oh"
    assert "fault of ravecodec (ZeroDivisionError)" in second
    monkeypatch.setenv("RAVECODEC_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["encode", str(source)])


def test_an_interruption_is_status_130(
    sound_file: SoundFile, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path) -> FakeCodec:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "cached_codec", interrupted)
    assert main(["encode", str(sound_file("song.wav"))]) == 130
    assert len(errors(capsys)) == 1


SLOW = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fake_codec import FakeCodec
from ravecodec import cli, files, registry
class Slow(FakeCodec):
    def encode_stream(self, blocks, rate, channels, out, **options):
        out.write(b"begun"); out.flush()
        print("begun", flush=True)
        time.sleep(30)
registry.find = Path
files.cached_codec = lambda path: Slow()
sys.exit(cli.main(["encode", sys.argv[2]]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_leaves_nothing_behind(sound_file: SoundFile, number: signal.Signals) -> None:
    source = sound_file("song.wav")
    tests = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, tests, str(source)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Where the tests themselves run in a shell's background, interrupts are ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert len(os.listdir(source.parent)) == 2
        time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
    assert process.returncode == (130 if number is signal.SIGINT else 143)
    assert "Traceback" not in err
    assert os.listdir(source.parent) == ["song.wav"]


def test_info_names_every_field(rvc_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(rvc_file), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    size = rvc_file.stat().st_size
    assert values["file_bytes"] == size
    assert values["file_kbps"] == pytest.approx(size * 8 / (280_000 / 44100) / 1000)
    parts = ("header_bytes", "payload_bytes", "packet_overhead_bytes", "end_bytes")
    assert sum(values[part] for part in parts) == size
    known = {"channels": 2, "layout": "joint", "components": 8, "fidelity": 0.95, "tags": {"title": "Ä"}}
    assert known.items() <= values.items()
    assert values["model_id"] == bytes(range(16)).hex()
    assert main(["info", str(rvc_file)]) == 0
    text = capsys.readouterr().out
    for shown in ("6.35 s", "44100 Hz", "joint", f"{size:,} bytes", values["model_id"], "fidelity 0.95", "title"):
        assert shown in text


def test_info_says_what_is_damaged(rvc_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(rvc_file.read_bytes())
    data[len(data) // 2] ^= 1
    rvc_file.write_bytes(data)
    assert main(["info", str(rvc_file)]) == 3
    assert "1 packet(s) lost" in capsys.readouterr().out
    rvc_file.write_bytes(b"something else")
    assert main(["info", str(rvc_file)]) == 1
    assert errors(capsys) == [f"{rvc_file}: not an .rvc file"]
    assert main(["info", str(rvc_file.parent)]) == 1
    assert errors(capsys) == [f"{rvc_file.parent}: is a folder"]
