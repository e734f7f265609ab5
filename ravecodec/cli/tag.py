"""`ravecodec tag`: read and write the tags of an .rvc file."""

from __future__ import annotations

import argparse
import json
import shutil

from ravecodec.cli.common import Commands, tag


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "tag",
        help="read or write the tags of an .rvc file",
        description="Print the tags of a file, or change them in place; no packet is touched, and the file is either"
        " the old or the new one, whatever happens.",
    )
    parser.add_argument("input", metavar="FILE", help="an .rvc file")
    parser.add_argument("--clear", action="store_true", help="first remove all tags")
    parser.add_argument("--remove", action="append", default=[], metavar="KEY", help="remove a tag")
    parser.add_argument("--set", type=tag, action="append", default=[], metavar="KEY=VALUE", help="set a tag")
    parser.add_argument("--json", action="store_true", help="print the tags as a JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from bitstream import Header, retag
    from ravecodec.destination import replacing
    from ravecodec.errors import UsageError
    from ravecodec.streams import open_coded

    with open_coded(arguments.input) as file:
        tags = dict(Header.parse(file).tags)
    before = dict(tags)
    if arguments.clear:
        tags = {}
    for key in arguments.remove:
        if key not in tags:
            raise UsageError(f"has no tag {key!r}", file=arguments.input)
        del tags[key]
    tags |= dict(arguments.set)
    if tags != before:
        with open_coded(arguments.input) as source, replacing(arguments.input) as out:
            retag(source, out, tags)
            shutil.copymode(arguments.input, out.name)
    if arguments.json:
        print(json.dumps(tags, indent=2, ensure_ascii=False))
    elif not (arguments.clear or arguments.remove or arguments.set):
        for key, value in tags.items():
            print(f"{key}={value}")
    return 0
