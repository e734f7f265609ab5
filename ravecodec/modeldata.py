"""What of a model file the format's tools need, read without the network library: tables and singular values."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bitstream.errors import ModelError
from ravecodec.basis import components_for
from ravecodec.errors import PathLike
from ravecodec.registry import find, find_for, read_entry

if TYPE_CHECKING:
    from bitstream import Header, Tables


@dataclass(frozen=True)
class ModelData:
    """Entropy tables of a model, and the singular values [latents] of its components."""

    name: str
    id: bytes
    tables: Tables
    singular_values: np.ndarray
    notes: dict[str, Any] = field(default_factory=dict)

    def components_for(self, fidelity: float, rule: str = "sigma") -> int:
        """As `Basis.components_for`."""
        return components_for(self.singular_values, fidelity, rule)


def load_data(path: Path) -> ModelData:
    """Read a model file's tables, whose hash is checked, and singular values; ModelError when it has none."""
    try:
        about = path.stat()
    except OSError as error:
        raise ModelError(f"{path}: model cannot be read ({error.strerror})") from error
    return _load(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4)
def _load(path: Path, changed: int, size: int) -> ModelData:
    """Read a model file, or give what was read of it before, unless it has changed since."""
    from safetensors import SafetensorError, safe_open

    from ravecodec.storedtables import NAME, PREFIX, unpack

    entry = read_entry(path)
    try:
        with safe_open(path, framework="numpy") as file:
            names = [name for name in file.keys() if name == NAME or name.startswith(PREFIX)]  # noqa: SIM118 (no dict)
            tensors = {name: file.get_tensor(name) for name in names}
            if not tensors:
                raise ModelError(f"{path}: the model is not calibrated: it has no entropy tables", name=entry.name)
            values = file.get_tensor("basis.singular_values")
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path}: not a ravecodec model ({error})", name=entry.name) from error
    try:
        tables = unpack(tensors)
        assert tables is not None
    except ModelError as error:
        raise ModelError(f"{path}: damaged ({error})", name=entry.name) from error
    expected = str(entry.document.get("tables"))
    if tables.id.hex() != expected:
        raise ModelError(
            f"{path}: damaged: its tables hash to {tables.id.hex()}, the file says {expected}",
            name=entry.name, expected=expected, found=tables.id.hex(),
        )  # fmt: skip
    return ModelData(entry.name, bytes.fromhex(entry.id), tables, values, entry.document.get("notes") or {})


def data_for(header: Header, model: PathLike | None = None) -> ModelData:
    """The data of the model a file was coded with, or of the one given by name or path.

    ModelError, naming both hashes, if there is none or it is another.
    """
    data = load_data(find_for(header) if model is None else find(model))
    for what, expected, found in (("model", header.model_id, data.id), ("tables", header.tables_id, data.tables.id)):
        if expected != found:
            raise ModelError(
                f"the file needs the {what} {expected.hex()} (model {header.model_name!r}), "
                f"those of {data.name!r} are {found.hex()}",
                name=header.model_name, expected=expected.hex(), found=found.hex(),
            )  # fmt: skip
    return data
