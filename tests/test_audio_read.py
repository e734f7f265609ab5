"""Reading sound: every fault has its message, and what is read is what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

from ravecodec.audio import AudioSource, as_samples, check_rate, read_audio
from ravecodec.errors import AudioError

CONTAINERS = ["a.wav", "a.flac", "a.aiff", "a.w64", "a.caf", "a.au", "a.rf64"]
LOSSY = ["a.ogg", "a.mp3"]


def refusal(path: Path) -> str:
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    text = str(caught.value)
    assert text.startswith(str(path)), "the message begins with the file's name"
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_lossless_formats_are_read_exactly(tmp_path: Path, name: str, channels: int) -> None:
    path = tmp_path / name
    integers = np.round(tone(0.3, 44100, channels) * 32768)
    soundfile.write(path, integers.astype(np.int16), 44100, subtype="PCM_16")
    audio, rate = read_audio(path)
    assert rate == 44100
    assert audio.dtype == np.float32
    assert np.array_equal(audio * 32768, integers)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.opus"])
def test_blocks_join_to_the_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    kind = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
    soundfile.write(path, tone(0.5, 48000, 2), 48000, **kind)
    whole, _ = soundfile.read(path, dtype="float32")
    with AudioSource(path) as source:
        blocks = list(source.blocks(1000))
    assert {len(b) for b in blocks[:-1]} == {1000}
    assert np.array_equal(np.concatenate(blocks), whole)


@pytest.mark.parametrize("name", CONTAINERS + LOSSY)
@pytest.mark.parametrize("part", [0.35, 0.8])
def test_a_file_cut_short_is_refused(tmp_path: Path, name: str, part: float) -> None:
    path = tmp_path / name
    soundfile.write(path, np.random.default_rng(1).uniform(-0.3, 0.3, (96000, 2)), 48000)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert "cut short" in refusal(path) or "damaged" in refusal(path)


def test_a_wav_of_a_recorder_that_knew_no_length_is_read(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    soundfile.write(path, tone(0.25), 48000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # what a program writes into a pipe
    path.write_bytes(data)
    assert len(read_audio(path)[0]) == 12000


def test_files_that_hold_no_sound_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.wav")
    assert "is a folder" in refusal(tmp_path)
    empty = tmp_path / "empty.wav"
    empty.touch()
    assert "is empty" in refusal(empty)
    text = tmp_path / "text.wav"
    text.write_text("this is not sound " * 100)
    assert "not an audio file" in refusal(text)
    headerless = tmp_path / "bytes.raw"
    headerless.write_bytes(bytes(1000))
    assert "not an audio file" in refusal(headerless)
    silent = tmp_path / "nothing.wav"
    soundfile.write(silent, np.zeros((0, 2)), 48000)
    assert "no samples" in refusal(silent)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 32767.0])
@pytest.mark.parametrize("where", [0, 70000])
def test_samples_that_are_no_sound_are_refused_by_position(tmp_path: Path, value: float, where: int) -> None:
    audio = np.zeros((80000, 2), np.float32)
    audio[where, 1] = value
    path = tmp_path / "bad.wav"
    soundfile.write(path, audio, 48000, subtype="FLOAT")
    assert f"sample {where} of channel 2" in refusal(path)


def test_one_sample_is_a_sound(tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    soundfile.write(path, np.array([0.5]), 48000)
    assert read_audio(path)[0].shape == (1, 1)


def test_more_than_eight_channels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nine.wav"
    soundfile.write(path, np.zeros((100, 9)), 48000)
    assert "9 channels" in refusal(path)


@pytest.mark.parametrize("rate", [1, 999, 768001])
def test_rates_out_of_range_are_refused(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "rate.wav"
    soundfile.write(path, np.zeros(100), rate)
    assert f"{rate} Hz is outside 1000 to 768000 Hz" in refusal(path)


@pytest.mark.parametrize("rate", [1000, 8000, 44100, 768000])
def test_rates_in_range_are_taken(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "rate.wav"
    soundfile.write(path, np.zeros(100), rate)
    assert read_audio(path)[1] == rate


def test_fractional_rates_are_refused() -> None:
    with pytest.raises(AudioError):
        check_rate(44100.5)


def test_arrays_become_checked_float32() -> None:
    assert as_samples([0.0, 0.5]).shape == (2, 1)
    assert np.array_equal(as_samples(np.array([-32768, 16384], np.int16))[:, 0], [-1.0, 0.5])
    for bad in (np.zeros((2, 2, 2)), np.zeros((0, 1)), np.zeros((5, 9)), np.array([np.nan]), np.array([1j])):
        with pytest.raises(AudioError):
            as_samples(bad)
