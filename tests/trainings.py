"""Small trainings: a store of forty glides of half a second, and options of a run of three steps."""

from pathlib import Path

import soundfile
from sounds import glide

from ravecodec.training.options import TrainOptions
from ravecodec.training.prepare import prepare


def glides(folder: Path) -> Path:
    """A training store beside a new `folder` of sounds."""
    for i in range(40):
        soundfile.write(folder / f"{i:02}.wav", glide(i, 24000), 48000)
    store = folder.parent / f"{folder.name}-store"
    prepare(folder, store)
    return store


def options(store: Path, out: Path, **changes) -> TrainOptions:
    """Options of a short run on one thread."""
    usual = {"preset": "tiny", "steps": 3, "batch": 2, "crop": 8192, "accelerator": "cpu", "threads": 1, "log_every": 1}
    return TrainOptions(store, out, **usual | changes)
