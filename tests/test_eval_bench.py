"""The speed benchmark: every figure it promises, from a real model; no figure is judged."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval import bench, codecs, startup
from eval.audio import RATE, Audio
from eval.spread import Spread
from ravecodec.cli import main


def test_the_spread_is_median_smallest_and_largest() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_the_sound_is_mono_bounded_and_always_the_same() -> None:
    sound = bench.example(0.5)
    assert sound.shape == (24000, 1)
    assert np.abs(sound).max() < 1
    np.testing.assert_array_equal(sound, bench.example(0.5))


def test_it_measures_what_it_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    arguments = "bench --seconds 1 --threads 1 --dtype fp32 bf16 --repeats 1 -q --json".split()
    assert main([*arguments, str(out)]) == 0
    results = json.loads(out.read_text())
    assert results["schema"] == bench.SCHEMA
    assert [(case["threads"], case["dtype"]) for case in results["cases"]] == [(1, "fp32"), (1, "bf16")]
    for case in results["cases"]:
        for name in ("encode", "decode", "first_packet", "first_sound"):
            assert 0 < case[name]["low"] <= case[name]["median"] <= case[name]["high"]
    assert results["entropy_coding"]["decode"]["median"] > 0
    assert results["start"]["peak_bytes"]["low"] >= results["start"]["loaded_bytes"]["low"] > 1e7
    assert {"processor", "python"} <= set(results["machine"])
    shown = capsys.readouterr().out
    assert "entropy coding alone" in shown and "default" in shown


def test_another_codec_stands_beside_at_random_weights() -> None:
    class Halves(codecs.Codec):
        name = "halves"
        faithful = False

        def __init__(self, random_weights: bool) -> None:
            super().__init__(random_weights=random_weights)

        def encode(self, wav: Audio, rate: int) -> bytes:
            return wav[:, 0].astype(np.float16).tobytes()

        def decode(self, data: bytes) -> tuple[Audio, int]:
            return np.frombuffer(data, np.float16)[:, None], RATE

    codecs.register(Halves.name, Halves)
    results = bench.bench(seconds=1, threads=[1], dtypes=["fp32"], repeats=1, beside=["halves"])
    ours, theirs = results["cases"]
    assert (theirs["codec"], theirs["threads"]) == ("halves (random weights)", ours["threads"])
    assert theirs["first_packet"] is None and theirs["decode"]["median"] > ours["decode"]["median"]
    assert "halves (random weights)" in bench.text(results)


def test_what_is_missing_is_said_before_anything_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--beside", "opus"]) == 1
    said = capsys.readouterr().err
    assert "opus is no neural codec" in said and "threads" not in said


def test_the_memory_is_that_of_the_process_and_not_of_its_parent() -> None:
    """Linux counts the memory of the parent, at the moment of the fork, among the child's largest."""
    before = startup.measure("default", 1)["loaded_bytes"].median
    ballast = np.ones(int(0.8e9) // 8)
    after = startup.measure("default", 1)["loaded_bytes"].median
    assert ballast[-1] == 1 and after < 1.2 * before


def test_impossible_lengths_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--seconds", "0"]) == 2
    assert "--seconds" in capsys.readouterr().err
