"""Where a network that is to be calibrated comes from: a run, a model, or another's export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..modelfile import load_model
from ..network.config import NetworkConfig
from ..network.exported import SUFFIX, CodecNetwork, ExportedNet
from ..network.probe import reach
from ..network.vae import RaveNet
from . import checkpoint


def load_network(source: str) -> tuple[CodecNetwork, dict[str, Any]]:
    """A network and notes on its training, from a model (name or path), the folder of a run (averaged weights) or a
    RAVE model exported as TorchScript (.ts).
    """
    if Path(source).is_dir():
        return load_run(Path(source))
    if source.endswith(SUFFIX):
        try:
            return reach(ExportedNet.read(Path(source))), {}
        except ValueError as error:
            raise ValueError(f"{source}: no RAVE model of version 2 that a codec can use: {error}") from error
    model = load_model(source)
    return model.network, model.notes


def load_run(folder: Path) -> tuple[RaveNet, dict[str, Any]]:
    """The averaged network of a run, in evaluation mode, and notes on its training."""
    saved = checkpoint.load(folder)
    if saved is None:
        raise FileNotFoundError(f"{folder}: no checkpoint in this folder")
    net = RaveNet(NetworkConfig.from_dict(saved["config"]))
    net.load_state_dict(saved["average"])
    notes = {
        "stage": saved["stage"],
        "latents": saved.get("latents", "samples"),
        "steps": saved["step"],
        "sound_seen_hours": round(saved["seen"] / 3600, 3),
        "trained_hours": round(saved["trained"] / 3600, 3),
    }
    title = f"stage{saved['stage']}" if notes["latents"] == "samples" else notes["latents"]
    return _as_stored(net).eval(), {**saved.get("notes", {}), title: notes}


def blend(before: RaveNet, after: RaveNet, share: float) -> RaveNet:
    """The network a `share` (0 to 1) of the way from one to another with the same encoder; ValueError if they differ.

    Weights of one network before and after fine-tuning may be averaged (Wortsman et al. 2022): the second stage makes
    envelopes better and partials worse, and a part of the way has most of the first and none of the second. What only
    the later one has, of a refiner, is its own.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of a blend lies between 0 and 1, not at {share}")
    first, second = before.state_dict(), after.state_dict()
    of_refiner = {name: getattr(after.config, name) for name in ("envelope_refiner", "envelope_rise")}
    same = replace(before.config, **of_refiner) == after.config and first.keys() <= second.keys()
    if not same or any((first[k] != second[k]).any() for k in first if k.startswith("encoder.")):
        raise ValueError("only a network before and after its second stage can be blended: these have other encoders")
    mixed = {k: torch.lerp(v, second[k], share) if v.is_floating_point() else v for k, v in first.items()}
    after.load_state_dict(second | mixed)
    return _as_stored(after)


def _as_stored(net: RaveNet) -> RaveNet:
    """The network with its weights rounded as a model file keeps them, so that what is measured is what ships."""
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half().float())
    return net
