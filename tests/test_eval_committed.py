"""The record that is committed: it is of the model that ships, it has what a claim needs, and the gate stands on it."""

import json
from pathlib import Path
from typing import Any

import pytest

import ravecodec
from eval import curves, findings
from eval.results import Results
from ravecodec.cli import main

FOLDER = Path(__file__).parent.parent / "eval" / "results" / "default"
GATED = ["--metrics", "spectral_distance", "fine_structure", "estoi", "--resamples", "50"]


@pytest.fixture(scope="module")
def results() -> Results:
    return Results.read(FOLDER / "results.json")


def test_it_is_of_the_model_that_ships(results: Results) -> None:
    model = ravecodec.load()
    stated = {
        (point["identity"]["model_id"], point["identity"]["tables_id"])
        for point in results.about["points"]
        if point["codec"] == "ravecodec"
    }
    assert stated == {(model.model_id.hex(), model.tables_id.hex())}


def test_no_metric_stands_alone(results: Results) -> None:
    assert not results.failures and not findings.missing(results)
    assert {"spectral_distance", "log_mel", "zimtohrli", *findings.NEEDED} <= set(results.metrics)
    for kind in ("speech", "music", "effects", "overall"):
        labels = {line.label for line in results.lines if line.kind == kind}
        assert {f"Opus {rate}" for rate in (6, 8, 12, 16, 24, 32)} <= labels
        assert {"identity", "silence", "noise vocoder, 40 bands", "low-pass 3.5 kHz", "low-pass 7 kHz"} <= labels
    for name, system in curves.systems(results).items():
        assert len(system.points) >= 5, f"{name} has too few points for a BD-rate"


def test_the_gate_passes_the_same_and_stops_a_worse_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`ravecodec compare eval/results/default NEW`, as CONTRIBUTING.md asks for of every new model."""
    assert main(["compare", str(FOLDER), str(FOLDER / "results.json"), *GATED]) == 0
    content = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))

    def gate(change: float) -> int:
        def larger(row: dict[str, Any]) -> dict[str, Any]:
            return {**row, "bytes": round(row["bytes"] * change)} if row["codec"] == "ravecodec" else row

        new = {**content, "clips": [larger(row) for row in content["clips"]]}
        (tmp_path / "results.json").write_text(json.dumps(new), encoding="utf-8")
        return main(["compare", str(FOLDER), str(tmp_path), *GATED])

    assert gate(1.05) == 1
    assert "worse beyond the interval" in capsys.readouterr().err
    assert gate(0.95) == 0
    assert "better" in capsys.readouterr().out
