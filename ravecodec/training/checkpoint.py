"""Checkpoints that are whole or absent: written beside, flushed to disk, then renamed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..basis import Basis

NAME = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> Path:
    """Write `state` as the folder's checkpoint; a crash at any moment leaves the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    beside = path.with_suffix(".part")
    with beside.open("wb") as f:
        torch.save(state, f)
        f.flush()
        os.fsync(f.fileno())
    beside.replace(path)
    return path


def load(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, None when there is none; ValueError names a file that cannot be read."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds here
        raise ValueError(f"{path}: cannot be read as a checkpoint ({error}); move it away to start anew") from error
    return state


def tensors(basis: Basis | None) -> dict[str, torch.Tensor] | None:
    """A basis as a checkpoint keeps it."""
    if basis is None:
        return None
    arrays = {field.name: getattr(basis, field.name) for field in dataclasses.fields(basis)}
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items() if array is not None}


def basis(state: dict[str, Any]) -> Basis | None:
    """The basis of a checkpoint, if it has one."""
    kept: dict[str, torch.Tensor] | None = state.get("basis")
    return None if kept is None else Basis(**{name: np.asarray(tensor) for name, tensor in kept.items()})
