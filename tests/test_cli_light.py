"""What must answer at once: no heavy import, and under 0.4 s."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "scipy", "matplotlib", "pandas", "lightning_fabric", "joblib", "tqdm", "constriction", "soundfile"}


def imported(*arguments: str) -> set[str]:
    """The packages a command imports."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ravecodec", *arguments], capture_output=True, text=True
    )
    lines = [line for line in ran.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["encode", "--help"], ["decode", "--help"], ["train", "--help"]],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    assert imported(*arguments) & (HEAVY | {"numpy"}) == set()


def test_info_and_models_need_no_network_library(rvc_file: Path) -> None:
    assert imported("info", str(rvc_file)) & HEAVY == set()
    assert imported("models") & HEAVY == set()


def test_importing_the_package_is_free() -> None:
    code = "import sys, ravecodec; print(*{m.partition('.')[0] for m in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) & (HEAVY | {"numpy"}) == set()


def test_a_codec_needs_no_library_that_takes_as_long_to_load_as_torch() -> None:
    code = "import sys, ravecodec; ravecodec.load(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) & {"scipy.signal", "matplotlib", "pandas", "lightning_fabric"} == set()


@pytest.mark.parametrize("command", ["--help", "info"])
def test_the_answer_comes_within_the_time(command: str, rvc_file: Path) -> None:
    arguments = [command, str(rvc_file)] if command == "info" else [command]
    best = min(processor_seconds(*arguments) for _ in range(3))
    assert best < 0.4


def processor_seconds(*arguments: str) -> float:
    """Seconds of processor a command takes; unlike those of the clock they do not depend on who else works here."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "ravecodec", *arguments], capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
