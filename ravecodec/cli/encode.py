"""`ravecodec encode`: sound to .rvc."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from ravecodec.cli.common import (
    STANDARD,
    Commands,
    add_work_options,
    arithmetic,
    destination_of,
    duration,
    number,
    progress,
    run_folder,
    say,
    size,
    tag,
    tidy_on_sigterm,
    to_stdout,
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
    parser.add_argument(
        "input", metavar="IN", help="a sound file in any format libsndfile reads, or a folder; - for standard input"
    )
    parser.add_argument(
        "output", metavar="OUT", nargs="?", help="the .rvc file (default: beside IN) or a folder; - for standard output"
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
    amount.add_argument(
        "--quality", type=number(0, 10), metavar="0..10", help="operating point by quality: small files to good sound"
    )
    parser.add_argument(
        "--bitrate", type=number(0.05, 1000), metavar="K", help="kbit/s of the whole file: chooses the step, and what"
        " of fidelity and components is not given",
    )
    parser.add_argument(
        "--rdoq", action=argparse.BooleanOptionalAction, help="where a value lies almost halfway between two integers,"
        " take the cheaper one (rate-distortion optimised quantisation), or always the nearest: a larger file, sooner"
        " (default: the cheaper one, but not with --live)",
    )
    parser.add_argument(
        "--stereo",
        choices=("auto", "joint", "separate"),
        default="auto",
        help="how two channels are coded: with an envelope and a level each and all else in common, each by itself, or"
        " (auto) as their first 16 s suggest",
    )
    parser.add_argument(
        "--cbr-ish", type=number(0.05, 1000), metavar="K", help="kbit/s that no packet may exceed: for live use"
    )
    parser.add_argument(
        "--packet-frames", type=whole(1, 1024), metavar="N", help="frames in a packet (default: 64; up to 30 s 128)"
    )
    parser.add_argument(
        "--live", action="store_true", help="one frame a packet, written at once; OUT grows in place"
    )
    raw = parser.add_argument_group("sound without a header")
    raw.add_argument("--raw-format", choices=("s16le", "f32le"), help="what its samples are")
    raw.add_argument("--raw-rate", type=whole(1000, 768_000), metavar="HZ", help="their rate")
    raw.add_argument("--raw-channels", type=whole(1, 8), metavar="N", default=1, help="default: 1")
    parser.add_argument("--no-tags", action="store_true", help="leave out title, artist ... of the source")
    parser.add_argument(
        "--tag", type=tag, action="append", default=[], metavar="KEY=VALUE", help="text to keep in the header"
    )
    add_work_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from ravecodec.errors import UsageError

    if arguments.raw_format and not arguments.raw_rate:
        raise UsageError("--raw-format needs --raw-rate too")
    options = {
        "fidelity": arguments.fidelity,
        "components": arguments.components,
        "step": arguments.step,
        "rule": arguments.rule,
        "quality": arguments.quality,
        "bitrate": arguments.bitrate,
        "rdoq": arguments.rdoq,
        "stereo": None if arguments.stereo == "auto" else arguments.stereo,
        "cap": arguments.cbr_ish,
        "packet": arguments.packet_frames,
        "live": arguments.live,
        "tags": dict(arguments.tag),
        "source_tags": not arguments.no_tags,
    }
    source = Path(arguments.input)
    if source.is_dir():
        from ravecodec.audio import AUDIO_SUFFIXES
        from ravecodec.batch import encode_task

        work = partial(encode_task, model=arguments.model, options=options)
        return run_folder(arguments, AUDIO_SUFFIXES, SUFFIX, work)

    from ravecodec import batch, files, registry
    from ravecodec.audio import AudioSource
    from ravecodec.pipes import RawFormat

    piped, raw = arguments.input == STANDARD, None
    if piped and arguments.output is None:
        raise UsageError("say where to write what comes from standard input: a name, or -")
    destination = to_stdout(arguments) or destination_of(source, arguments.output, SUFFIX)
    total, rate = None, arguments.raw_rate or 48000
    if arguments.raw_format:
        raw = RawFormat(arguments.raw_format, arguments.raw_rate, arguments.raw_channels)
    elif not piped:
        with AudioSource(source) as audio:  # faults of the file come out before a model is loaded
            total, rate = audio.info.seconds, audio.info.rate
    batch.prepare_process(arguments.threads or (batch.LIVE_THREADS if arguments.live else None))
    codec = files.cached_codec(registry.find(arguments.model))
    start = time.perf_counter()
    with tidy_on_sigterm(), arithmetic(arguments.dtype), progress(total, "s", arguments.quiet) as advance:
        result = files.encode_file(
            arguments.input,
            destination,
            codec,
            raw=raw,
            force=arguments.force,
            progress=lambda samples: advance(samples / rate),
            **options,
        )
    took = time.perf_counter() - start
    if not arguments.quiet:
        kbps = result.bytes * 8 / result.seconds / 1000
        say(
            destination,
            f"{duration(result.seconds)}, {size(result.bytes)}, {kbps:.2f} kbit/s,"
            f" {result.seconds / took:.0f} x real time",
        )
    return 0
