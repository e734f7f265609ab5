"""encode_file and decode_file: what goes in comes out, faults leave nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone
from fake_codec import FakeCodec

from bitstream import Report
from bitstream.errors import FormatError
from ravecodec.errors import AudioError, OutputError
from ravecodec.files import damage, decode_file, encode_file

SoundFile = Callable[..., Path]


def loader(_: Path) -> FakeCodec:
    return FakeCodec()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize(("rate", "channels"), [(44100, 1), (48000, 2)])
def test_there_and_back_keeps_the_length(
    tmp_path: Path, sound_file: SoundFile, name: str, rate: int, channels: int
) -> None:
    source = sound_file(name, seconds=0.37, rate=rate, channels=channels)
    length = soundfile.info(source).frames
    coded, decoded = tmp_path / "a.rvc", tmp_path / "b.wav"
    made = encode_file(source, coded, FakeCodec())
    assert (made.samples, made.rate, made.channels, made.bytes) == (length, rate, channels, coded.stat().st_size)
    back = decode_file(coded, decoded, loader, rate="source")
    assert (back.samples, back.rate, back.bytes) == (length, rate, decoded.stat().st_size)
    audio, got = soundfile.read(decoded, always_2d=True)
    assert (len(audio), got, audio.shape[1]) == (length, rate, channels)
    assert np.abs(audio - soundfile.read(source, always_2d=True)[0])[500:-500].max() < 0.02


def test_progress_adds_up(tmp_path: Path, sound_file: SoundFile) -> None:
    steps: list[int] = []
    made = encode_file(sound_file(seconds=3), tmp_path / "a.rvc", FakeCodec(), progress=steps.append)
    assert sum(steps) == made.samples == 144000
    assert len(steps) > 2


def test_a_fault_in_the_middle_of_the_sound_leaves_no_file(tmp_path: Path) -> None:
    audio = tone(3.0)
    audio[100_000] = np.nan
    source = tmp_path / "a.wav"
    soundfile.write(source, audio, 48000, subtype="FLOAT")
    with pytest.raises(AudioError, match="sample 100000 of channel 1 is nan"):
        encode_file(source, tmp_path / "a.rvc", FakeCodec())
    assert os.listdir(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_no_file(tmp_path: Path, sound_file: SoundFile, error: type[BaseException]) -> None:
    def stop(_: int) -> None:
        raise error

    source = sound_file()
    coded = tmp_path / "a.rvc"
    with pytest.raises(error):
        encode_file(source, coded, FakeCodec(), progress=stop)
    assert not coded.exists()
    encode_file(source, coded, FakeCodec())
    with pytest.raises(error):
        decode_file(coded, tmp_path / "b.wav", loader, progress=stop)
    assert sorted(os.listdir(tmp_path)) == ["a.rvc", "tone.wav"]


def test_a_file_is_not_written_over_itself(sound_file: SoundFile) -> None:
    source = sound_file()
    with pytest.raises(OutputError, match="is the file to be read"):
        encode_file(source, source, FakeCodec())
    assert soundfile.info(source).frames == 48000


def test_a_wrong_ending_is_found_before_a_codec_is_loaded(tmp_path: Path) -> None:
    def never(_: Path) -> FakeCodec:
        raise AssertionError("loaded")

    with pytest.raises(OutputError, match="names no sound format"):
        decode_file(tmp_path / "a.rvc", tmp_path / "a.txt", never)
    with pytest.raises(AudioError, match="outside 1000 to 768000 Hz"):
        decode_file(tmp_path / "a.rvc", tmp_path / "a.wav", never, rate=1)


def test_what_is_no_coded_file_is_refused(tmp_path: Path, sound_file: SoundFile) -> None:
    source = sound_file()
    with pytest.raises(FormatError):
        decode_file(source, tmp_path / "b.wav", loader)
    with pytest.raises(FormatError):
        decode_file(source, tmp_path / "b.wav")  # the real way, which looks for the model first
    with pytest.raises(AudioError, match="No such file"):
        decode_file(tmp_path / "missing.rvc", tmp_path / "b.wav")
    with pytest.raises(AudioError, match="is a folder"):
        decode_file(tmp_path, tmp_path / "b.wav")
    assert os.listdir(tmp_path) == ["tone.wav"]


def test_damage_is_said_unless_the_hash_holds() -> None:
    assert damage(None) == ""
    assert damage(Report(finished=True, complete=True, hash_ok=True)) == ""
    assert "2 packet(s) lost" in damage(Report(finished=True, complete=True, lost=2))
    assert "cut short" in damage(Report(finished=True))
    assert damage(Report(finished=True, complete=True, hash_ok=None)) != ""
