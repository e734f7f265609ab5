"""Destinations: whole or not at all, whatever goes wrong, and sound in every format."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

from ravecodec.destination import growing, replacing
from ravecodec.errors import OutputError
from ravecodec.output import SoundWriter, sound_format


def write_sound(path: Path, audio: np.ndarray, rate: int = 48000, **options: object) -> None:
    with replacing(path) as file, SoundWriter(file, path, rate, audio.shape[1], **options) as writer:  # type: ignore[arg-type]
        for start in range(0, len(audio), 777):
            writer.write(audio[start : start + 777])


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    with replacing(target) as file:
        file.write(b"half")
        assert not target.exists()
        file.write(b"whole")
    assert target.read_bytes() == b"halfwhole"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_nothing_is_left_when_the_work_fails(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"before")
    with pytest.raises(error), replacing(target) as file:
        file.write(b"x" * 100_000)
        raise error
    assert target.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"before")
    with pytest.raises(OutputError, match=r"a\.bin: exists already; use --force"), replacing(target, force=False):
        raise AssertionError("not reached")
    with replacing(target, force=True) as file:
        file.write(b"after")
    assert target.read_bytes() == b"after"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a.bin"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.bin"
    link.symlink_to(tmp_path / "real" / "a.bin")
    with replacing(link) as file:
        file.write(b"x")
    assert link.is_symlink()
    assert (tmp_path / "real" / "a.bin").read_bytes() == b"x"


def test_a_device_is_written_not_replaced() -> None:
    with replacing("/dev/null") as file:
        file.write(b"x")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("place", ["missing/a.bin", "a_file/a.bin", "."])
def test_destinations_that_cannot_be_are_refused_by_name(tmp_path: Path, place: str) -> None:
    (tmp_path / "a_file").touch()
    with pytest.raises(OutputError) as caught, replacing(tmp_path / place):
        raise AssertionError("not reached")
    assert str(caught.value).startswith(str(tmp_path))
    assert ".part" not in str(caught.value)


FULL = """
import sys
from pathlib import Path
import numpy as np
from ravecodec.destination import replacing
from ravecodec.output import SoundWriter
from ravecodec.errors import OutputError
path = sys.argv[1]
try:
    with replacing(path) as file, SoundWriter(file, path, 48000, 1) as writer:
        for _ in range(50):
            writer.write(np.zeros((4800, 1), np.float32))
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
@pytest.mark.parametrize("limit", [0, 1000, 10_000])
def test_a_full_disk_is_one_clear_error(tmp_path: Path, name: str, limit: int) -> None:
    target = tmp_path / name
    noise = "np.random.default_rng(0).uniform(-1, 1, (4800, 1)).astype(np.float32)"

    def shrink() -> None:  # the system then refuses to let any file grow larger, as a full disk would
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    code = FULL.replace("np.zeros((4800, 1), np.float32)", noise)
    ran = subprocess.run(
        [sys.executable, "-c", code, target], preexec_fn=shrink, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(f"{target}: cannot be written (")
    assert ran.stderr == ""
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.w64", "a.rf64", "a.caf", "a.au"])
def test_lossless_formats_keep_24_bits(tmp_path: Path, name: str) -> None:
    audio = tone(0.1, channels=2)
    write_sound(tmp_path / name, audio)
    assert soundfile.info(tmp_path / name).subtype == "PCM_24"
    read, rate = soundfile.read(tmp_path / name, dtype="float32")
    assert rate == 48000
    assert read.shape == audio.shape
    assert np.abs(read - audio).max() < 2**-22


@pytest.mark.parametrize(("name", "subtype"), [("a.ogg", "VORBIS"), ("a.opus", "OPUS"), ("a.mp3", "MPEG_LAYER_III")])
def test_lossy_formats_are_written(tmp_path: Path, name: str, subtype: str) -> None:
    write_sound(tmp_path / name, tone(0.5, channels=2))
    assert soundfile.info(tmp_path / name).subtype == subtype
    read, _ = soundfile.read(tmp_path / name)
    assert len(read) == 24000


def test_float_files_keep_every_bit(tmp_path: Path) -> None:
    audio = 3 * tone(0.1)
    write_sound(tmp_path / "a.wav", audio, subtype="float")
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)[0], audio)


def test_integer_files_clip_and_do_not_wrap(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", np.array([[2.0], [-2.0]], np.float32))
    read, _ = soundfile.read(tmp_path / "a.wav")
    assert read[0] > 0.99
    assert read[1] < -0.99


def test_16_bits_are_dithered_the_same_way_every_time(tmp_path: Path) -> None:
    quiet = tone(1.0) * 1e-5  # a tone of a twelfth of a step: without dither there would be silence
    write_sound(tmp_path / "a.wav", quiet, subtype="PCM_16")
    write_sound(tmp_path / "b.wav", quiet, subtype="PCM_16")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    read, _ = soundfile.read(tmp_path / "a.wav")
    assert np.abs(read).max() <= 2 / 32768
    carrier = tone(1.0)[:, 0] / 0.25
    assert np.mean(read * carrier) * 2 == pytest.approx(0.25e-5, rel=0.15)


def test_formats_are_checked_by_name() -> None:
    assert sound_format("a.WAV") == ("WAV", "PCM_24")
    with pytest.raises(OutputError, match="names no sound format"):
        sound_format("a.txt")
    with pytest.raises(OutputError, match="FLAC has no subtype 'FLOAT'"):
        sound_format("a.flac", "float")


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"MP3 .* cannot hold 8 channels"):
        write_sound(tmp_path / "a.mp3", tone(0.1, channels=8))
    assert os.listdir(tmp_path) == []


def test_wav_beyond_4_gb_becomes_rf64(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with replacing(path) as file, SoundWriter(file, path, 48000, 2, samples=800_000_000) as writer:
        writer.write(tone(0.1, channels=2))
    assert soundfile.info(path).format == "RF64"


def test_a_growing_file_that_nothing_was_written_to_is_not_left(tmp_path: Path) -> None:
    for content in (b"", b"some"):
        path = tmp_path / f"live{len(content)}"
        with pytest.raises(ZeroDivisionError), growing(path) as file:
            file.write(content)
            raise ZeroDivisionError
        assert path.exists() == bool(content)
