"""A sweep: complete, resumable, the same in parallel, honest about failures, its intervals meaningful."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
from records import same

from eval import codecs, sweep, table
from eval.audio import RATE, Audio
from eval.cache import Cache
from eval.codecs import Codec
from eval.errors import CorpusError, EvalError, Unavailable
from eval.measure import Measurement
from eval.metrics import METRICS, Metric
from eval.points import Point, usual
from eval.results import Results
from eval.summary import bootstrap
from ravecodec.cli import main

QUICK = ["si_sdr", "log_mel", "estoi"]
BITS = (4, 6, 8, 10, 12)


class Rounding(Codec):
    """A codec for tests: 16-bit integers of which the lower bits are cut off. It refuses loud clips."""

    name = "rounding"
    encoded: ClassVar[list[int]] = []

    def __init__(self, bits: int) -> None:
        super().__init__(bits=bits)
        self.scale = 2.0 ** (bits - 1)

    def encode(self, wav: Audio, rate: int) -> bytes:
        if np.abs(wav).max() > 0.99:
            raise RuntimeError("too loud")
        self.encoded.append(len(wav))
        integers = np.round(wav[:, 0] * self.scale).astype(np.int16)
        return integers.tobytes()

    def decode(self, data: bytes) -> tuple[Audio, int]:
        return np.frombuffer(data, np.int16)[:, None] / self.scale, RATE


@pytest.fixture
def rounding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Registers the codec and counts what it encodes."""
    codecs.register(Rounding.name, Rounding)
    monkeypatch.setattr(Rounding, "encoded", [])
    return Rounding.encoded


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three clips of 0.5 s, two of speech and one of music."""
    folder = tmp_path / "clips"
    random = np.random.default_rng(0)
    for name in ("speech/a", "speech/b", "music/c"):
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * random.standard_normal(RATE // 2), RATE)
    return folder


def points(*bits: int) -> list[Point]:
    return [Point("rounding", {"bits": each}) for each in bits]


def test_every_clip_at_every_point_is_counted(clips: Path, tmp_path: Path, rounding: list[int]) -> None:
    out = tmp_path / "out"
    results = sweep.run(clips, out, points(4, 8), QUICK, progress=False)
    assert len(results.rows) == 6 and len(rounding) == 6
    assert {(line.label, line.kind): line.clips for line in results.lines} == {
        (f"rounding bits={bits}", kind): count
        for bits in (4, 8)
        for kind, count in (("speech", 2), ("music", 1), ("overall", 3))
    }
    assert all(line.file_kbps == pytest.approx(16 * RATE / 1000) for line in results.lines)  # from the bytes
    by_kind = {(line.label, line.kind): line.metrics for line in results.lines}
    coarse, fine = (by_kind[f"rounding bits={bits}", "overall"]["si_sdr"] for bits in (4, 8))
    assert coarse and fine and fine.mean - coarse.mean == pytest.approx(4 * 6.02, abs=1)  # 6 dB a bit
    assert by_kind["rounding bits=4", "music"]["estoi"] is None
    for name in ("results.json", "results.csv", "clips.csv", "table.md", "rate.png", "rate.svg"):
        assert (out / name).stat().st_size > 0


def test_the_record_can_be_read_again(clips: Path, tmp_path: Path, rounding: list[int]) -> None:
    out = tmp_path / "out"
    results = sweep.run(clips, out, points(8), QUICK, plots=False, progress=False)
    again = Results.read(out / "results.json")
    assert (again.rows, again.lines) == (results.rows, results.lines)
    content = json.loads((out / "results.json").read_text())
    assert content["version"] == 1 and content["seed"] == 0
    assert content["packages"]["numpy"] == np.__version__
    assert len(content["corpus"]["sha256"]["music/c.wav"]) == 64
    assert str(tmp_path) not in (out / "results.json").read_text()  # a record names no machine's folders
    with (out / "clips.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["clip"] for row in rows] == ["music/c.wav", "speech/a.wav", "speech/b.wav"]
    assert rows[0]["estoi"] == "" and int(rows[0]["bytes"]) == RATE
    (out / "results.json").write_text('{"schema": "ravecodec-eval", "version": 99}')
    with pytest.raises(EvalError, match="version 99"):
        Results.read(out / "results.json")


def test_what_is_known_is_not_measured_again(clips: Path, tmp_path: Path, rounding: list[int]) -> None:
    out = tmp_path / "out"
    arguments: dict[str, Any] = {"plots": False, "progress": False}
    first = sweep.run(clips, out, points(8), ["si_sdr"], **arguments)
    assert len(rounding) == 3
    again = sweep.run(clips, out, points(8), ["si_sdr"], **arguments)
    assert len(rounding) == 3 and again.lines == first.lines  # even the speeds: nothing ran
    sweep.run(clips, out, points(8, 4), ["si_sdr"], **arguments)
    assert len(rounding) == 6  # the new point only
    more = sweep.run(clips, out, points(8), ["si_sdr", "log_mel"], **arguments)
    assert len(rounding) == 9  # a new metric needs the sound again
    assert all(set(row.measurement.metrics) == {"si_sdr", "log_mel"} for row in more.rows)
    samples, _ = soundfile.read(clips / "music/c.wav")
    soundfile.write(clips / "music/c.wav", samples / 2, RATE)
    sweep.run(clips, out, points(8), ["si_sdr", "log_mel"], **arguments)
    assert len(rounding) == 10  # the clip whose content changed


def test_a_killed_sweep_leaves_a_cache_that_works(tmp_path: Path) -> None:
    path = tmp_path / "cache.jsonl"
    Cache(path).put("one", Measurement(seconds=1.0, metrics={"m@1": 2.0}))
    with path.open("a") as stream:
        stream.write('{"key": "two", "measur')
    torn = Cache(path)
    assert len(torn) == 1
    torn.put("three", Measurement(seconds=3.0))
    torn.put("bad", Measurement(error="no"))
    again = Cache(path)
    assert len(again) == 2 and again.get("bad") is None
    assert again.get("one") == Measurement(seconds=1.0, metrics={"m@1": 2.0})
    assert again.get("three") == Measurement(seconds=3.0)


def test_a_sweep_killed_in_the_middle_goes_on(clips: Path, tmp_path: Path) -> None:
    """SIGKILL with half of the clips done: the next run measures the other half, and the record is that of one run."""
    slow = ["--shell", "slow", "sh -c 'sleep 0.3; cp {in} {out}'", "cp {in} {out}", "--fidelity", "--no-anchors"]
    arguments = ["sweep", "--data", str(clips), *slow, "--metrics", "si_sdr", "--limit", "0"]
    cut = tmp_path / "cut" / "cache.jsonl"
    command = [sys.executable, "-m", "ravecodec", *arguments, "--out", str(cut.parent)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and not (cut.is_file() and cut.stat().st_size):
            time.sleep(0.01)
        running.kill()
    done = len(Cache(cut))
    assert 0 < done < 3 and not (cut.parent / "results.json").exists()
    for out in (cut.parent, tmp_path / "whole"):
        assert main([*arguments, "--out", str(out)]) == 0
    assert len(cut.read_bytes().splitlines()) in (3, 4)  # nothing twice, but for a line that was cut short
    assert same(*(Results.read(out / "results.json") for out in (cut.parent, tmp_path / "whole")))


def test_processes_give_what_one_gives(clips: Path, tmp_path: Path) -> None:
    chosen = [Point("noise-vocoder"), Point("lowpass", {"cutoff": 7000.0})]
    one = sweep.run(clips, tmp_path / "1", chosen, ["si_sdr"], jobs=1, plots=False, progress=False)
    two = sweep.run(clips, tmp_path / "2", chosen, ["si_sdr"], jobs=2, plots=False, progress=False)
    assert same(one, two)


def test_a_clip_that_fails_is_recorded_and_the_sweep_goes_on(
    clips: Path, tmp_path: Path, rounding: list[int]
) -> None:
    soundfile.write(clips / "speech" / "loud.wav", np.ones(1000), RATE, subtype="FLOAT")
    (clips / "speech" / "broken.wav").write_bytes(b"nothing")
    results = sweep.run(clips, tmp_path / "out", points(8), ["si_sdr"], plots=False, progress=False)
    errors = {row.clip: row.measurement.error for row in results.failures}
    assert errors["speech/loud.wav"] == "RuntimeError: too loud"
    assert "not readable" in str(errors["speech/broken.wav"]) and len(errors) == 2
    overall = results.lines[-1]
    assert (overall.kind, overall.clips, overall.failures) == ("overall", 3, 2)
    estimate = overall.metrics["si_sdr"]
    assert estimate and estimate.clips == 3  # missing, not zero
    assert "rounding bits=8 (2 failed)" in table.text(results)
    assert str(tmp_path) not in (tmp_path / "out" / "results.json").read_text()


def test_a_clip_that_fails_everywhere_is_one_line(clips: Path, tmp_path: Path, rounding: list[int]) -> None:
    (clips / "speech" / "broken.wav").write_bytes(b"nothing")
    soundfile.write(clips / "speech" / "loud.wav", np.ones(1000), RATE, subtype="FLOAT")
    chosen = [*points(*BITS), Point("identity")]
    results = sweep.run(clips, tmp_path / "out", chosen, ["si_sdr"], plots=False, progress=False)
    assert len(results.failures) == len(BITS) + 1 + len(BITS)
    lines = sorted(table.failures(results))
    assert len(lines) == 2 and lines[0].startswith("speech/broken.wav: failed at every point: CorpusError: ")
    assert lines[1] == (
        "speech/loud.wav: failed with rounding bits=4 and rounding bits=6 and 3 more: RuntimeError: too loud"
    )


def test_a_codec_of_another_length_is_at_fault(clips: Path, tmp_path: Path) -> None:
    class Short(Rounding):
        name = "short"

        def decode(self, data: bytes) -> tuple[Audio, int]:
            return super().decode(data[:-2])

    codecs.register(Short.name, Short)
    results = sweep.run(clips, tmp_path / "out", [Point("short", {"bits": 8})], ["si_sdr"], progress=False)
    assert len(results.failures) == 3
    assert "24000 samples in 1 channels, the decoded sound 23999" in str(
        results.failures[0].measurement.error
    )


def test_a_metric_that_fails_is_missing_with_a_reason(
    clips: Path, tmp_path: Path, rounding: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(original: Audio, decoded: Audio, rate: int) -> float:
        return float("nan")

    metric = Metric("broken", "Broken", "lower", broken, "for this test")
    monkeypatch.setitem(METRICS, "broken", metric)
    results = sweep.run(clips, tmp_path / "out", points(8), ["si_sdr", "broken"], progress=False)
    assert not results.failures
    assert {row.measurement.metrics["broken"] for row in results.rows} == {None}
    assert "nan" in results.rows[0].measurement.notes["broken"]


def test_what_is_missing_stops_the_sweep_before_any_work(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no codec 'flac'"):
        sweep.run(clips, tmp_path / "out", [Point("flac")])
    with pytest.raises(CorpusError, match="neither a folder nor a manifest"):
        sweep.run(tmp_path / "nowhere", tmp_path / "out", [Point("identity")])
    with pytest.raises(EvalError, match="no operating points"):
        sweep.run(clips, tmp_path / "out", [])
    assert not (tmp_path / "out").exists()


def test_the_usual_points() -> None:
    chosen = usual(opus=[6, 12])
    assert len(chosen) == 8 * 3 + 2 + 5
    assert len({point.key for point in chosen}) == len(chosen)


def test_tables_show_anchors_without_a_rate(clips: Path, tmp_path: Path, rounding: list[int]) -> None:
    chosen = [*points(8), Point("silence")]
    results = sweep.run(clips, tmp_path / "out", chosen, QUICK, plots=False, progress=False)
    overall = table.text(results, ["overall"]).splitlines()
    assert overall[0] == "overall: 3 clips, 2 s"
    assert overall[1].split() == ["codec", "kbit/s", "si_sdr", "↑", "log_mel", "↓", "estoi", "↑"]
    assert overall[2].split()[:3] == ["rounding", "bits=8", "768.00"]
    assert overall[3].split()[:3] == ["silence", "–", "-100.0"]
    music = table.markdown(results, ["music"], intervals=True)
    assert "| --- | ---: | ---: | ---: |\n" in music and "estoi" not in music
    assert music.count("| -100.0 (-100.0 to -100.0) |") == 1


def test_bootstrap_intervals_are_those_of_the_mean() -> None:
    values = np.random.default_rng(5).normal(3, 2, 400)
    estimate = bootstrap(values, seed=1)
    assert estimate is not None and estimate.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(400)  # what the central limit theorem gives
    assert estimate.high - estimate.mean == pytest.approx(half, rel=0.15)
    assert estimate.mean - estimate.low == pytest.approx(half, rel=0.15)
    assert estimate == bootstrap(values, seed=1) != bootstrap(values, seed=2)
    constant = bootstrap([7.0] * 10)
    assert constant is not None and (constant.low, constant.high, constant.clips) == (7, 7, 10)
    assert bootstrap([]) is None


def test_the_command_line(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["sweep", "--data", str(clips), "--out", str(out), "--fidelity", "--metrics", "si_sdr"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "noise vocoder, 40 bands" in printed.out and printed.err == ""  # no bar without a terminal
    assert main(["sweep", "--data", str(tmp_path / "nowhere"), "--out", str(out), "--fidelity"]) == 1
    assert "neither a folder nor a manifest" in capsys.readouterr().err
