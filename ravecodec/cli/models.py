"""`ravecodec models`: the models at hand."""

from __future__ import annotations

import argparse
import json

from ravecodec.cli.common import Commands, report, size


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "models",
        help="list the models at hand",
        description="List the models that `--model` knows by name.",
        epilog="They are looked for in $RAVECODEC_MODELS, ~/.local/share/ravecodec/models and the package.",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from ravecodec.registry import list_models, search_path

    entries = list_models()
    sound = [entry for entry in entries if entry.fault is None]
    for entry in entries:
        if entry.fault is not None:
            report(entry.fault)
    if arguments.json:
        fields = ("name", "id", "bytes", "description")
        listed = [{**{f: getattr(e, f) for f in fields}, "path": str(e.path)} for e in sound]
        print(json.dumps(listed, indent=2, ensure_ascii=False))
    elif not sound:
        folders = ", ".join(str(folder) for folder in search_path())
        report(f"no models found in {folders}")
    else:
        width = max(len(entry.name) for entry in sound)
        for entry in sound:
            print(f"{entry.name:<{width}}  {entry.id[:16]}  {size(entry.bytes):>10}  {entry.description}")
    return 1 if len(sound) < len(entries) or not sound else 0
