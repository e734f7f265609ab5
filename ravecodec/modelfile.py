"""Model files: one safetensors file with network, basis and entropy tables, and what identifies them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bitstream import ModelError, RvcError, Tables

from . import storedtables
from .basis import Basis
from .errors import PathLike
from .network.config import NetworkConfig
from .network.exported import KEY, SUFFIX, CodecNetwork, ExportedConfig, ExportedNet
from .network.layers import unset_weights
from .network.vae import RaveNet
from .registry import find

_BASIS = ("mean", "vectors", "singular_values", "noise", "scale")


@dataclass(frozen=True)
class Model:
    """A loaded model: a network in evaluation mode, its basis and its entropy tables (None before calibration)."""

    name: str
    id: bytes
    network: CodecNetwork
    basis: Basis | None
    tables: Tables | None
    description: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


def save_model(
    path: Path,
    network: CodecNetwork,
    name: str,
    basis: Basis | None = None,
    tables: Tables | None = None,
    description: str = "",
    notes: dict[str, Any] | None = None,
) -> bytes:
    """Write a model file (network in float16, the rest as it is) in one step and return its id (16 bytes)."""
    tensors = {f"net.{k}": v for k, v in network.stored().items()}
    if basis is not None:
        given = {k: getattr(basis, k) for k in _BASIS}
        tensors |= {f"basis.{k}": v.astype(np.float32) for k, v in given.items() if v is not None}
        tensors["basis.vectors"] = _small(basis.vectors)
    identity = model_id(network.config.to_dict(), tensors)
    if tables is not None:
        tensors[storedtables.NAME] = storedtables.pack(tables)
    document = {
        "format": 1,
        "name": name,
        "id": identity.hex(),
        "tables": tables.id.hex() if tables is not None else None,
        "description": description,
        "config": network.config.to_dict(),
        "notes": notes or {},
    }
    data = save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, {"ravecodec": json.dumps(document)})
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    beside.replace(path)
    return identity


def load_model(name_or_path: PathLike) -> Model:
    """Load a model by name or path; ModelError says which file is missing, damaged or of another format."""
    path = find(name_or_path)
    if path.suffix == SUFFIX:
        raise ModelError(f"{path}: an exported model; 'ravecodec calibrate' makes a model file of it, which can code")
    try:
        with safe_open(path, framework="numpy") as f:
            document = json.loads((f.metadata() or {})["ravecodec"])
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ModelError(f"{path}: not a ravecodec model file ({error})") from error
    if document.get("format") != 1:
        raise ModelError(f"{path}: model format {document.get('format')} is newer than this version of ravecodec")
    hashed = {k: v for k, v in tensors.items() if k.startswith(("net.", "basis."))}
    identity = model_id(document["config"], hashed)  # as it was written: this version may know more fields
    if identity.hex() != document["id"]:
        raise ModelError(f"{path}: damaged: its tensors hash to {identity.hex()}, the file says {document['id']}")
    stored = {k[4:]: v for k, v in tensors.items() if k.startswith("net.")}
    try:
        network = _network(document["config"], stored)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error
    basis = tables = None
    if "basis.mean" in tensors:
        basis = Basis(**{k: tensors[f"basis.{k}"].astype(np.float32) for k in _BASIS if f"basis.{k}" in tensors})
    if document.get("tables"):
        try:
            tables = storedtables.unpack(tensors)
        except RvcError as error:
            raise ModelError(f"{path}: damaged ({error})") from error
        if tables is None:
            raise ModelError(f"{path}: damaged: its entropy tables are missing")
        if tables.id.hex() != document["tables"]:
            raise ModelError(
                f"{path}: damaged: its tables hash to {tables.id.hex()}, the file says {document['tables']}"
            )
    return Model(
        document["name"], identity, network, basis, tables, document["description"], document["notes"]
    )


def _network(config: dict[str, Any], stored: dict[str, np.ndarray]) -> CodecNetwork:
    if KEY in config:
        if KEY not in stored:
            raise ValueError("its script is missing")
        return ExportedNet(stored[KEY].tobytes(), ExportedConfig.from_dict(config))
    with unset_weights():
        network = RaveNet(NetworkConfig.from_dict(config))
    state = {k: torch.from_numpy(v.astype(np.float32)) for k, v in stored.items()}
    network.load_state_dict(state, strict=True, assign=True)  # copying took a third of the time
    return network.eval()


def _small(vectors: np.ndarray) -> np.ndarray:
    """In float16 if that says the same: without a rotation, vectors are zeros and ones."""
    half = vectors.astype(np.float16)
    return half if (half == vectors).all() else vectors.astype(np.float32)


def model_id(config: dict[str, Any], tensors: dict[str, np.ndarray]) -> bytes:
    """First 16 bytes of SHA-256 over the network's shape and all tensors but the entropy tables."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        little = array.astype(array.dtype.newbyteorder("<"))
        digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        digest.update(little.tobytes())
    return digest.digest()[:16]
