"""The training store: what goes in comes out, interrupted runs go on, held-out sound stays out."""

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from sounds import glide

from ravecodec.training.prepare import prepare
from ravecodec.training.store import EDGE, HELD_OUT, Excerpt, Sampler, Store, cut, played, spread


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "sounds"
    for kind in ("speech", "music"):
        (source / kind).mkdir(parents=True)
        for i in range(3):
            soundfile.write(source / kind / f"{i}.wav", glide(i, 24000), 48000)
    stereo = np.stack([glide(7, 22050), glide(8, 22050)], 1)
    soundfile.write(source / "music" / "stereo.flac", stereo, 44100)
    (source / "music" / "broken.wav").write_bytes(b"RIFF nothing")
    (source / "notes.txt").write_text("not sound")
    return source


def test_sound_comes_back_as_it_was_and_bad_files_are_listed(folder: Path, tmp_path: Path) -> None:
    result = prepare(folder, tmp_path / "store")
    assert (result.added, result.kept, result.skipped) == (7, 0, 1)
    store = Store(tmp_path / "store")
    assert set(store.seconds_by_kind()) == {"speech", "music"}
    first = next(e for e in store.excerpts if e.source.endswith("speech/0.wav@0"))
    assert np.abs(store.read(first) - glide(0, 24000)).max() < 1e-4
    stereo = next(e for e in store.excerpts if "stereo" in e.source)
    assert stereo.length == 24000  # half a second at 48 kHz, of 44.1 kHz
    with (tmp_path / "store" / "skipped.csv").open() as f:
        assert ["broken.wav" in row[0] for row in csv.reader(f)] == [False, True]


def test_a_second_run_adds_only_what_is_new(folder: Path, tmp_path: Path) -> None:
    prepare(folder, tmp_path / "store")
    soundfile.write(folder / "speech" / "new.wav", glide(9, 24000), 48000)
    again = prepare(folder, tmp_path / "store")
    assert (again.added, again.kept) == (1, 7)


def test_what_a_killed_run_left_half_written_is_cut_off(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    prepare(folder, store)
    whole = (store / "sound.i16").read_bytes()
    lines = (store / "index.jsonl").read_text().splitlines(keepends=True)
    # Samples of the last file without their line, and a line cut in the middle.
    (store / "index.jsonl").write_text("".join(lines[:-1]) + lines[-1][:20])
    os.truncate(store / "sound.i16", len(whole) - 1001)
    prepare(folder, store)
    assert (store / "sound.i16").read_bytes() == whole
    assert [json.loads(line) for line in (store / "index.jsonl").read_text().splitlines()][-1] == json.loads(lines[-1])


def test_a_manifest_names_kinds_and_spans(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    soundfile.write(pack / "all.wav", np.concatenate([glide(1, 48000), glide(2, 48000)]), 48000, subtype="FLOAT")
    (pack / "manifest.csv").write_text("file,offset,seconds,kind\nall.wav,0,1,effects\nall.wav,1.0,0.5,speech\n")
    prepare(pack, tmp_path / "store")
    store = Store(tmp_path / "store")
    assert [(e.kind, e.length) for e in store.excerpts] == [("effects", 48000), ("speech", 24000)]
    assert np.abs(store.read(store.excerpts[1]) - glide(2, 48000)[:24000]).max() < 1e-4


def test_an_empty_folder_and_a_wrong_rate_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no audio"):
        prepare(tmp_path / "empty", tmp_path / "s")
    prepare(folder, tmp_path / "store")
    with pytest.raises(ValueError, match="rate"):
        prepare(folder, tmp_path / "store", rate=44100)
    with pytest.raises(FileNotFoundError, match="prepare"):
        Store(tmp_path / "nowhere")


def test_crops_are_repeatable_within_full_scale_and_never_held_out(tmp_path: Path) -> None:
    source = tmp_path / "levels"
    source.mkdir()
    for i in range(2 * HELD_OUT):  # every file a constant of its own
        held = i % HELD_OUT == HELD_OUT - 1
        soundfile.write(source / f"{i:03}.wav", np.full(16000, -0.9 if held else 0.5, np.float32), 48000)
    prepare(source, tmp_path / "store")
    store = Store(tmp_path / "store")
    assert len(store.held_out()) == 2
    assert len(store.training()) + len(store.held_out()) == len(store.excerpts)
    sampler = Sampler(store, {}, torch.device("cpu"), seed=1)
    crops = torch.cat([sampler.batch(n, 8, 20000) for n in range(20)])  # longer than the files: repeated
    assert crops.shape == (160, 1, 20000)
    assert float(crops.abs().max()) <= 1
    # Gain is at most 6 dB: only the held-out files could come above it.
    assert float(crops.abs().max()) <= 0.5 * 10 ** (6 / 20) + 1e-3
    assert torch.equal(sampler.batch(3, 8, 20000), crops[24:32])


def test_sound_played_faster_is_higher_and_still_itself() -> None:
    speed = torch.tensor([1.0, 0.8, 1.25])
    time = torch.arange(24000 + 2 * EDGE) / 48000
    tones = torch.sin(2 * np.pi * torch.tensor([[440.0], [5000.0], [15000.0]]) * time)
    heard = played(tones, speed, 19000)
    place = speed[:, None] * (torch.arange(19000) / 48000) + EDGE / 48000
    wanted = torch.sin(2 * np.pi * torch.tensor([[440.0], [5000.0], [15000.0]]) * place)
    assert float((heard - wanted)[:, 300:-300].square().mean(1).sqrt().max()) < 3e-3
    # What would come to lie above half the rate is gone, not folded back.
    high = played(torch.sin(2 * np.pi * 21000 * time)[None], torch.tensor([1.25]), 19000)
    assert float(high[:, 300:-300].abs().max()) < 0.01


def test_crops_at_other_speeds_are_repeatable_and_never_held_out(tmp_path: Path) -> None:
    source = tmp_path / "sounds"
    source.mkdir()
    for i in range(2 * HELD_OUT):
        held = i % HELD_OUT == HELD_OUT - 1
        sound = np.full(24000, 0.5) if held else np.zeros(24000)
        soundfile.write(source / f"{i:03}.wav", sound, 48000)
    prepare(source, tmp_path / "store")
    sampler = Sampler(Store(tmp_path / "store"), {}, torch.device("cpu"), seed=1, speed=1.3)
    crops = sampler.batch(3, 16, 16384)
    assert crops.shape == (16, 1, 16384)
    assert torch.equal(crops, sampler.batch(3, 16, 16384))
    assert float(max(sampler.batch(n, 16, 16384).abs().max() for n in range(8))) < 1e-3


def test_long_excerpts_are_cut_and_kinds_are_spread_by_their_weights() -> None:
    long = Excerpt("a.wav", "music", 1000, 2500)
    parts = cut([long, Excerpt("b.wav", "speech", 3500, 300)], 1000)
    assert [(e.kind, e.start, e.length) for e in parts] == [
        ("music", 1000, 1000), ("music", 2000, 1000), ("music", 3000, 500), ("speech", 3500, 300),
    ]  # fmt: skip
    many = [Excerpt(f"{n}", "speech" if n % 4 == 3 else "music", 100 * n, 100) for n in range(80)]
    assert spread(many, {}, math.inf) == many

    def lengths(weights: dict[str, float], most: float) -> dict[str, int]:
        taken = spread(many, weights, most)
        return {kind: sum(e.length for e in taken if e.kind == kind) for kind in ("speech", "music")}

    # Music is three quarters of it: with a weight of 3 speech is half, which leaves of music as much as of speech.
    assert lengths({"speech": 3}, math.inf) == {"speech": 2000, "music": 2000}
    assert lengths({"speech": 3}, 1000) == {"speech": 500, "music": 500}
    assert lengths({"speech": 0}, math.inf) == {"speech": 0, "music": 6000}
    assert spread(many, {"speech": 0, "music": 0}, math.inf) == []
    # Evenly over all that there is, not the beginning of it.
    taken = [e.start // 100 for e in spread(many, {"speech": 0}, 1000)]
    assert taken[-1] > 70
    assert max(np.diff(taken)) <= 9
