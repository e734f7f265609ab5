"""`ravecodec sweep`: a rate-distortion record of a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from ravecodec.cli.common import Commands, report, whole


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "sweep",
        help="measure rate and distortion over fidelities and steps",
        description="Code every clip at every fidelity and step, and record real bitrates and distortions.",
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="a folder of sound, or a manifest")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the record, tables and plots")
    parser.add_argument("--model", default="default", metavar="NAME|PATH", help="see `ravecodec models`")
    parser.add_argument("--fidelity", type=float, nargs="+", metavar="F", help="fidelities (default: 0.5 ... 0.999)")
    parser.add_argument("--step", type=int, nargs="+", metavar="Q", help="steps (default: -8 0 8)")
    parser.add_argument("--opus", type=float, nargs="*", default=[], metavar="KBPS", help="Opus beside it, kbit/s")
    parser.add_argument("--no-anchors", action="store_true", help="leave out the anchors")
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--jobs", type=whole(1, 512), default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the confidence intervals")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from eval import sweep, table

    points = sweep.points(
        arguments.model,
        arguments.fidelity or sweep.FIDELITIES,
        arguments.step or sweep.STEPS,
        arguments.opus,
        not arguments.no_anchors,
    )
    results = sweep.run(
        Path(arguments.data), Path(arguments.out), points, arguments.metrics, arguments.jobs, seed=arguments.seed
    )
    print(table.text(results), end="")
    for row in results.failures:
        report(f"{row.clip}: failed with {row.label}: {row.measurement.error}")
    return 1 if results.failures else 0
