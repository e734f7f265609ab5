"""The recipe of the training set: what is reserved stays out, what is in archives is found, what is unfit is left."""

from __future__ import annotations

import io
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes"))
import archives
import midi
import training_set as recipe

LISTS = recipe.read_lists()
RESERVED = """
    ktuberling-data csoundqt-examples python3-pyo unknown-horizons hyperrogue-music trigger-rally-data freecol
    lomiri-sounds gigalomania-data grandorgue-demo endless-sky-data foobillardplus-data alsa-utils chuck-data
    hydrogen-drumkits hydrogen-drumkits-effects hydrogen-data avldrums.lv2-soundfont bucklespring-data
""".split()


def noise(seconds: float = 1.0, rate: int = 44100) -> np.ndarray:
    return np.random.default_rng(3).uniform(-0.3, 0.3, round(seconds * rate))


def as_bytes(audio: np.ndarray, rate: int = 44100, kind: str = "OGG") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format=kind)
    return buffer.getvalue()


def test_the_reserved_packages_are_all_listed_and_none_is_used() -> None:
    assert set(RESERVED) == LISTS.never
    assert not {package.name for package in LISTS.packages} & LISTS.never
    assert recipe.is_reserved("usr/share/games/supertuxkart/data/sfx/sheep.ogg", LISTS)


@pytest.mark.parametrize("name", RESERVED)
def test_asking_for_a_reserved_package_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(recipe.ReservedError, match=name):
        recipe.main([str(tmp_path / "corpus"), name])
    package = replace(LISTS.packages[0], name=name)
    with pytest.raises(recipe.ReservedError, match=name):
        recipe.build(tmp_path, [package], LISTS)
    assert not (tmp_path / "corpus").exists()


def unpacked(root: Path, sounds: dict[str, bytes]) -> Path:
    """A scratch folder as if a package had been unpacked there."""
    for path, data in sounds.items():
        (root / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "root" / path).write_bytes(data)
    return root


def package(**changes: object) -> recipe.Package:
    return recipe.Package(**{"name": "p", "set": "train", "kind": "effects", "licence": "CC0-1.0", **changes})


def test_sound_is_taken_with_its_kind_and_origin(tmp_path: Path) -> None:
    sounds = {"usr/music/a.ogg": as_bytes(noise()), "usr/b.wav": as_bytes(noise(), kind="WAV"), "usr/c.txt": b"x"}
    rows, left_out = recipe.take(package(kinds={"*/music/*": "music"}), "1.0", unpacked(tmp_path, sounds), LISTS)
    assert [(row["path"], row["kind"]) for row in rows] == [("usr/b.wav", "effects"), ("usr/music/a.ogg", "music")]
    assert left_out == 0
    assert set(rows[0]) == set(recipe.COLUMNS)
    assert (rows[1]["length"], rows[1]["rate"], rows[1]["licence"]) == (1.0, 44100, "CC0-1.0")


def test_unfit_reserved_and_skipped_sound_is_left_out(tmp_path: Path) -> None:
    t = np.arange(44100) / 44100
    sounds = {
        "usr/dull.wav": as_bytes(0.3 * np.sin(2 * np.pi * 440 * t), kind="WAV"),
        "usr/low.wav": as_bytes(noise(rate=22050), 22050, "WAV"),
        "usr/short.wav": as_bytes(noise(0.1), kind="WAV"),
        "usr/broken.ogg": as_bytes(noise())[:5000],
        "usr/sheep.ogg": as_bytes(noise()),
        "usr/old/a.ogg": as_bytes(noise()),
    }
    rows, left_out = recipe.take(package(skip=("*/old/*",)), "1.0", unpacked(tmp_path, sounds), LISTS)
    assert rows == []
    assert left_out == len(sounds)
    assert not [path for path in (tmp_path / "sound").rglob("*") if path.is_file()]


def test_sound_is_found_in_archives_in_archives_and_in_resources(tmp_path: Path) -> None:
    ogg = as_bytes(noise(0.3))
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("maps/a.ogg", ogg)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("data.pk3", inner.getvalue())
        archive.writestr("b.ogg", ogg)
    (tmp_path / "public.zip").write_bytes(outer.getvalue())
    (tmp_path / "sounds.rcc").write_bytes(b"qres" + bytes(99) + ogg + b"OggS in a text" + ogg + ogg[:3000])
    (tmp_path / "bad.zip").write_bytes(b"no archive")
    found = {name: read() for name, read in archives.sounds(tmp_path)}
    assert sorted(found) == [
        "public.zip.d/b.ogg", "public.zip.d/data.pk3.d/maps/a.ogg", "sounds.rcc.d/0000.ogg", "sounds.rcc.d/0001.ogg",
    ]  # fmt: skip
    assert set(found.values()) == {ogg}


def test_what_lies_on_the_disk_is_checked_again(tmp_path: Path) -> None:
    known = LISTS.packages[0]

    def lay(which: str, name: str, path: str) -> None:
        row = dict.fromkeys(recipe.COLUMNS, "") | {"package": name, "path": path}
        (tmp_path / "sound").mkdir()
        recipe.finish(tmp_path / "sound", tmp_path / which / name, [row])

    lay("train", known.name, "usr/a.ogg")
    recipe.check(tmp_path, LISTS)
    for which, name, path in (
        ("train", "freecol", "usr/a.ogg"),
        ("train", known.name, "usr/sheep.ogg"),
        ("train", "kajongg", "usr/a.ogg"),
        ("validation", known.name, "usr/a.ogg"),
    ):
        lay(which, name, path)
        with pytest.raises(recipe.ReservedError):
            recipe.check(tmp_path, LISTS)
        (tmp_path / which / name / "manifest.csv").unlink()


def played_by(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program named fluidsynth first on the path."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "fluidsynth"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")


def with_midi(root: Path) -> Path:
    unpacked(root, {"usr/music/b.mid": b"MThd", "usr/music/a.MID": b"MThd", "usr/music/c.ogg": as_bytes(noise())})
    unpacked(root / "soundfont", {"usr/share/small.sf2": b"x", "usr/share/large.sf2": b"xxx"})
    return root


def test_midi_files_are_played_by_the_largest_sound_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what comes out three times as loud as full scale is not clipped."""
    loud, sound = np.stack([noise(rate=48000), 10 * noise(rate=48000)], 1), tmp_path / "sound.wav"
    soundfile.write(sound, loud, 48000, "FLOAT")
    played_by(
        tmp_path, monkeypatch, f'echo "$@" >> {tmp_path}/asked\nwhile [ "$1" != -F ]; do shift; done\ncp {sound} $2\n'
    )
    rows, left_out = recipe.take(package(kind="music", soundfont="s"), "1.0", with_midi(tmp_path), LISTS)
    paths = ["usr/music/a.flac", "usr/music/b.flac"]
    assert [(row["path"], row["kind"]) for row in rows] == [(path, "music") for path in paths]
    assert (rows[0]["rate"], rows[0]["length"], left_out) == (48000, 1.0, 0)
    found, _ = soundfile.read(tmp_path / "sound" / paths[0])
    np.testing.assert_allclose(found, loud * (midi.PEAK / np.abs(loud).max()), atol=2**-15)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert all("large.sf2" in line and "-r 48000" in line for line in asked) and "a.MID" in asked[0]


@pytest.mark.parametrize(
    ("script", "word"),
    [(None, "install it"), ("echo no such font >&2; exit 1\n", "no such font"), ("exit 0\n", "no sound")],
)
def test_what_keeps_midi_from_being_played_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, word: str
) -> None:
    if script is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        played_by(tmp_path, monkeypatch, script)
    with pytest.raises(OSError, match=word):
        recipe.take(package(soundfont="s"), "1.0", with_midi(tmp_path), LISTS)
    with pytest.raises(FileNotFoundError, match="no sound font"):
        midi.soundfont_in(tmp_path / "root")


def test_a_reserved_sound_font_is_refused(tmp_path: Path) -> None:
    text = recipe.LISTS.read_text().replace('soundfont = "fluid-soundfont-gm"', 'soundfont = "avldrums.lv2-soundfont"')
    (tmp_path / "packages.toml").write_text(text)
    with pytest.raises(recipe.ReservedError, match="avldrums"):
        recipe.read_lists(tmp_path / "packages.toml")
