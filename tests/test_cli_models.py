"""Models by name, by path and by the id that a file asks for."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from bitstream import Header
from bitstream.errors import ModelError
from ravecodec import registry
from ravecodec.cli import main


def make_model(folder: Path, name: str, identity: str, file: str | None = None, tables: str = "") -> Path:
    """A safetensors file without tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    about = json.dumps({"name": name, "id": identity, "tables": tables, "description": f"the {name} model"})
    header = json.dumps({"__metadata__": {"ravecodec": about}}).encode()
    path = folder / f"{file or name}.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A folder named by the environment and the user's own; the package's is left out."""
    first, own = tmp_path / "first", tmp_path / "data" / "ravecodec" / "models"
    monkeypatch.setenv("RAVECODEC_MODELS", str(first))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    search = registry.search_path
    monkeypatch.setattr(registry, "search_path", lambda: search()[:-1])
    return first, own


def test_the_search_path_ends_in_the_package(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("RAVECODEC_MODELS", "/one:/two")
    found = registry.search_path()
    assert found[:2] == [Path("/one"), Path("/two")]
    assert found[-1] == Path(registry.__file__).parent / "models"


def test_a_model_is_found_by_name_and_by_path(folders: tuple[Path, Path]) -> None:
    first, own = folders
    path = make_model(own, "bells", "ab" * 16)
    assert registry.find("bells") == path
    assert registry.find(str(path)) == path
    hiding = make_model(first, "bells", "cd" * 16)
    assert registry.find("bells") == hiding
    renamed = make_model(own, "bells", "ef" * 16, file="mine")
    assert registry.find("mine") == renamed


def test_a_missing_model_is_named_with_those_there_are(folders: tuple[Path, Path]) -> None:
    make_model(folders[0], "bells", "ab" * 16)
    with pytest.raises(ModelError, match=r"no model is named 'drums' \(there are: bells\)"):
        registry.find("drums")
    with pytest.raises(ModelError, match="no such model file"):
        registry.find("./drums.safetensors")


def test_a_file_finds_its_model_by_id(folders: tuple[Path, Path]) -> None:
    first, own = folders
    make_model(first, "bells", "cd" * 16)
    older = make_model(own, "bells", "ab" * 16)
    header = Header(components=8, model_name="bells", model_id=b"\xab" * 16, tables_id=b"\x02" * 8)
    assert registry.find_for(header) == older
    with pytest.raises(ModelError) as caught:
        registry.find_for(replace(header, model_id=b"\x01" * 16))
    error = caught.value
    assert (error.name, error.expected, error.found) == ("bells", "01" * 16, "cd" * 16)
    for shown in ("'bells'", "01" * 16, "cd" * 16, str(own)):
        assert shown in str(error)
    assert "--decoder" not in str(error)
    make_model(own, "chimes", "ef" * 16, tables="02" * 8)
    with pytest.raises(ModelError, match="same entropy tables: --decoder chimes"):
        registry.find_for(replace(header, model_id=b"\x01" * 16))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        struct.pack("<Q", 1 << 60),
        struct.pack("<Q", 4) + b"oops",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 20000) + b"[" * 20000,
        struct.pack("<Q", 35) + b'{"__metadata__": {"ravecodec": "1"}}'[:35],
    ],
)
def test_whatever_is_in_a_file_it_is_a_model_or_a_model_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="not a ravecodec model"):
        registry.read_entry(path)


def test_models_are_listed(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 1
    assert "no models found" in capsys.readouterr().err
    make_model(folders[1], "zither", "ab" * 16)
    make_model(folders[1], "default", "cd" * 16)
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["default", "zither"]
    assert "abababab" in lines[1]
    assert "the zither model" in lines[1]
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == "cd" * 16


def test_a_damaged_model_is_reported_and_does_not_hide_the_others(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    make_model(folders[1], "zither", "ab" * 16)
    (folders[1] / "broken.safetensors").write_bytes(b"x")
    assert main(["models"]) == 1
    captured = capsys.readouterr()
    assert "zither" in captured.out
    assert "broken.safetensors: not a ravecodec model" in captured.err
    assert registry.find("zither").name == "zither.safetensors"
