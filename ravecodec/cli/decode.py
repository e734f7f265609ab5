"""`ravecodec decode`: .rvc to sound."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from ravecodec.cli.common import (
    DAMAGED,
    Commands,
    add_work_options,
    destination_of,
    duration,
    progress,
    report,
    run_folder,
    size,
    tidy_on_sigterm,
)


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "decode",
        help="decode an .rvc file, or a folder of them",
        description="Decode an .rvc file to sound, or every .rvc file of a folder, keeping its structure.",
        epilog="Where packets are damaged the sound is concealed, standard error says so, and the status is 3.",
    )
    parser.add_argument("input", metavar="IN", help="an .rvc file, or a folder")
    parser.add_argument(
        "output", metavar="OUT", nargs="?", help="the sound file (default: a .wav beside IN), or a folder"
    )
    parser.add_argument(
        "--model", metavar="NAME|PATH", help="use this model file (default: the one the file names, if installed)"
    )
    parser.add_argument(
        "--rate", type=_rate, metavar="HZ|source", help="48000 (default), the source's own rate, or any in Hz"
    )
    parser.add_argument(
        "--format", metavar="EXT", default="wav", help="sound format where OUT does not say it (default: wav)"
    )
    parser.add_argument(
        "--subtype", help="as libsndfile calls it: PCM_16, PCM_24, FLOAT, VORBIS ... (default: PCM_24 if possible)"
    )
    add_work_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    suffix = "." + arguments.format.lower().lstrip(".")
    options = {"rate": arguments.rate, "subtype": arguments.subtype}
    source = Path(arguments.input)
    if source.is_dir():
        from ravecodec.batch import decode_task
        from ravecodec.output import sound_format

        sound_format("sound" + suffix, arguments.subtype)
        work = partial(decode_task, model=arguments.model, options=options)
        return run_folder(arguments, [".rvc"], suffix, work)

    from ravecodec import batch, files, registry

    destination = destination_of(source, arguments.output, suffix)
    header = files.read_header(source)
    batch.prepare_process(arguments.threads)
    model = arguments.model
    loader = None if model is None else lambda _: files.cached_codec(registry.find(model))
    samples = header.samples
    total = None if samples is None else samples / header.source_rate
    rate = {None: header.rate, "source": header.source_rate}.get(arguments.rate, arguments.rate)
    start = time.perf_counter()
    with tidy_on_sigterm(), progress(total, "s", arguments.quiet) as advance:
        result = files.decode_file(
            source,
            destination,
            loader,
            force=arguments.force,
            progress=lambda samples: advance(samples / rate),
            **options,
        )
    took = time.perf_counter() - start
    damage = files.damage(result.report)
    if damage:
        report(f"{source}: {damage}; what was lost is concealed in {destination}")
    if not arguments.quiet:
        print(
            f"{destination}: {duration(result.seconds)}, {result.rate} Hz, {result.channels} channel(s),"
            f" {size(result.bytes)}, {result.seconds / took:.0f} x real time"
        )
    return DAMAGED if damage else 0


def _rate(text: str) -> int | str:
    if text == "source":
        return text
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of Hz nor 'source'")
    return int(text)
