"""Folders: structure, workers, what is finished, what fails."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ravecodec.batch import Outcome, Status, Task, Totals, plan, remove_parts, run


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def copy(task: Task) -> Outcome:
    """The work: fails for sources named bad*."""
    if task.source.name.startswith("bad"):
        raise ValueError("broken")
    task.destination.write_text(task.source.read_text())
    return Outcome(task, Status.DONE, 1.5, 10)


def test_plan_keeps_the_structure_and_takes_only_sound(tmp_path: Path) -> None:
    touch(tmp_path, "b.wav", "a.FLAC", "deep/er/c.ogg", "notes.txt", ".hidden.wav", ".git/d.wav")
    tasks = plan(tmp_path, tmp_path / "out", [".wav", ".flac", ".ogg"], ".rvc")
    found = [(str(t.source.relative_to(tmp_path)), str(t.destination.relative_to(tmp_path / "out"))) for t in tasks]
    assert found == [("a.FLAC", "a.rvc"), ("b.wav", "b.rvc"), ("deep/er/c.ogg", "deep/er/c.rvc")]


def test_two_sources_never_share_a_destination(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "a.flac", "A.ogg", "b.wav")
    names = {t.destination.name for t in plan(tmp_path, tmp_path / "o", [".wav", ".flac", ".ogg"], ".rvc")}
    assert names == {"a.wav.rvc", "a.flac.rvc", "A.ogg.rvc", "b.rvc"}


def test_the_destination_inside_the_source_is_not_a_source(tmp_path: Path) -> None:
    touch(tmp_path, "a.rvc", "out/b.rvc")
    assert len(plan(tmp_path, tmp_path / "out", [".rvc"], ".wav")) == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_does_not_stop_the_rest(tmp_path: Path, jobs: int) -> None:
    touch(tmp_path / "in", "a.wav", "bad.wav", "sub/z.wav")
    tasks = plan(tmp_path / "in", tmp_path / "out", [".wav"], ".rvc")
    outcomes = {o.task.source.name: o for o in run(tasks, copy, jobs=jobs)}
    assert {n: o.status for n, o in outcomes.items()} == {
        "a.wav": Status.DONE, "bad.wav": Status.FAILED, "z.wav": Status.DONE,
    }  # fmt: skip
    assert outcomes["bad.wav"].message == f"{tmp_path / 'in' / 'bad.wav'}: broken"
    assert (tmp_path / "out/sub/z.rvc").read_text() == "sub/z.wav"


def test_finished_files_are_skipped_until_their_source_changes(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.wav", "b.wav")
    tasks = plan(tmp_path / "in", tmp_path / "out", [".wav"], ".rvc")

    def statuses(force: bool = False) -> list[str]:
        return sorted(o.status.value for o in run(tasks, copy, force=force))

    assert statuses() == ["done", "done"]
    assert statuses() == ["skipped", "skipped"]
    later = time.time() + 10
    os.utime(tmp_path / "in/a.wav", (later, later))
    assert statuses() == ["done", "skipped"]
    assert statuses(force=True) == ["done", "done"]


def test_a_folder_that_cannot_be_made_is_a_failure_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "in/sub/a.wav", "out/sub")
    (outcome,) = run(plan(tmp_path / "in", tmp_path / "out", [".wav"], ".rvc"), copy)
    assert outcome.status is Status.FAILED
    assert outcome.message.startswith(str(tmp_path / "out/sub"))


def test_unfinished_files_of_lost_workers_are_removed(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.wav", "in/b.wav", "out/.a.rvc.1234abcd.part", "out/.other.part")
    tasks = plan(tmp_path / "in", tmp_path / "out", [".wav"], ".rvc")
    remove_parts(tasks)
    assert sorted(n for n in os.listdir(tmp_path / "out") if n.startswith(".")) == [".other.part"]


def test_totals_add_up() -> None:
    task = Task(Path("a"), Path("b"))
    totals = Totals()
    for outcome in (
        Outcome(task, Status.DONE, 2.0, 100),
        Outcome(task, Status.DONE, 1.0, 50, "2 packets lost"),
        Outcome(task, Status.FAILED, message="x"),
        Outcome(task, Status.SKIPPED),
    ):
        totals = totals.plus(outcome)
    assert totals == Totals(done=2, skipped=1, failed=1, damaged=1, seconds=3.0, bytes=150)
