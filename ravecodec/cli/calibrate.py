"""`ravecodec calibrate`: basis, steps and entropy tables for a trained network."""

from __future__ import annotations

import argparse
from pathlib import Path

from ravecodec.cli.common import Commands


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "calibrate",
        help="measure basis, steps and entropy tables for a model",
        description="Measure a trained network on sound it was not trained on, and write the model that codes files.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model, by name or path, or the folder of a run")
    parser.add_argument("store", metavar="STORE", help="store of sound that was not trained on")
    parser.add_argument("output", metavar="OUT", help="the model file to write (.safetensors)")
    parser.add_argument("--name", help="the model's name (default: that of the file)")
    parser.add_argument("--description", default="", help="one line on what it is for")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from ravecodec.training.calibrate import calibrate

    output = Path(arguments.output)
    name = arguments.name or output.stem
    calibrate(arguments.model, Path(arguments.store), output, name=name, description=arguments.description)
    print(f"{output}: written")
    return 0
