"""`ravecodec verify`: whether files are what was written."""

from __future__ import annotations

import argparse
import json
import time

from ravecodec.cli.common import Commands, duration, report


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "verify",
        help="check .rvc files, or folders of them",
        description="Check header, every packet, totals, index, and the hash of all integers; the network is not needed"
        " for it. Status 1 if anything is wrong or could not be checked.",
    )
    parser.add_argument("input", metavar="FILE", nargs="+", help="an .rvc file, its URL, or a folder")
    parser.add_argument("--model", metavar="NAME|PATH", help="the model to take the tables from")
    parser.add_argument("--no-hash", action="store_true", help="leave out the hash: no model is needed then")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing of files that are whole")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from ravecodec.errors import UsageError
    from ravecodec.verify import Verdict, find_files, verify

    names = find_files(arguments.input)
    if not names:
        raise UsageError("holds no .rvc file", file=arguments.input[0])
    start = time.perf_counter()
    verdicts: list[Verdict] = []
    for name in names:
        verdict = verify(name, model=arguments.model, integers=not arguments.no_hash)
        verdicts.append(verdict)
        if arguments.json:
            continue
        if verdict.problems:
            report(f"{name}: {'; '.join(verdict.problems)}")
        elif not arguments.quiet:
            held = "structure holds, hash not looked at" if arguments.no_hash else "whole, hash holds"
            print(f"{name}: {held}; {duration(verdict.seconds)}, {verdict.packets} packets")
    faulty = sum(not verdict.whole for verdict in verdicts)
    if arguments.json:
        fields = ("file", "whole", "problems", "seconds", "packets", "bytes")
        print(json.dumps([{f: getattr(v, f) for f in fields} for v in verdicts], indent=2, ensure_ascii=False))
    elif len(names) > 1 and not arguments.quiet:
        seconds = sum(verdict.seconds for verdict in verdicts)
        speed = seconds / (time.perf_counter() - start)
        print(f"{len(names) - faulty} whole, {faulty} not; {duration(seconds)} of sound, {speed:.0f} x real time")
    return 1 if faulty else 0
