"""The conformance vectors: what was written once is written again, byte for byte, and read as it was."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from bitstream import Reader, Tables, repair, retag
from bitstream.reference import decoder as reference
from bitstream.vectors import differences, expected, main

FOLDER = Path(__file__).parent / "vectors"
ABOUT = json.loads((FOLDER / "vectors.json").read_bytes())
TABLES = {
    name: Tables.from_arrays({key: np.array(value) for key, value in arrays.items() if key != "id"})
    for name, arrays in json.loads((FOLDER / "tables.json").read_bytes()).items()
}


def test_every_byte_comes_out_as_it_did() -> None:
    assert differences(FOLDER) == []


@pytest.mark.parametrize("name", ABOUT)
def test_a_vector_reads_as_it_did(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    assert expected(data) == ABOUT[name]
    if "error" not in ABOUT[name]:
        reader = Reader.from_bytes(data, TABLES[ABOUT[name]["tables"]])
        assert sum(packet.frames for packet in reader.packets()) == ABOUT[name]["frames"]


@pytest.mark.parametrize("name", [name for name, about in ABOUT.items() if about.get("complete")])
def test_tools_leave_whole_vectors_as_they_are(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    repaired, tagged = io.BytesIO(), io.BytesIO()
    report = repair(io.BytesIO(data), repaired, TABLES[ABOUT[name]["tables"]])
    if not report.lost:
        assert data.startswith(repaired.getvalue())
    retag(io.BytesIO(data), tagged, Reader.from_bytes(data).header.tags)
    assert tagged.getvalue() == data


@pytest.mark.parametrize("name", [name for name, about in ABOUT.items() if about.get("hash_holds")])
def test_the_second_decoder_agrees(name: str) -> None:
    arrays = json.loads((FOLDER / "tables.json").read_bytes())[ABOUT[name]["tables"]]
    found = reference.decode((FOLDER / name).read_bytes(), reference.listed_tables(arrays))
    assert found[1] == ABOUT[name]["integers_sha256"]


def test_a_changed_byte_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    assert main(["--write", str(tmp_path)], said.append) == 0
    assert main([str(tmp_path)], said.append) == 0
    data = bytearray((tmp_path / "mono.rvc").read_bytes())
    data[-1] ^= 1
    (tmp_path / "mono.rvc").write_bytes(data)
    assert main([str(tmp_path)], said.append) == 1
    assert said[-1] == "mono.rvc: differs\n"


def test_the_vectors_hold_every_outcome() -> None:
    errors = {about.get("error") for about in ABOUT.values()}
    assert errors == {None, "FormatError", "UnsupportedError"}
    kinds = {packet["kind"] for about in ABOUT.values() for packet in about.get("packets", [])}
    assert kinds == {0, 1, 2, None}
