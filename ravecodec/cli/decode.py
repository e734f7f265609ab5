"""`ravecodec decode`: .rvc to sound."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ravecodec.cli.common import (
    DAMAGED,
    STANDARD,
    Commands,
    add_work_options,
    arithmetic,
    destination_of,
    duration,
    number,
    progress,
    report,
    run_folder,
    say,
    size,
    tidy_on_sigterm,
    to_stdout,
)

if TYPE_CHECKING:
    from ravecodec.position import Position


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "decode",
        help="decode an .rvc file, or a folder of them",
        description="Decode an .rvc file to sound, or every .rvc file of a folder, keeping its structure.",
        epilog="Where packets are damaged the sound is concealed, standard error says so, and the status is 3.",
    )
    parser.add_argument("input", metavar="IN", help="an .rvc file or its URL, or a folder; - for standard input")
    parser.add_argument(
        "output",
        metavar="OUT",
        nargs="?",
        help="the sound file (default: a .wav beside IN), or a folder; - for WAV on standard output",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model", metavar="NAME|PATH", help="use this model file (default: the one the file names, if installed)"
    )
    which.add_argument(
        "--decoder", metavar="NAME|PATH",
        help="use this model although another coded the file: they must have the same entropy tables",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=_rate, metavar="HZ|source", help="48000 (default), the source's own rate, or any in Hz"
    )
    parser.add_argument(
        "--format", metavar="EXT", default="wav", help="sound format where OUT does not say it (default: wav)"
    )
    parser.add_argument(
        "--subtype", help="as libsndfile calls it: PCM_16, PCM_24, FLOAT, VORBIS ... (default: PCM_24 if possible)"
    )
    place = "seconds, mm:ss or 48000samples (at the rate of the output)"
    parser.add_argument("--start", type=_position, metavar="TIME", help=f"decode from here on: {place}")
    parser.add_argument("--end", type=_position, metavar="TIME", help="and up to here")
    parser.add_argument(
        "--raw", action="store_true", help="on standard output: samples alone, s16le, or f32le with --subtype FLOAT"
    )
    parser.add_argument("--follow", action="store_true", help="IN is still being written: go on until its end record")
    parser.add_argument(
        "--timeout", type=number(0, 1e6), metavar="S", help="with --follow: give up after S seconds without news"
    )
    add_work_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    suffix = "." + arguments.format.lower().lstrip(".")
    options = {"rate": arguments.rate, "subtype": arguments.subtype, "start": arguments.start, "end": arguments.end}
    model, stands_in = arguments.model or arguments.decoder, arguments.decoder is not None
    source = Path(arguments.input)
    if source.is_dir():
        from ravecodec.batch import decode_task
        from ravecodec.output import sound_format

        sound_format("sound" + suffix, arguments.subtype)
        work = partial(decode_task, model=model, stands_in=stands_in, options=options)
        return run_folder(arguments, [".rvc"], suffix, work)

    from ravecodec import batch, files, streams
    from ravecodec.errors import UsageError

    remote = streams.is_stream(arguments.input)
    if remote and arguments.output is None:
        raise UsageError("say where to write the sound: a name, or -", file=streams.name_of(arguments.input))
    destination = to_stdout(arguments) or destination_of(source, arguments.output, suffix)
    if arguments.raw and destination != STANDARD:
        raise UsageError("--raw is for standard output", advice="give - as OUT")
    total, rate = None, arguments.rate if isinstance(arguments.rate, int) else 48000
    if not remote and not arguments.follow and not options["start"] and not options["end"]:
        header = files.read_header(source)
        rate = {None: header.rate, "source": header.source_rate}.get(arguments.rate, arguments.rate)
        total = None if header.samples is None else header.samples / header.source_rate
    batch.prepare_process(arguments.threads or (batch.LIVE_THREADS if arguments.follow else None))
    start = time.perf_counter()
    with tidy_on_sigterm(), arithmetic(arguments.dtype), progress(total, "s", arguments.quiet) as advance:
        result = files.decode_file(
            arguments.input,
            destination,
            files.decoder(model, stands_in),
            raw=arguments.raw,
            follow=arguments.follow,
            timeout=arguments.timeout,
            force=arguments.force,
            progress=lambda samples: advance(samples / rate),
            **options,
        )
    took = time.perf_counter() - start
    damage = files.damage(result.report)
    if damage:
        where = "the sound" if destination == STANDARD else destination
        report(f"{streams.name_of(arguments.input)}: {damage}; what was lost is concealed in {where}")
    if not arguments.quiet:
        say(
            destination,
            f"{duration(result.seconds)}, {result.rate} Hz, {result.channels} channel(s),"
            f" {size(result.bytes)}, {result.seconds / took:.0f} x real time",
        )
    return DAMAGED if damage else 0


def _position(text: str) -> Position:
    from ravecodec.position import Position

    try:
        return Position.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _rate(text: str) -> int | str:
    if text == "source":
        return text
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of Hz nor 'source'")
    return int(text)
