"""`ravecodec prepare`: a folder of sound to a training store."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ravecodec.cli.common import Commands, duration, named_faults, progress, whole


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "prepare",
        help="make a training store of a folder of sound",
        description="Bring all sound below a folder into a training store. Run again, it goes on where it stopped.",
        epilog="The kind of a sound is that of a manifest.csv beside it (columns file, kind), or its top folder.",
    )
    parser.add_argument("input", metavar="SOURCE", help="a folder tree of sound files")
    parser.add_argument("store", metavar="STORE", help="the folder of the store")
    parser.add_argument("--rate", type=whole(8000, 192000), default=48000, metavar="HZ", help="default: 48000")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from ravecodec.training.prepare import prepare

    def shown(pieces: list[Any]) -> Iterator[Any]:
        with progress(len(pieces), "file", arguments.quiet) as advance:
            for piece in pieces:
                yield piece
                advance(1)

    store = Path(arguments.store)
    with named_faults():
        result = prepare(Path(arguments.input), store, arguments.rate, progress=shown)
    skipped = f"{result.skipped} skipped (see {store / 'skipped.csv'})" if result.skipped else "none skipped"
    print(f"{store}: {result.added} added, {result.kept} there already, {skipped}; {duration(result.seconds)} of sound")
    return 0
