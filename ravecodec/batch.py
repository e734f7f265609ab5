"""Folders of files: the structure kept, several workers, finished files skipped, failures gathered.

What is done to one file is a function of a Task that returns an Outcome; it runs in worker processes, so it
must be picklable (a module's function, or a `functools.partial` of one).
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from ravecodec.errors import OutputError, PathLike, one_line
from ravecodec.memory import keep_freed_memory

# Of live sound: a few frames at once are too little for two, which wait for each other at every layer.
LIVE_THREADS = 1


@dataclass(frozen=True)
class Task:
    """A file to make from another."""

    source: Path
    destination: Path


class Status(Enum):
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a task: seconds of sound and bytes written, a message if there is something to say."""

    task: Task
    status: Status
    seconds: float = 0.0
    bytes: int = 0
    message: str = ""


@dataclass(frozen=True)
class Totals:
    """Sums over outcomes; a file that was made but is damaged counts as `damaged` too."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    damaged: int = 0
    seconds: float = 0.0
    bytes: int = 0

    def plus(self, outcome: Outcome) -> Totals:
        name = outcome.status.value
        return replace(
            self,
            **{name: getattr(self, name) + 1},
            damaged=self.damaged + (outcome.status is Status.DONE and bool(outcome.message)),
            seconds=self.seconds + outcome.seconds,
            bytes=self.bytes + outcome.bytes,
        )


def plan(source: PathLike, destination: PathLike, suffixes: Iterable[str], new_suffix: str) -> list[Task]:
    """List what to make of a folder tree, in the order of the names.

    Files whose ending is in `suffixes` are taken; not hidden ones, nor the destination if it lies inside.
    Each gets the same place below `destination` with the new ending; where two would get the same name (a.wav
    and a.flac) both keep their old ending before the new one.

    Args:
        suffixes: endings in lower case, e.g. ".wav".
        new_suffix: e.g. ".rvc".
    """
    root, target = Path(source), Path(destination)
    wanted = frozenset(suffixes)
    found = [p for p in _walk(root, target.resolve()) if p.suffix.lower() in wanted]
    short = [p.relative_to(root).with_suffix(new_suffix) for p in found]
    taken = Counter(str(p).casefold() for p in short)  # some disks do not tell A from a
    tasks = []
    for path, name in zip(found, short, strict=True):
        if taken[str(name).casefold()] > 1:
            name = path.relative_to(root).with_name(path.name + new_suffix)
        tasks.append(Task(path, target / name))
    return tasks


def run(
    tasks: Iterable[Task], work: Callable[[Task], Outcome], *, jobs: int = 1, force: bool = False
) -> Iterator[Outcome]:
    """Yield the outcome of every task as it ends; one that fails does not stop the others.

    A task is skipped when its destination is there already and not older than its source. Folders are made.

    Args:
        work: what to do; exceptions become failures.
        jobs: worker processes; with 1 the work is done in this one.
        force: skip nothing.
    """
    pending = []
    for task in tasks:
        if not force and _finished(task):
            yield Outcome(task, Status.SKIPPED)
        else:
            pending.append(task)
    jobs = min(jobs, len(pending))
    if jobs <= 1:
        for task in pending:
            yield _guarded(work, task)
        return
    from joblib import Parallel, delayed

    # What joblib says when the user interrupts; the user knows.
    warnings.filterwarnings("ignore", message=".*tasks which were still being processed", module="joblib")
    outcomes = Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(
        delayed(_guarded)(work, task) for task in pending
    )
    try:
        yield from outcomes
    except BaseException:  # workers ended from outside cannot clear up after themselves
        remove_parts(pending)
        raise


def default_jobs(tasks: int) -> int:
    """One worker a processor, but at least four files for each: it loads the model first."""
    from joblib import cpu_count

    return max(1, min(int(cpu_count()), tasks // 4))


def threads_each(jobs: int) -> int:
    """Threads of each of so many workers, when the processors are shared out among them."""
    from joblib import cpu_count

    return max(1, int(cpu_count()) // jobs)


def _walk(root: Path, excluded: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if not n.startswith(".") and Path(folder, n).resolve() != excluded)
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(folder, name)


def _finished(task: Task) -> bool:
    try:
        return task.destination.stat().st_mtime >= task.source.stat().st_mtime
    except OSError:
        return False


def _guarded(work: Callable[[Task], Outcome], task: Task) -> Outcome:
    try:
        _make_folder(task.destination.parent)
        return work(task)
    except Exception as error:
        return Outcome(task, Status.FAILED, message=one_line(error, task.source))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", file=folder) from error


def remove_parts(tasks: Iterable[Task]) -> None:
    """Remove the unfinished files beside the destinations of tasks."""
    from ravecodec.destination import part_name

    for task in tasks:
        for part in task.destination.parent.glob(part_name(task.destination, "*").name):
            with suppress(OSError):
                part.unlink()


def prepare_process(threads: int | None) -> None:
    """Set this process up for coding: let torch use so many threads (None leaves its own choice), keep freed memory,
    and let threads that wait for one another give their processor away soon.
    """
    keep_freed_memory()
    if "OMP_WAIT_POLICY" not in os.environ:
        # Read when torch is loaded. Where another program wanted the processor, too, a pipe took nine times as long, as
        # the last thread did not get to run while the others spun. With nothing else running this costs 4 %.
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if threads:
        import torch

        torch.set_num_threads(threads)


def encode_task(
    task: Task, *, model: str, threads: int | None, options: dict[str, Any], force: bool
) -> Outcome:
    """Encode a task's file; `options` as for `files.encode_file`."""
    from ravecodec import files, registry

    prepare_process(threads)
    codec = files.cached_codec(registry.find(model))
    result = files.encode_file(task.source, task.destination, codec, force=force, **options)
    return Outcome(task, Status.DONE, result.seconds, result.bytes)


def decode_task(
    task: Task, *, model: str | None, stands_in: bool, threads: int | None, options: dict[str, Any], force: bool
) -> Outcome:
    """Decode a task's file; `options` as for `files.decode_file`. The message names concealed damage."""
    from ravecodec import files

    prepare_process(threads)
    loader = files.decoder(model, stands_in)
    result = files.decode_file(task.source, task.destination, loader, force=force, **options)
    faults = files.damage(result.report)
    message = f"{task.source}: {faults}; what was lost is concealed in {task.destination}" if faults else ""
    return Outcome(task, Status.DONE, result.seconds, result.bytes, message)
