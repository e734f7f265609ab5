"""Codecs and metrics that hang, die or fail, clips that are broken: recorded, and the sweep goes on."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from eval import cache, codecs, corpus, cost, sweep
from eval.audio import RATE, Audio
from eval.codecs import Codec
from eval.errors import EvalError, Unavailable
from eval.guard import Guard
from eval.measure import Measurement
from eval.metrics import METRICS, Metric
from eval.points import Point


class Moody(Codec):
    """Exact, but for clips of a certain length: 1000 samples hang it, 2000 kill it, 3000 make it print, 4000 raise."""

    name = "moody"

    def encode(self, wav: Audio, rate: int) -> bytes:
        if len(wav) == 1000:
            subprocess.run(["sleep", "600"], check=True)
        if len(wav) == 2000:
            os.kill(os.getpid(), signal.SIGSEGV)
        if len(wav) == 3000:
            print("a codec that talks")
        if len(wav) == 4000:
            raise RuntimeError("not this one")
        return wav.astype(np.float32).tobytes()

    def decode(self, data: bytes) -> tuple[Audio, int]:
        return np.frombuffer(data, np.float32)[:, None], RATE


def hangs(original: Audio, decoded: Audio, rate: int) -> float:
    time.sleep(600)
    return 0.0


def clip(folder: Path, samples: int) -> corpus.Clip:
    path = folder / f"{samples}.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(samples).standard_normal(samples), RATE)
    return corpus.Clip(path, "music", path.name)


QUICK = [METRICS["si_sdr"], METRICS["log_mel"]]


def test_what_hangs_is_stopped_and_what_dies_is_recorded(tmp_path: Path) -> None:
    with Guard(limit=3) as guard:
        fine = guard.measure(clip(tmp_path, 3000), Moody, QUICK)
        assert fine.error is None and fine.metrics["si_sdr"] == 100
        assert set(fine.metric_seconds) == {"si_sdr", "log_mel"}
        started = time.monotonic()
        assert guard.measure(clip(tmp_path, 1000), Moody, QUICK).error == "CodecError: stopped after 3 s"
        assert time.monotonic() - started < 60  # not the ten minutes that the codec's program would take
        assert "signal SIGSEGV" in str(guard.measure(clip(tmp_path, 2000), Moody, QUICK).error)
        assert guard.measure(clip(tmp_path, 4000), Moody, QUICK).error == "RuntimeError: not this one"
        assert guard.measure(clip(tmp_path, 3000), Moody, QUICK).metrics == fine.metrics


def test_a_metric_that_hangs_leaves_the_others(tmp_path: Path) -> None:
    slow = Metric("slow", "Slow", "lower", hangs, "for this test")
    with Guard(limit=3) as guard:
        known = guard.measure(clip(tmp_path, 3000), Moody, [QUICK[0], slow, QUICK[1]])
    assert known.error is None and known.bytes == 4 * 3000
    assert known.metrics == {"si_sdr": 100, "slow": None, "log_mel": None}
    assert known.notes == dict.fromkeys(("slow", "log_mel"), "stopped after 3 s")


def test_what_is_missing_passes_through(tmp_path: Path) -> None:
    class Absent(Moody):
        def prepare(self) -> None:
            raise Unavailable("its weights are elsewhere")

    with Guard(limit=20) as guard, pytest.raises(Unavailable, match="weights are elsewhere"):
        guard.measure(clip(tmp_path, 3000), Absent, QUICK)


def test_the_helper_ends_with_the_process_that_it_serves() -> None:
    program = "from eval.guard import Guard; g = Guard(9); print(g._start().pid, flush=True); import os; os._exit(0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    pid = int(done.stdout)
    for _ in range(200):
        if not running(pid):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the helper outlived its parent")


def running(pid: int) -> bool:
    """Whether the process exists and is more than a dead one's remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_sweep_over_moody_codecs_and_bad_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hanging, dying, raising; broken, empty, one sample, silent, 8 kHz stereo, 44.1 kHz: each has its line."""
    codecs.register(Moody.name, Moody)
    folder = tmp_path / "clips"
    folder.mkdir()
    for samples in (1000, 2000, 3000, 4000):
        clip(folder, samples)
    (folder / "broken.wav").write_bytes(b"RIFF, but no more")
    soundfile.write(folder / "empty.wav", np.zeros(0), RATE)
    soundfile.write(folder / "one.wav", np.full(1, 0.1), RATE, subtype="FLOAT")
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "rate.flac", 0.1 * np.sin(np.arange(44_100) / 20), 44_100)
    soundfile.write(folder / "stereo.wav", np.full((4000, 2), 0.1), 8000)
    names = ["spectral_distance", "log_mel", "si_sdr"]
    arguments: dict[str, Any] = {"plots": False, "progress": False, "limit": 4.0}
    results = sweep.run(folder, tmp_path / "out", [Point("moody"), Point("identity")], names, **arguments)
    failed = {(row.codec, row.clip): str(row.measurement.error) for row in results.failures}
    assert {name for _, name in failed} == {
        *("1000.wav", "2000.wav", "4000.wav"), *("broken.wav", "empty.wav"), "stereo.wav"
    }  # fmt: skip
    assert {name for codec, name in failed if codec == "identity"} == {"broken.wav", "empty.wav"}
    assert "stopped after 4 s" in failed["moody", "1000.wav"] and "SIGSEGV" in failed["moody", "2000.wav"]
    values = {row.clip: row.measurement.metrics for row in results.rows if row.codec == "moody"}
    assert values["silent.wav"] == {"spectral_distance": 0, "log_mel": 0, "si_sdr": None}  # missing, not zero
    assert values["one.wav"]["si_sdr"] == 100 and values["rate.flac"]["log_mel"] == pytest.approx(0, abs=1e-6)
    seconds = {row.clip: row.measurement.seconds for row in results.rows if row.codec == "identity"}
    assert seconds["rate.flac"] == 1 and seconds["stereo.wav"] == 0.5
    # What the sweep records of it: the costs, and nothing of the clocks in the rows.
    assert set(results.about["cost"]) == set(names) and min(results.about["cost"].values()) > 0
    assert cost.text(results).splitlines()[1].split() == ["metric", "seconds"]
    assert all(not row.measurement.metric_seconds for row in results.rows)


def test_random_weights_are_for_timing_only(tmp_path: Path) -> None:
    class Untrained(Moody):
        name = "untrained"
        faithful = False

    codecs.register(Untrained.name, Untrained)
    clip(tmp_path, 3000)
    with pytest.raises(EvalError, match="weights are random"):
        sweep.run(tmp_path, tmp_path / "out", [Point("untrained")])


def test_a_failed_metric_is_tried_again_and_a_missing_value_is_not(tmp_path: Path) -> None:
    calls: list[str] = []

    def broken(original: Audio, decoded: Audio, rate: int) -> float:
        calls.append("broken")
        raise RuntimeError("today")

    def undefined(original: Audio, decoded: Audio, rate: int) -> None:
        calls.append("undefined")

    clip(tmp_path, 3000)
    metrics = [Metric(each.__name__, "", "lower", each, "for this test") for each in (broken, undefined)]
    with pytest.MonkeyPatch.context() as patch:
        for metric in metrics:
            patch.setitem(METRICS, metric.name, metric)
        for _ in range(2):
            arguments: dict[str, Any] = {"plots": False, "progress": False}
            results = sweep.run(tmp_path, tmp_path / "o", [Point("identity")], ["broken", "undefined"], **arguments)
            assert results.rows[0].measurement.metrics == {"broken": None, "undefined": None}
            assert results.rows[0].measurement.notes == {"broken": "RuntimeError: today"}
    assert calls == ["broken", "undefined", "broken"]


def test_a_cache_of_another_version_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip(tmp_path, 3000)
    out = tmp_path / "out"
    arguments: dict[str, Any] = {"plots": False, "progress": False}
    sweep.run(tmp_path, out, [Point("identity")], ["si_sdr"], **arguments)
    lines = (out / "cache.jsonl").read_text()
    wrong = lines.replace('"si_sdr@1": 100.0', '"si_sdr@1": 7.0')
    assert wrong != lines
    (out / "cache.jsonl").write_text(wrong)
    seven = sweep.run(tmp_path, out, [Point("identity")], ["si_sdr"], **arguments)
    assert seven.rows[0].measurement.metrics == {"si_sdr": 7}  # so it is the cache that speaks
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    newer = sweep.run(tmp_path, out, [Point("identity")], ["si_sdr"], **arguments)
    assert newer.rows[0].measurement.metrics == {"si_sdr": 100}
    # Lines with fields that this version does not know, or that lack some, are passed over or filled.
    (out / "cache.jsonl").write_text('{"key": "a", "measurement": {"colour": 3}}\n{"key": "b", "measurement": {}}\n')
    assert len(cache.Cache(out / "cache.jsonl")) == 1


def test_old_records_without_costs_can_be_read() -> None:
    old = Measurement(seconds=1, metrics={"m": 1.0}).to_json()
    assert "metric_seconds" not in old
    assert Measurement.from_json(old) == Measurement(seconds=1, metrics={"m": 1.0})
    new = replace(Measurement(), metric_seconds={"m": 0.5})
    assert Measurement.from_json(new.to_json()) == new
