"""The models at hand: safetensors files found by name, by path or by the id an .rvc file asks for.

Only the JSON header of a file is read here: its metadata holds, under the key "ravecodec", a JSON document
with at least `name`, `id` (hexadecimal) and `description`. Neither torch nor numpy is needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitstream.errors import ModelError
from ravecodec.errors import PathLike

if TYPE_CHECKING:
    from bitstream import Header

SUFFIX = ".safetensors"
DEFAULT = "default"
_MAX_HEADER = 16 << 20  # bytes; a real one has a few thousand


@dataclass(frozen=True)
class ModelEntry:
    """A model file: what it says of itself, where it lies, and what is wrong with it, if anything is."""

    name: str
    path: Path
    id: str = ""
    description: str = ""
    bytes: int = 0
    fault: str | None = None
    document: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)


def search_path() -> list[Path]:
    """The folders where models are looked for, first come first served.

    Those of $RAVECODEC_MODELS, then ~/.local/share/ravecodec/models, then the one inside the package.
    """
    folders = [Path(p) for p in os.environ.get("RAVECODEC_MODELS", "").split(os.pathsep) if p]
    return [*folders, user_folder(), Path(__file__).parent / "models"]


def user_folder() -> Path:
    """Where a user's own models lie: ~/.local/share/ravecodec/models, or the like below $XDG_DATA_HOME."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "ravecodec" / "models"


def read_entry(path: PathLike) -> ModelEntry:
    """Read what a model file says of itself; ModelError when it is no readable model."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _MAX_HEADER:
                raise ValueError("no safetensors header")
            header = json.loads(file.read(length))
        document = json.loads(header["__metadata__"]["ravecodec"])
        name, identity = str(document["name"]), str(document["id"]).lower()
        bytes.fromhex(identity)
        return ModelEntry(
            name, path, identity, str(document["description"]), path.stat().st_size, document=document
        )
    except OSError as error:
        raise ModelError(f"{path}: model cannot be read ({error.strerror})", name=path.stem) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: not a ravecodec model ({error or type(error).__name__})") from error


def list_models() -> list[ModelEntry]:
    """All models on the search path, by name; one that is damaged has its `fault` set."""
    entries: dict[str, ModelEntry] = {}
    for path in _files():
        try:
            entry = read_entry(path)
        except ModelError as error:
            entry = ModelEntry(path.stem, path, fault=str(error))
        entries.setdefault(entry.name, entry)
    return sorted(entries.values(), key=lambda e: (e.name != DEFAULT, e.name))


def find(name_or_path: PathLike = DEFAULT) -> Path:
    """The file of a model given by name or by path; ModelError, listing the names there are."""
    text = os.fspath(name_or_path)
    if text.endswith(SUFFIX) or os.sep in text:
        if not Path(text).is_file():
            raise ModelError(f"{text}: no such model file", name=Path(text).stem)
        return Path(text)
    entries = list_models()
    for entry in entries:
        if entry.name == text and entry.fault is None:
            return entry.path
    for path in _files():  # a copy under a name of the user's own
        if path.stem == text:
            return path
    known = ", ".join(e.name for e in entries if e.fault is None) or "none"
    raise ModelError(f"no model is named {text!r} (there are: {known})", name=text)


def find_for(header: Header) -> Path:
    """The file of the model that an .rvc file was coded with, by the id in the file's header.

    Raises:
        ModelError: no model with this id is at hand; it names the model, its id, where to put it, and one at hand that
            has the same entropy tables, which may stand in for it.
    """
    name, wanted, tables = header.model_name, header.model_id.hex(), header.tables_id.hex()
    others = []
    for path in _files():
        try:
            entry = read_entry(path)
        except ModelError:
            continue
        if entry.id == wanted:
            return path
        if entry.name == name:
            others.append(entry.id)
    alike = [e.name for e in list_models() if e.fault is None and e.document.get("tables") == tables]
    found = f"; the {name!r} at hand has id {others[0]}" if others else ""
    instead = f", or decode it by one with the same entropy tables: --decoder {alike[0]}" if alike else ""
    raise ModelError(
        f"needs the model {name!r} with id {wanted}, which is not installed{found}; "
        f"put its file into {user_folder()}, give it with --model{instead}",
        name=name,
        expected=wanted,
        found=others[0] if others else "",
    )


def _files() -> Iterator[Path]:
    for folder in search_path():
        yield from sorted(folder.glob("*" + SUFFIX))
