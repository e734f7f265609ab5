"""Recordings in two channels: which excerpts of a folder are taken, and what the entropy network learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from sounds import glide
from trainings import glides

from ravecodec.network.config import load_preset
from ravecodec.network.vae import RaveNet
from ravecodec.training import recordings
from ravecodec.training.calibrate import measure
from ravecodec.training.store import Store

RATE = 44100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    one, two = (glide(seed, 50 * RATE) for seed in (1, 2))
    soundfile.write(folder / "alike.flac", np.stack([one, 0.7 * one + 0.1 * two], 1), RATE)
    soundfile.write(folder / "apart.flac", np.stack([one, two], 1)[: 30 * RATE], RATE)
    soundfile.write(folder / "mono.flac", one[:RATE], RATE)
    (folder / "broken.flac").write_bytes(b"fLaC, but not really")
    return folder


def test_excerpts_are_spread_over_all_sound_in_two_channels(folder: Path) -> None:
    whole = recordings.spans(folder, 1000)
    assert [(span.path.stem, span.offset, span.seconds) for span in whole] == [
        ("alike", 0, 20), ("alike", 20, 20), ("alike", 40, 10), ("apart", 10, 20),
    ]  # fmt: skip
    some = recordings.spans(folder, 40)
    assert [(span.path.stem, span.offset, span.seconds) for span in some] == [("alike", 0, 20), ("alike", 40, 10)]
    (folder / "none").mkdir(exist_ok=True)
    with pytest.raises(FileNotFoundError, match=r"none: no sound of two channels"):
        recordings.spans(folder / "none", 40)


def test_what_would_be_coded_separately_teaches_nothing(folder: Path) -> None:
    found = list(recordings.joint(recordings.spans(folder, 1000), 48000))
    assert [sound.shape for sound in found] == [(20 * 48000, 2), (20 * 48000, 2), (10 * 48000, 2)]
    assert np.square(found[1][:, 0]).sum() > np.square(found[1][:, 1]).sum()


def test_recordings_are_measured_besides_what_is_staged(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    store = Store(glides(tmp_path / "sounds"))
    net = RaveNet(load_preset("tiny")).eval()
    excerpts = store.training()[:6]
    staged = measure(net, store, excerpts).pairs
    assert net.places and len(staged) == 2
    found = measure(net, store, excerpts, recordings.spans(folder, 40)).pairs
    assert len(found) == 4 and all(np.array_equal(a, b) for a, b in zip(found, staged, strict=False))
    left, right = found[2]
    own = net.contour.start
    assert np.array_equal(left[:, :own], right[:, :own]) and (left[:, own:] != right[:, own:]).any()
