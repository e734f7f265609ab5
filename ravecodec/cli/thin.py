"""`ravecodec thin`: an .rvc file with fewer components."""

from __future__ import annotations

import argparse

from ravecodec.cli.common import DAMAGED, Commands, number, report, size, whole


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "thin",
        help="cut an .rvc file to fewer components",
        description="Write a smaller .rvc file from a larger one, without decoding the sound: the same bytes that"
        " encoding with so many components gives.",
    )
    parser.add_argument("input", metavar="IN", help="an .rvc file")
    parser.add_argument("output", metavar="OUT", help="the .rvc file to write")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--fidelity", type=number(1e-6, 1), metavar="F", help="keep the components of this share")
    amount.add_argument("--components", type=whole(1, 1024), metavar="N", help="keep exactly N components")
    amount.add_argument(
        "--bitrate", type=number(0.01, 1000), metavar="K", help="keep as many as K kbit/s of file allow"
    )
    parser.add_argument(
        "--rule", choices=("sigma", "sigma-squared"), default="sigma", help="of the fidelity, as for `encode`"
    )
    parser.add_argument("--model", metavar="NAME|PATH", help="the model whose tables are used")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing unless something is wrong")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from ravecodec.destination import must_differ, replacing
    from ravecodec.modeldata import data_for
    from ravecodec.streams import open_coded, peek_header
    from ravecodec.thinning import thin

    must_differ(arguments.input, arguments.output)
    with open_coded(arguments.input) as opened:
        header, source = peek_header(opened)
        data = data_for(header, arguments.model)
        with replacing(arguments.output, force=arguments.force) as out:
            made = thin(
                source, out, data, components=arguments.components, fidelity=arguments.fidelity,
                rule=arguments.rule, bitrate=arguments.bitrate,
            )  # fmt: skip
    found = made.report
    if not found.exact:
        report(f"{arguments.input}: {'; '.join(found.problems()) or 'its integers could not be checked'}")
    if not arguments.quiet:
        samples = found.samples
        seconds = header.seconds(found.frames) if samples is None else samples / header.source_rate
        kbps = made.bytes * 8 / seconds / 1000 if seconds else 0.0
        print(
            f"{arguments.output}: {made.header.components} of {header.components} components,"
            f" {size(made.bytes)}, {kbps:.2f} kbit/s"
        )
    return 0 if found.exact else DAMAGED
