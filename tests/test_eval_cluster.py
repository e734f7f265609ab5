"""A sweep over a cluster: real workers, started by the documented commands, give the record of one process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from records import same

from eval import cluster, sweep
from eval.audio import RATE
from eval.errors import Unavailable
from eval.points import Point
from eval.results import Results
from ravecodec.cli import main

POINTS = [Point("noise-vocoder"), Point("lowpass", {"cutoff": 7000.0})]
QUIET: dict[str, Any] = {"plots": False, "progress": False}


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for number, kind in enumerate(("speech", "music", "music")):
        path = tmp_path / "clips" / kind / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(number).standard_normal(RATE // 2), RATE)
    return tmp_path / "clips"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with two workers, all of them processes of their own."""
    dask, local = [sys.executable, "-m", "dask"], tmp_path / "scratch"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    started = [subprocess.Popen([*dask, "scheduler", *options], stderr=subprocess.PIPE, text=True)]
    try:
        said = next(line for line in started[0].stderr or () if "Scheduler at:" in line)
        found = said.split()[-1]
        options = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", str(local)]
        started.append(subprocess.Popen([*dask, "worker", found, *options], stderr=subprocess.DEVNULL))
        yield found
    finally:
        scheduler, *workers = started
        for worker in workers:
            worker.terminate()  # so that it ends its own processes
            worker.wait(30)
        scheduler.kill()
        scheduler.wait(30)


def test_two_workers_give_what_one_process_gives(clips: Path, tmp_path: Path, address: str) -> None:
    import distributed

    one = sweep.run(clips, tmp_path / "1", POINTS, ["si_sdr", "log_mel"], **QUIET)
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, 60)
    arguments = ["sweep", "--data", str(clips), "--out", str(tmp_path / "2"), "--fidelity", "--no-anchors"]
    arguments += ["--codec", "noise-vocoder", "lowpass:cutoff=7000.0", "--metrics", "si_sdr", "log_mel"]
    assert main([*arguments, "--backend", "dask", "--cluster", address]) == 0
    two = Results.read(tmp_path / "2" / "results.json")
    assert not two.failures and same(one, two)


def test_what_is_missing_of_a_cluster_is_said(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {**QUIET, "backend": "dask", "scheduler": "tcp://127.0.0.1:9"}
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 0.3)
    with pytest.raises(Unavailable, match="no dask scheduler answers at tcp://127"):
        sweep.run(clips, tmp_path / "3", POINTS, ["si_sdr"], **arguments)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(Unavailable, match="pip install 'ravecodec"):
        sweep.run(clips, tmp_path / "3", POINTS, ["si_sdr"], **arguments)
