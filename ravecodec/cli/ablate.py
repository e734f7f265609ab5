"""`ravecodec ablate`: what each part of the entropy coding saves, as BD-rates on the same clips."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ravecodec.cli.common import Commands, report, whole

STAGES = ("fixed-length", "static-tables", "contexts", "rdoq")
METRICS = ("spectral_distance", "fine_structure", "estoi")


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "ablate",
        help="measure what each part of the entropy coding saves",
        description="Sweep a model with fixed-length codes, then with static tables, contexts and rate-distortion "
        "optimised quantisation; BD-rates of each against the one before and the first.",
        epilog="The plainer codes are fitted to the clips themselves unless --fit names other sound. That flatters "
        "them: what contexts save is then a lower bound.",
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="a folder of sound, or a manifest")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for models, record and tables")
    parser.add_argument("--fit", metavar="DIR", help="sound to fit the plainer codes to (default: that of --data)")
    parser.add_argument("--model", default="default", metavar="NAME|PATH", help="see `ravecodec models`")
    parser.add_argument(
        "--stages", nargs="+", choices=STAGES, default=list(STAGES), help="what to measure (default: all)"
    )
    parser.add_argument("--fidelity", type=float, default=0.99, metavar="F", help="of all points (default: 0.99)")
    parser.add_argument(
        "--step", type=int, nargs="+", default=[-12, -8, -4, 0, 4, 8, 12], metavar="Q", help="the points' steps"
    )
    parser.add_argument("--metrics", nargs="+", default=list(METRICS), metavar="NAME", help="as for sweep")
    parser.add_argument("--bits", choices=("file", "payload", "model"), default="file", help="what counts as rate")
    parser.add_argument("--jobs", type=whole(1, 512), default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--limit", type=float, default=300.0, metavar="S", help="seconds for a clip at a point")
    parser.add_argument("--resamples", type=whole(10, 100_000), default=400, metavar="N", help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the confidence intervals")
    parser.set_defaults(run=run)


def _sounds(data: str) -> Iterator[tuple[Any, int]]:
    """The clips of a corpus that can be read: what cannot is a failure of the sweep."""
    from eval import corpus
    from eval.audio import RATE
    from eval.errors import CorpusError

    for clip in corpus.load(data):
        try:
            yield corpus.read(clip), RATE
        except CorpusError as error:
            report(f"{error}; left out of the fit")


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    import json

    import ravecodec
    from eval import ablation, sweep, table
    from eval.points import Point, usual
    from ravecodec.ablation import CODINGS, write_models
    from ravecodec.errors import UsageError

    if len(set(arguments.stages)) < 2:
        raise UsageError("--stages: two are needed to compare")
    out = Path(arguments.out)
    codings = [coding for coding in CODINGS if coding in arguments.stages]
    if "rdoq" in arguments.stages and "contexts" not in codings:
        codings.append("contexts")
    sounds = _sounds(arguments.fit or arguments.data)
    models = write_models(ravecodec.load(arguments.model), out / "models", sounds, arguments.step, codings)
    points = []
    for stage in [stage for stage in STAGES if stage in arguments.stages]:
        model = models["contexts" if stage == "rdoq" else stage]
        fixed = {"model": str(model), "fidelity": arguments.fidelity, "rdoq": stage == "rdoq"}
        points += [Point("ravecodec", {**fixed, "step": step}) for step in arguments.step]
    results = sweep.run(
        arguments.data, out, [*points, *usual(fidelities=())], arguments.metrics, arguments.jobs,
        seed=arguments.seed, limit=arguments.limit or None,
    )  # fmt: skip
    found = ablation.stages(results, bits=arguments.bits, seed=arguments.seed, resamples=arguments.resamples)
    text = ablation.text(found, results)
    print(text, end="")
    (out / "ablation.txt").write_text(text, encoding="utf-8")
    content = json.dumps([stage.to_json() for stage in found], indent=1, allow_nan=False) + "\n"
    (out / "ablation.json").write_text(content, encoding="utf-8")
    for line in table.failures(results):
        report(line)
    return 1 if results.failures else 0
