"""What several tests share: sounds made by formula, and a check that the installed package is tested."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

# The machine that tests may be shared: one thread a process. Set before torch or OpenBLAS is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile
from hypothesis import settings

# Nothing here is timed: a busy machine must not fail a test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# `make test` names the place the packages must come from, so that it cannot test the checkout by mistake.
_expected = os.environ.get("RAVECODEC_TEST_INSTALLED")


def pytest_sessionstart(session: pytest.Session) -> None:
    if not _expected:
        return
    import importlib.util

    for name in ("bitstream", "ravecodec", "eval"):
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec else None
        if origin is None or Path(_expected).resolve() not in Path(origin).resolve().parents:
            pytest.exit(f"{name} was imported from {origin}, not from {_expected}", returncode=3)


def tone(seconds: float = 1.0, rate: int = 48000, channels: int = 1, pitch: float = 440.0) -> np.ndarray:
    """Float32 [n, channels]: one sine a channel, a fifth apart, at a quarter of full scale."""
    t = np.arange(round(seconds * rate)) / rate
    pitches = pitch * 1.5 ** np.arange(channels)
    return (0.25 * np.sin(2 * np.pi * t[:, None] * pitches)).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture
def rvc_file(tmp_path: Path) -> Path:
    """A sound .rvc file of three packets of noise, of a model "m" that is not installed."""
    from bitstream import FidelityRule, Header, Layout, Tables, Writer

    rng = np.random.default_rng(5)
    codes = rng.integers(-3, 4, (2, 150, 8)).astype(np.int32)
    tables = Tables.fit({0: codes.reshape(-1, 8)})
    header = Header(
        components=8, channels=2, layout=Layout.JOINT, source_rate=44100, samples=280_000, fidelity=0.95,
        fidelity_rule=FidelityRule.SIGMA, model_name="m", model_id=bytes(range(16)), tables_id=tables.id,
        tags={"title": "Ä"},
    )  # fmt: skip
    path = tmp_path / "noise.rvc"
    with path.open("wb") as file, Writer(file, header, tables) as writer:
        for start in range(0, 150, 64):
            writer.write(codes[:, start : start + 64])
    return path


@pytest.fixture
def sound_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a tone: sound_file("a.flac", seconds=2, rate=44100, channels=2, subtype="PCM_16") -> its path."""

    def make(
        name: str = "tone.wav",
        seconds: float = 1.0,
        rate: int = 48000,
        channels: int = 1,
        subtype: str | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(seconds, rate, channels), rate, subtype=subtype)
        return path

    return make
