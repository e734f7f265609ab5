"""What the sub-commands share: messages, progress bars, checked numbers, the handling of one file or a folder."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravecodec.batch import Outcome, Task, Totals

Commands = Any
"""What `ArgumentParser.add_subparsers` returns; argparse gives it no public name."""

DAMAGED = 3
DTYPES = ("fp32", "bf16")
STANDARD = "-"


def report(message: str) -> None:
    """Say one line on standard error."""
    print(f"ravecodec: {message}", file=sys.stderr)


def say(destination: object, text: str) -> None:
    """Say what became of a destination: on standard output, unless that is where it went."""
    if destination == STANDARD:
        report(f"standard output: {text}")
    else:
        print(f"{destination}: {text}")


def to_stdout(arguments: argparse.Namespace) -> str | None:
    """"-" if that is the output asked for; UsageError if it is a terminal."""
    if arguments.output != STANDARD:
        return None
    if sys.stdout.isatty():
        from ravecodec.errors import UsageError

        raise UsageError("standard output is a terminal", advice="send it to a program or into a file")
    return STANDARD


# ---------------------------------------------------------------- numbers


def number(low: float, high: float, kind: Callable[[str], float] = float) -> Callable[[str], float]:
    """An argparse type: a number from `low` to `high`."""

    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is outside {low:g} to {high:g}")
        return value

    parse.__name__ = "number"  # argparse: "invalid number value: 'x'"
    return parse


def whole(low: int, high: int) -> Callable[[str], float]:
    """An argparse type: a whole number from `low` to `high`."""
    return number(low, high, int)


def tag(text: str) -> tuple[str, str]:
    """An argparse type: KEY=VALUE."""
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


class Weights(argparse.Action):
    """KIND=WEIGHT arguments as a dictionary."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        weight = number(0, 1e6)
        try:
            pairs = {key: weight(value) for key, _, value in (text.partition("=") for text in values)}
        except (ValueError, argparse.ArgumentTypeError):
            parser.error(f"argument {option_string}: expected KIND=WEIGHT, a weight from 0 up")
        setattr(namespace, self.dest, pairs)


# ---------------------------------------------------------------- figures


def duration(seconds: float) -> str:
    """7.25 s, 3:05 or 1:02:03."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: float) -> str:
    """1,234 bytes, or 1.2 MB, 3.4 GB."""
    if count < 1e6:
        return f"{count:,.0f} bytes"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


# ---------------------------------------------------------------- progress


@contextmanager
def progress(total: float | None, unit: str, quiet: bool = False) -> Iterator[Callable[[float], object]]:
    """A progress bar on standard error, if that is a terminal; gives a function to call with what was done."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, leave=False, dynamic_ncols=True) as bar:
        yield bar.update


@contextmanager
def log_lines(quiet: bool = False) -> Iterator[None]:
    """Show what the library logs on standard error, a line each, without breaking a progress bar."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    logger = logging.getLogger("ravecodec")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        with logging_redirect_tqdm([logger]):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def named_faults() -> Iterator[None]:
    """Turn the ValueError of a training function, which says what is wrong with its input, into an error of ours."""
    from ravecodec.errors import RaveCodecError

    try:
        yield
    except ValueError as error:
        raise RaveCodecError(str(error)) from error


@contextmanager
def tidy_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the program, so that unfinished files are removed."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ---------------------------------------------------------------- one file, or a folder of them


def add_work_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that makes files from files."""
    count = whole(1, 512)
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--jobs", type=count, metavar="N", help="worker processes for a folder")
    parser.add_argument("--threads", type=count, metavar="N", help="threads of each worker (live sound: 1)")
    parser.add_argument(
        "--dtype", choices=DTYPES, default=DTYPES[0], help="the networks' arithmetic: bf16 takes less time where"
        " the processor has instructions for it, and gives almost the same sound (default: fp32)",
    )  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing unless something is wrong")


@contextmanager
def arithmetic(dtype: str) -> Iterator[None]:
    """Let this thread's networks run in "fp32" or "bf16"."""
    if dtype == "fp32":
        yield
        return
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        yield


def _in_arithmetic(dtype: str, work: Callable[..., Outcome], task: Task, **options: Any) -> Outcome:
    with arithmetic(dtype):
        return work(task, **options)


def destination_of(source: Path, given: str | None, suffix: str) -> Path:
    """Where one file goes: as given, or into the folder given, or beside the source with the new ending."""
    name = source.with_suffix(suffix).name
    if given is None:
        return source.with_suffix(suffix)
    return Path(given) / name if Path(given).is_dir() else Path(given)


def run_folder(
    arguments: argparse.Namespace,
    suffixes: Iterable[str],
    new_suffix: str,
    work: Callable[..., Outcome],
) -> int:
    """Work through a folder and say what became of it; the exit status.

    Args:
        arguments: with input, output, jobs, threads, dtype, force and quiet.
        suffixes: of the files to take.
        new_suffix: of the files to make.
        work: a function of a task, with `threads` and `force` as keywords, picklable.
    """
    from ravecodec import batch
    from ravecodec.errors import UsageError

    if arguments.output is None:
        raise UsageError("is a folder", file=arguments.input, advice="say which folder to write to")
    if Path(arguments.output).is_file():
        raise UsageError("is a file", file=arguments.output, advice="give a folder for the results of a folder")
    tasks = batch.plan(arguments.input, arguments.output, suffixes, new_suffix)
    if not tasks:
        endings = " ".join(sorted(suffixes))
        raise UsageError("holds nothing to work on", file=arguments.input, advice=f"looked for {endings}")
    jobs = min(arguments.jobs or batch.default_jobs(len(tasks)), len(tasks))
    threads = arguments.threads or (batch.threads_each(jobs) if jobs > 1 else None)
    # Skipping is settled by batch.run; what is left may replace an older result.
    job = partial(_in_arithmetic, arguments.dtype, work, threads=threads, force=True)
    totals, failures = batch.Totals(), []
    start = time.perf_counter()
    with tidy_on_sigterm(), progress(len(tasks), "file", arguments.quiet) as advance:
        for outcome in batch.run(tasks, job, jobs=jobs, force=arguments.force):
            totals = totals.plus(outcome)
            if outcome.message:
                failures.append(outcome)
            advance(1)
    for outcome in failures:
        report(outcome.message)
    if not arguments.quiet:
        print(_summary(totals, time.perf_counter() - start))
    return 1 if totals.failed else DAMAGED if totals.damaged else 0


def _summary(totals: Totals, seconds: float) -> str:
    parts = [f"{totals.done} done"]
    if totals.skipped:
        parts.append(f"{totals.skipped} there already (--force does them again)")
    if totals.failed:
        parts.append(f"{totals.failed} failed")
    if totals.damaged:
        parts.append(f"{totals.damaged} with damage concealed")
    text = ", ".join(parts)
    if totals.done:
        speed = totals.seconds / seconds if seconds else 0.0
        text += f"; {duration(totals.seconds)} of sound, {size(totals.bytes)}, {speed:.0f} x real time"
    return text
