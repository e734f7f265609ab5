"""Codecs of other people's programs: in time, as long as the original, counted whole; and a user's own two commands.

Where a program is missing, the codec must say how to get it: that is then what is tested.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eval import codecs
from eval.audio import RATE, Audio, columns, resample
from eval.errors import CodecError, EvalError, Unavailable
from eval.points import Point, parse
from ravecodec.cli import main

Array = NDArray[np.float64]
COPY = "cp {in} {out}"


def sound(seconds: float = 1.3, channels: int = 2) -> Array:
    """Decaying harmonic notes, other ones in each channel, over a little noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    notes = [sum(np.sin(2 * np.pi * f * k * time) / k for k in range(1, 15)) for f in (196.0, 247.0)]
    wav = 0.1 * np.stack(notes[:channels], axis=1) * np.exp(-3 * (time % 0.4))[:, None]
    noisy: Array = wav + 1e-3 * np.random.default_rng(0).standard_normal(wav.shape)
    return noisy


def through(codec: codecs.Codec, wav: Audio) -> Audio:
    decoded, rate = codec.decode(codec.encode(wav, RATE))
    return codec.fit(resample(columns(decoded), rate, RATE), len(wav))


def lag(decoded: Audio, wav: Audio) -> int:
    """The delay of the first channel in samples, by cross-correlation."""
    spectra = [np.fft.rfft(x[:, 0], 1 << 18) for x in (decoded, wav)]
    correlation = np.fft.irfft(spectra[0] * np.conj(spectra[1]))
    return (int(correlation.argmax()) + (1 << 17)) % (1 << 18) - (1 << 17)


@pytest.mark.parametrize(
    ("name", "settings", "label", "program"),
    [
        ("vorbis", {"bitrate": 48}, "Vorbis 48", "ffmpeg"),
        ("mp3", {"bitrate": 64}, "MP3 64", "ffmpeg"),
        ("mp3", {"bitrate": 24, "rate": 24000}, "MP3 24 at 24 kHz", "ffmpeg"),
        ("aac", {"bitrate": 48}, "AAC 48", "ffmpeg"),
        ("lc3", {"bitrate": 64}, "LC3 64", "elc3"),
        ("lc3", {"bitrate": 32, "rate": 24000}, "LC3 32 at 24 kHz", "elc3"),
    ],
)
def test_a_waveform_codec_is_in_time_and_as_long(
    name: str, settings: dict[str, Any], label: str, program: str
) -> None:
    codec = codecs.create(name, settings)
    assert codec.label == label
    if shutil.which(program) is None:
        with pytest.raises(Unavailable, match="is not installed: apt-get install"):
            codec.identity()
        return
    assert codec.identity()
    wav = sound()[:60_001]
    decoded = through(codec, wav)
    assert decoded.shape == wav.shape
    assert abs(lag(decoded, wav)) <= 1
    assert np.corrcoef(decoded[:, 0], wav[:, 0])[0, 1] > 0.9
    data = codec.encode(wav, RATE)
    again = codec.encode(wav, RATE)
    assert len(again) == len(data)
    if name != "lc3":  # whose program leaves the end of its last frame to chance
        assert again == data
    assert 0.5 < 8 * len(data) * RATE / len(wav) / 1000 / settings["bitrate"] < 3.5  # short: headers weigh


@pytest.mark.parametrize("mode", ["3200", "700C"])
def test_codec2_is_in_time_for_every_channel(mode: str) -> None:
    codec = codecs.create("codec2", {"mode": mode})
    if shutil.which("c2enc") is None:
        with pytest.raises(Unavailable, match="apt-get install codec2"):
            codec.identity()
        return
    wav = np.zeros((2 * RATE, 2))  # a burst of a vowel in each channel, at other times
    vowel = sound(0.5, 1)[:, 0]
    wav[RATE // 2 : RATE, 0] = vowel
    wav[RATE : RATE * 3 // 2, 1] = vowel
    decoded = through(codec, wav)
    assert decoded.shape == wav.shape
    for c, start in enumerate((RATE // 2, RATE)):
        energy = np.cumsum(decoded[:, c] ** 2) / np.sum(decoded[:, c] ** 2)
        inside = energy[start + RATE // 2 + RATE // 20] - energy[start - RATE // 20]
        assert inside > 0.9
    bits = {"3200": 3200, "700C": 700}[mode]
    # With headers, whole frames and what the delay holds back:
    assert 8 * len(codec.encode(wav, RATE)) / 2 / 2 == pytest.approx(bits, rel=0.3)
    with pytest.raises(CodecError, match="no mode 800"):
        codecs.create("codec2", {"mode": 800})


def test_two_commands_make_a_codec() -> None:
    codec = codecs.ShellCodec("copy", COPY, COPY)
    wav = sound(0.2)
    assert codec.label == "copy" and codec.identity()
    assert np.abs(through(codec, wav) - wav).max() < 2**-15  # 16-bit samples
    exact = codecs.ShellCodec("copy", COPY, COPY, subtype="FLOAT")
    np.testing.assert_array_equal(through(exact, wav), wav.astype(np.float32))


def test_two_commands_give_what_the_adapter_gives() -> None:
    if shutil.which("opusenc") is None:
        return
    wav = (np.round(sound(0.5) * 32768) / 32768).astype(np.float32)
    options = "--quiet --bitrate 24 --padding 0 --serial 1"
    shell = codecs.ShellCodec("o", f"opusenc {options} {{in}} {{out.opus}}", "opusdec --quiet {in} {out.wav}")
    ours = codecs.create("opus", {"bitrate": 24})
    assert abs(len(shell.encode(wav, RATE)) - len(ours.encode(wav, RATE))) < 16
    assert lag(through(shell, wav), wav) == 0


def test_a_command_is_checked_before_it_is_used() -> None:
    with pytest.raises(CodecError, match="must name both files"):
        codecs.ShellCodec("x", "cat {in}", COPY)
    with pytest.raises(CodecError, match="no command line"):
        codecs.ShellCodec("x", "cp '{in} {out}", COPY)
    with pytest.raises(Unavailable, match="x: there is no program nowhere-to-be-found"):
        codecs.ShellCodec("x", "nowhere-to-be-found {in} {out}", COPY).identity()
    with pytest.raises(CodecError, match="wrote no file"):
        codecs.ShellCodec("x", "true {in} {out}", COPY).encode(sound(0.1), RATE)
    with pytest.raises(CodecError, match="no WAV file"):
        codecs.ShellCodec("x", COPY, "sh -c 'echo no > $0' {out} {in}").decode(b"1234")


def test_a_known_delay_is_taken_away_and_a_wrong_length_refused() -> None:
    wav = sound(0.5).astype(np.float32)
    late = np.concatenate([np.zeros((480, 2), np.float32), wav])
    codec = codecs.ShellCodec("late", COPY, COPY, delay=480)
    np.testing.assert_array_equal(codec.fit(late, len(wav)), wav)
    with pytest.raises(CodecError, match="samples came out where"):
        codec.fit(late[:10_000], len(wav))


def test_what_a_command_stands_for_is_its_programs_content(tmp_path: Path) -> None:
    """A result in a cache must not outlive the program that made it."""
    script = tmp_path / "code.sh"
    script.write_text("cp $1 $2\n")
    codec = codecs.ShellCodec("mine", f"sh {script} {{in}} {{out}}", COPY)
    before = codec.identity()
    script.write_text("cat $1 > $2\n")
    assert codec.identity() != before
    assert codec.identity() == codecs.ShellCodec("mine", f"sh {script} {{in}} {{out}}", COPY).identity()


def test_points_are_read_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("vorbis:bitrate=48") == Point("vorbis", {"bitrate": 48})
    assert parse("codec2:mode=700C") == Point("codec2", {"mode": "700C"})
    assert parse("identity") == Point("identity")
    for wrong, match in (("opus:12", "not KEY=VALUE"), ("opus:speed=3", "speed"), ("flac", "no codec 'flac'")):
        with pytest.raises(EvalError, match=match):
            parse(wrong)
    import soundfile

    soundfile.write(tmp_path / "a.wav", sound(0.6, 1), RATE)
    arguments = ["sweep", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--fidelity", "--no-anchors"]
    arguments += ["--limit", "0", "--shell", "copy", COPY, COPY, "--codec", "silence", "--metrics", "si_sdr", "log_mel"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[3].startswith("copy") and float(printed[3].split()[1]) > 700  # a WAV file's rate
    assert [line.split()[0] for line in printed[-2:]] in (["log_mel", "si_sdr"], ["si_sdr", "log_mel"])
    assert printed[-3].split() == ["metric", "seconds"]
