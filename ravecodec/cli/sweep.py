"""`ravecodec sweep`: a rate-distortion record of a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ravecodec.cli.common import Commands, report, whole

if TYPE_CHECKING:
    from eval.results import Results


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
    parser.add_argument(
        "--fidelity", type=float, nargs="*", metavar="F", help="fidelities (default: 0.5 ... 0.999); none: no grid"
    )
    parser.add_argument("--step", type=int, nargs="+", metavar="Q", help="steps (default: -8 0 8)")
    parser.add_argument("--bitrate", type=float, nargs="+", default=[], metavar="K", help="also at these, kbit/s")
    parser.add_argument("--opus", type=float, nargs="*", default=[], metavar="KBPS", help="Opus beside it, kbit/s")
    parser.add_argument("--no-anchors", action="store_true", help="leave out the anchors")
    parser.add_argument(
        "--codec", nargs="+", default=[], metavar="NAME:KEY=VALUE,...", help="other codecs, e.g. vorbis:bitrate=48"
    )
    parser.add_argument(
        "--shell", nargs=3, action="append", default=[], metavar=("NAME", "ENC", "DEC"),
        help="a codec as two commands with {in} and {out}",
    )  # fmt: skip
    parser.add_argument(
        "--metrics", nargs="+", metavar="NAME", help="names, default (quick and installed) or all (with ViSQOL)"
    )
    parser.add_argument("--jobs", type=whole(1, 512), default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--backend", choices=("loky", "dask"), default="loky", help="what starts the processes")
    parser.add_argument("--cluster", metavar="ADDRESS", help="a running dask scheduler")
    parser.add_argument(
        "--limit", type=float, default=300.0, metavar="S", help="seconds for a clip at a point, 0: no limit"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the confidence intervals")
    parser.add_argument("--report", action="store_true", help="write report.html: curves, sounds, a blind test")
    parser.add_argument(
        "--listen", type=whole(0, 20), default=2, metavar="N", help="clips of each kind to listen to (default: 2)"
    )
    parser.add_argument("--webmushra", metavar="DIR", help="write a listening test for webMUSHRA there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from eval import analysis, cost, sweep, table
    from eval.errors import Unavailable
    from eval.points import FIDELITIES, STEPS, Point, parse, usual

    fidelities = FIDELITIES if arguments.fidelity is None else arguments.fidelity
    points = usual(arguments.model, fidelities, arguments.step or STEPS, arguments.opus, anchors=False)
    points += [Point("ravecodec", {"model": arguments.model, "bitrate": rate}) for rate in arguments.bitrate]
    points += [parse(text) for text in arguments.codec]
    points += [Point("shell", {"title": n, "encode": e, "decode": d}) for n, e, d in arguments.shell]
    points += [] if arguments.no_anchors else usual(fidelities=())
    results = sweep.run(
        Path(arguments.data), Path(arguments.out), points, arguments.metrics, arguments.jobs, seed=arguments.seed,
        backend=arguments.backend, scheduler=arguments.cluster, limit=arguments.limit or None,
    )  # fmt: skip
    print(table.text(results), end="")
    print("\n" + cost.text(results), end="")
    out, data = Path(arguments.out), Path(arguments.data)
    found = None
    try:
        found = analysis.write(results, out)
    except Unavailable as error:
        if arguments.report:
            raise
        report(f"{error}; analysis.json is not written")
    if arguments.report:
        from eval import report as reporting

        report(f"wrote {reporting.write(results, out, data, int(arguments.listen), found=found)}")
    if arguments.webmushra is not None:
        report(f"wrote {_webmushra(arguments, results)}")
    for line in table.failures(results):
        report(line)
    return 1 if results.failures else 0


def _webmushra(arguments: argparse.Namespace, results: Results) -> Path:
    from eval import webmushra
    from eval.report import choice, listen

    picks = webmushra.picks(choice.points(results))
    clips = choice.clips(results, max(1, int(arguments.listen)))
    sounds = listen.excerpts(results, arguments.data, clips, picks, webmushra.LONGEST, budget=None)
    return webmushra.write(sounds, Path(arguments.webmushra))
