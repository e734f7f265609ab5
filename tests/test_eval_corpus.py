"""A corpus is a folder or a manifest, and what cannot be used is named."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval import corpus
from eval.audio import RATE
from eval.errors import CorpusError


def write(path: Path, rate: int = 48_000, seconds: float = 0.1, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(rate * seconds)) / rate
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time)
    soundfile.write(path, np.tile(tone[:, None], channels), rate)
    return path


def test_a_folder_takes_its_kinds_from_its_sub_folders(tmp_path: Path) -> None:
    write(tmp_path / "speech" / "deep" / "b.wav")
    write(tmp_path / "music" / "a.flac")
    write(tmp_path / "c.WAV")
    (tmp_path / "notes.txt").write_text("no sound")
    clips = corpus.load(tmp_path)
    assert [(clip.name, clip.kind) for clip in clips] == [
        ("c.WAV", "all"),
        ("music/a.flac", "music"),
        ("speech/deep/b.wav", "speech"),
    ]


@pytest.mark.parametrize("by_file", [False, True])
def test_a_manifest_decides_over_its_folder(tmp_path: Path, by_file: bool) -> None:
    for name in ("x.wav", "y.wav", "unlisted.wav"):
        write(tmp_path / name)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("﻿file,kind,extra\ny.wav,speech,1\nx.wav,,2\n", encoding="utf-8")
    clips = corpus.load(manifest if by_file else tmp_path)
    assert [(clip.name, clip.kind) for clip in clips] == [("y.wav", "speech"), ("x.wav", "all")]


def test_reading_gives_48_khz_and_keeps_the_tone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", rate=44_100, seconds=1.0, channels=2)
    wav = corpus.read(corpus.Clip(path, "all", "a.wav"))
    assert wav.shape == (RATE, 2)
    assert wav.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(wav[:, 1] * np.hanning(RATE)))
    assert spectrum.argmax() == 1000  # one second: bins are hertz
    assert np.abs(wav).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("path,kind\nx.wav,speech\n", "no column file"),
        ("file,kind\nx.wav,speech\n", "line 2: no file .*x.wav"),
    ],
)
def test_a_manifest_that_lacks_something_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(CorpusError, match=complaint):
        corpus.load(tmp_path)


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no sound"):
        corpus.load(tmp_path)
    with pytest.raises(CorpusError, match="neither"):
        corpus.load(tmp_path / "missing")


def test_clips_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF but not really")
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros((0, 1)), RATE)
    bad = tmp_path / "bad.wav"
    soundfile.write(bad, np.array([0.0, np.nan]), RATE, subtype="FLOAT")
    for path, complaint in ((broken, "not readable"), (empty, "no samples"), (bad, "not finite")):
        with pytest.raises(CorpusError, match=f"{path.name}.*{complaint}"):
            corpus.read(corpus.Clip(path, "all", path.name))
