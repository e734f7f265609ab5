"""`ravecodec repair`: what is left of a damaged file, as a file in order."""

from __future__ import annotations

import argparse

from ravecodec.cli.common import DAMAGED, Commands, report


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "repair",
        help="salvage what is whole of a damaged .rvc file",
        description="Write the whole packets of a file in their order, with a new index and end record. Packets that"
        " are lost stay known as lost: decoding conceals and reports them.",
        epilog="Status 3 if packets are lost. The model's tables are used if they are installed, to look into packets.",
    )
    parser.add_argument("input", metavar="IN", help="an .rvc file")
    parser.add_argument("output", metavar="OUT", help="the .rvc file to write")
    parser.add_argument("--model", metavar="NAME|PATH", help="the model whose tables are used")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing unless something is lost")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from bitstream import ModelError, repair
    from ravecodec.destination import must_differ, replacing
    from ravecodec.modeldata import data_for
    from ravecodec.streams import open_coded, peek_header

    must_differ(arguments.input, arguments.output)
    with open_coded(arguments.input) as opened:
        header, source = peek_header(opened)
        try:
            tables = data_for(header, arguments.model).tables
        except ModelError as error:
            if arguments.model is not None:
                raise
            tables = None
            report(f"{arguments.input}: packets are not looked into: {error}")
        with replacing(arguments.output, force=arguments.force) as out:
            found = repair(source, out, tables)
    problems = found.problems()
    kept = found.packets - found.lost
    where = ", ".join(_span(first, count) for first, count in found.lost_spans[:10])
    if not arguments.quiet or found.lost:
        lost = f", {found.lost} lost ({where}{', ...' if len(found.lost_spans) > 10 else ''})" if found.lost else ""
        print(f"{arguments.output}: {kept} packets kept{lost}")
    if problems and not arguments.quiet:
        print(f"{arguments.input}: {'; '.join(problems)}")
    return DAMAGED if found.lost or found.hash_ok is False else 0


def _span(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first}-{first + count - 1}"
