"""`ravecodec calibrate`: basis, steps and entropy tables for a trained network."""

from __future__ import annotations

import argparse
from pathlib import Path

from ravecodec.cli.common import Commands, Weights, log_lines, named_faults, number, whole


def add(commands: Commands) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "calibrate",
        help="measure basis, steps and entropy tables for a model",
        description="Measure a trained network and write the model that codes files.",
        epilog="What is measured is the part of the store that training leaves out; the weights that predict what is "
        "coded are learned from up to ten hours of the other part as well. An exported model is measured on up to ten "
        "hours of all of it.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="the folder of a run, a model by name or path, or a RAVE model exported as TorchScript (.ts)",
    )
    parser.add_argument("store", metavar="STORE", help="the training store")
    parser.add_argument("output", metavar="OUT", help="the model file to write (.safetensors)")
    parser.add_argument("--name", help="the model's name (default: that of the file)")
    parser.add_argument("--description", default="", help="one line on what it is for")
    parser.add_argument(
        "--fidelity", type=number(1e-6, 1), metavar="F", help="fidelity used when the encoder is asked for none"
    )
    parser.add_argument("--step", type=whole(-64, 63), metavar="Q", help="step used when the encoder is asked for none")
    parser.add_argument(
        "--blend",
        metavar="MODEL",
        help="the model that stage 2 began with: the decoder goes a part of the way from it, and its basis and tables "
        "hold, unless a rotation is asked for",
    )
    parser.add_argument("--share", type=float, default=0.3, metavar="X", help="that part (default: 0.3)")
    parser.add_argument(
        "--rotation",
        choices=("auto", "all", "kinds", "none", "kept"),
        default="auto",
        help="which latents the basis may mix: all, those of a kind, none, or (auto) what costs the fewest bits; kept: "
        "the basis of the model (that of --blend, if given)",
    )
    parser.add_argument(
        "--entropy-from",
        metavar="MODEL",
        help="a calibrated model: the network that predicts what is coded goes on from its, instead of from nothing",
    )
    parser.add_argument(
        "--stereo",
        type=Path,
        metavar="FOLDER",
        help="recordings, of which those in two channels tell how one follows the other, besides what is staged with "
        "the sound of the store",
    )
    parser.add_argument(
        "--weights",
        action=Weights,
        nargs="*",
        default={},
        metavar="KIND=WEIGHT",
        help="how much more a kind of sound counts than its length says (default: all alike)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from ravecodec.errors import OutputError
    from ravecodec.memory import keep_freed_memory
    from ravecodec.training.calibrate import calibrate

    output = Path(arguments.output)
    name = arguments.name or output.stem
    asked = {"fidelity": arguments.fidelity, "step": arguments.step}
    point = {key: value for key, value in asked.items() if value is not None}
    notes = {"default_point": point} if point else {}
    if not output.parent.is_dir():  # else it is found out after an hour
        raise OutputError("there is no such folder", file=output.parent)
    keep_freed_memory()
    with log_lines(), named_faults():
        calibrate(
            arguments.model, Path(arguments.store), output, name=name, description=arguments.description, notes=notes,
            before=arguments.blend, share=arguments.share, rotation=arguments.rotation,
            entropy_from=arguments.entropy_from, stereo=arguments.stereo, weights=arguments.weights,
        )
    print(f"{output}: written")
    return 0
