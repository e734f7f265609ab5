"""`ravecodec train`: a network from a training store."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from pathlib import Path
from typing import Any

from ravecodec.cli.common import Commands, Weights, log_lines, named_faults, progress, tidy_on_sigterm

HELP = {
    "store": "training store, from `ravecodec prepare`",
    "out": "folder of the run: checkpoint, log, model; a run found there goes on",
    "preset": "network: the name of a preset, or a TOML file",
    "stage": "1: representation; 2: adversarial, with the encoder frozen",
    "latents": "what stage 1 decodes: samples of the posterior; integers: what a calibrated --init-from would send, "
    "with the bits of an entropy model as the rate",
    "learns": "what learns in stage 2: the decoder, or only the refiner of its envelope (a model without one gets that "
    "of the preset)",
    "init_from": "begin with the weights of this model (name or path)",
    "minutes": "end after so many minutes",
    "steps": "end after so many updates",
    "batch": "excerpts in an update",
    "crop": "samples of an excerpt",
    "rate": "information the latents are steered to, by the weight of the KL term, kbit/s",
    "beta": "a fixed weight of the KL term instead",
    "learning_rate": "largest step of the optimiser",
    "warmup": "updates until the learning rate is reached",
    "decay": "share of the run, at its end, in which the learning rate falls to nothing",
    "waveform_weight": "weight of the waveform's error",
    "structure_weight": "weight of the partials' misfit",
    "envelope_weight": "weight of the error of band levels",
    "modulation_weight": "weight of the misfit of what bands do in time",
    "steadiness_weight": "weight of the misfit of what lasts from frame to frame",
    "adversarial_weight": "weight of the adversarial loss (stage 2; with 0, and 0 for the matching, no discriminator)",
    "matching_weight": "weight of the feature matching (stage 2)",
    "ema": "decay of the averaged weights that ship",
    "weights": "how much more often a kind of sound is drawn",
    "speed": "half of the excerpts are played up to so many times faster or slower",
    "seed": "of everything random",
    "accelerator": "cpu, cuda, mps, or auto",
    "devices": "how many devices",
    "precision": "of the arithmetic: 32-true, bf16-mixed, 16-mixed",
    "graph": "on: on one CUDA card the step is recorded once and replayed (not tried on a card yet); off: not",
    "threads": "processor threads",
    "log_every": "updates between two lines of the log",
    "audio_every": "updates between two sounds in TensorBoard",
    "checkpoint_seconds": "seconds between two checkpoints",
}


def add(commands: Commands) -> None:
    """Add the sub-command to the parser; its options are the fields of `TrainOptions`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a network",
        description="Train a network from a store. A run that was interrupted, even killed, goes on where it was.",
    )
    # The options are read from the dataclass, so that they cannot differ from what training knows; that module
    # needs no torch.
    from ravecodec.training.options import TrainOptions

    types = typing.get_type_hints(TrainOptions)
    for field in dataclasses.fields(TrainOptions):
        _add_option(parser, field, types[field.name])
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask; the exit status."""
    from ravecodec.training.options import TrainOptions
    from ravecodec.training.run import train

    names = [field.name for field in dataclasses.fields(TrainOptions)]
    options = TrainOptions(**{name: getattr(arguments, name) for name in names})
    done = 0

    with (
        tidy_on_sigterm(),
        log_lines(arguments.quiet),
        named_faults(),
        progress(options.steps, "step", arguments.quiet) as advance,
    ):

        def seen(step: int, values: dict[str, float]) -> None:
            nonlocal done
            advance(step - done)
            done = step

        train(options, seen)
    return 0


def _add_option(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], kind: Any) -> None:
    """One field as an option: required if it has no default, KEY=NUMBER pairs if it is a dictionary."""
    flag = "--" + field.name.replace("_", "-")
    text = HELP.get(field.name, "")
    if typing.get_origin(kind) is dict:
        assert field.default_factory is not dataclasses.MISSING
        pairs = field.default_factory()
        shown = " ".join(f"{key}={value:g}" for key, value in pairs.items())
        parser.add_argument(
            flag, action=Weights, nargs="*", default=pairs, metavar="KIND=WEIGHT", help=f"{text} (default: {shown})"
        )
        return
    if typing.get_origin(kind) is typing.Literal:
        text += f" (default: {field.default})"
        parser.add_argument(flag, choices=typing.get_args(kind), default=field.default, help=text)
        return
    inner = [k for k in typing.get_args(kind) if k is not type(None)] or [kind]
    required = field.default is dataclasses.MISSING
    if not required and field.default is not None:
        text += f" (default: {field.default})"
    metavar = {Path: "FOLDER", int: "N", float: "X"}.get(inner[0], "NAME")
    default = None if required else field.default
    parser.add_argument(flag, type=inner[0], required=required, default=default, metavar=metavar, help=text.strip())
