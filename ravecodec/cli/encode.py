"""`ravecodec encode`: sound to .rvc."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from ravecodec.cli.common import (
    Commands,
    add_work_options,
    destination_of,
    duration,
    number,
    progress,
    run_folder,
    size,
    tag,
    tidy_on_sigterm,
    whole,
)

SUFFIX = ".rvc"


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "encode",
        help="encode a sound file, or a folder of them",
        description="Encode a sound file to .rvc, or every sound file of a folder, keeping its structure.",
    )
    parser.add_argument("input", metavar="IN", help="a sound file in any format libsndfile reads, or a folder")
    parser.add_argument(
        "output", metavar="OUT", nargs="?", help="the .rvc file (default: beside IN), or a folder"
    )
    parser.add_argument("--model", default="default", metavar="NAME|PATH", help="see `ravecodec models`")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--fidelity", type=number(1e-6, 1), metavar="F", help="keep the components that make up this share, 0 to 1"
    )
    amount.add_argument("--components", type=whole(1, 1024), metavar="N", help="keep exactly N components")
    parser.add_argument(
        "--rule",
        choices=("sigma", "sigma-squared"),
        default="sigma",
        help="what the fidelity is a share of: the sum of singular values, or of their squares (default: sigma)",
    )
    parser.add_argument(
        "--step", type=whole(-64, 63), metavar="Q", help="quantiser step, eighths of an octave; higher: smaller files"
    )
    parser.add_argument(
        "--tag", type=tag, action="append", default=[], metavar="KEY=VALUE", help="text to keep in the header"
    )
    add_work_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    options = {
        "fidelity": arguments.fidelity,
        "components": arguments.components,
        "step": arguments.step,
        "rule": arguments.rule,
        "tags": dict(arguments.tag),
    }
    source = Path(arguments.input)
    if source.is_dir():
        from ravecodec.audio import AUDIO_SUFFIXES
        from ravecodec.batch import encode_task

        work = partial(encode_task, model=arguments.model, options=options)
        return run_folder(arguments, AUDIO_SUFFIXES, SUFFIX, work)

    from ravecodec import batch, files, registry
    from ravecodec.audio import AudioSource

    destination = destination_of(source, arguments.output, SUFFIX)
    with AudioSource(source) as audio:  # faults of the file come out before a model is loaded
        total = audio.info.seconds
    batch.prepare_process(arguments.threads)
    codec = files.cached_codec(registry.find(arguments.model))
    rate = audio.info.rate
    start = time.perf_counter()
    with tidy_on_sigterm(), progress(total, "s", arguments.quiet) as advance:
        result = files.encode_file(
            source,
            destination,
            codec,
            force=arguments.force,
            progress=lambda samples: advance(samples / rate),
            **options,
        )
    took = time.perf_counter() - start
    if not arguments.quiet:
        kbps = result.bytes * 8 / result.seconds / 1000
        print(
            f"{destination}: {duration(result.seconds)}, {size(result.bytes)}, {kbps:.2f} kbit/s,"
            f" {result.seconds / took:.0f} x real time"
        )
    return 0
