"""`ravecodec compare`: BD-rates between records, and the gate against regressions."""

from __future__ import annotations

import argparse
from pathlib import Path

from ravecodec.cli.common import Commands, number, report, whole


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        help="compare records of sweeps by BD-rate",
        description="Compare records of sweeps (results.json) with the first one, clip by clip, by BD-rate.",
        epilog="Exit status: 0 nothing is worse; 1 something is worse beyond its interval, or cannot be compared.",
    )
    parser.add_argument("records", nargs="+", metavar="RESULTS.json", help="the first is the reference")
    parser.add_argument("--codec", default="ravecodec", metavar="NAME", help="or `all` (default: ravecodec)")
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help="default: all of the first record")
    parser.add_argument("--bits", choices=("file", "payload", "model"), default="file", help="what counts as rate")
    parser.add_argument(
        "--tolerance", type=number(0, 100), default=0.5, metavar="PERCENT", help="no difference yet (default: 0.5)"
    )
    parser.add_argument("--resamples", type=whole(10, 100_000), default=400, metavar="N", help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--json", metavar="FILE", help="write the comparison there as well")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    import json

    from eval import compare
    from eval.results import Results

    paths = [Path(path) / "results.json" if Path(path).is_dir() else Path(path) for path in arguments.records]
    records = {label: Results.read(path) for label, path in zip(_labels(paths), paths, strict=True)}
    codec = None if arguments.codec == "all" else arguments.codec
    found = compare.compare(
        records,
        codec=codec,
        metrics=arguments.metrics,
        bits=arguments.bits,
        tolerance=arguments.tolerance,
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    print(compare.text(found, next(iter(records.values())).metrics), end="")
    if arguments.json:
        content = json.dumps([each.to_json() for each in found], indent=1, allow_nan=False) + "\n"
        Path(arguments.json).write_text(content, encoding="utf-8")
    (_, base), *others = records.items()
    failing = [label for label, each in others if compare.failures(each, codec) > compare.failures(base, codec)]
    for label in failing:
        report(f"{label}: fails on clips on which the first record does not; they are in no BD-rate")
    worse = sum(each.verdict == "worse" for each in found)
    if worse:
        report(f"{worse} of {len(found)} comparisons are worse beyond the interval")
    if worse or failing:
        return 1
    if all(each.verdict == "undecided" for each in found):
        report("nothing could be decided; sweep at least five points that share rates and qualities")
        return 1
    return 0


def _labels(paths: list[Path]) -> list[str]:
    """Names for the records: the shortest ends of their paths that tell them apart."""
    parts = [path.parent.parts if path.name == "results.json" else path.with_suffix("").parts for path in paths]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        labels = ["/".join(part[-depth:]) for part in parts]
        if len(set(labels)) == len(labels):
            return labels
    return [f"{index}: {path}" for index, path in enumerate(paths, 1)]
