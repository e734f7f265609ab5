"""`ravecodec bench`: how fast the codec is on this machine, and what memory it needs."""

from __future__ import annotations

import argparse
from pathlib import Path

from ravecodec.cli.common import DTYPES, Commands, report, whole


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "bench",
        help="measure speed, latency and memory on this machine",
        description="Code synthetic sound again and again; medians with their spread, as multiples of real time.",
    )
    parser.add_argument("--model", default="default", metavar="NAME|PATH", help="see `ravecodec models`")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="length of the sound (default: 30)")
    parser.add_argument(
        "--threads", type=whole(1, 512), nargs="+", default=[1, 2], metavar="N", help="thread counts (default: 1 2)"
    )
    parser.add_argument(
        "--dtype", nargs="+", choices=DTYPES, default=list(DTYPES), help="arithmetic (default: both)"
    )
    parser.add_argument("--repeats", type=whole(1, 1000), default=5, metavar="N", help="runs of each (default: 5)")
    parser.add_argument(
        "--beside", nargs="+", default=[], metavar="CODEC", help="neural codecs to time at random weights: encodec, ..."
    )
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured into this file")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not say what is being measured")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    import json

    from eval import bench
    from ravecodec.errors import UsageError

    if not 1 <= arguments.seconds <= 3600:
        raise UsageError("--seconds: between 1 and 3600")
    results = bench.bench(
        arguments.model, arguments.seconds, arguments.threads, arguments.dtype, arguments.repeats, arguments.beside,
        (lambda line: None) if arguments.quiet else report,
    )  # fmt: skip
    if arguments.json:
        from ravecodec.destination import replacing

        with replacing(Path(arguments.json)) as out:
            out.write((json.dumps(results, indent=1) + "\n").encode())
    print(bench.text(results), end="")
    return 0
