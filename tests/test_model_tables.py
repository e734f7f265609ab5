"""Entropy tables inside a model file: packed and deflated, or, in earlier files, deflated, or array by array."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from context_streams import flat
from safetensors.numpy import save, save_file

from bitstream import ModelError
from bitstream.reference import decoder as reference
from bitstream.vectors import networked
from ravecodec import storedtables
from ravecodec.modeldata import load_data
from ravecodec.registry import find
from ravecodec.storedtables import LARGEST, NAME, PREFIX, pack, unpack

TABLES = networked()
PLAIN = {PREFIX + name: np.ascontiguousarray(array) for name, array in TABLES.to_arrays().items()}
WAYS = {
    "packed": {NAME: pack(TABLES)},
    "deflated": {NAME: np.frombuffer(zlib.compress(save(PLAIN)), np.uint8)},
    "array by array": PLAIN,
}


@pytest.mark.parametrize("way", WAYS)
def test_tables_come_out_as_they_went_in(way: str, tmp_path: Path) -> None:
    tensors = {**WAYS[way], "net.weight": np.zeros(5, np.int8)}
    found = unpack(tensors)
    assert found is not None and found.id == TABLES.id
    # The second decoder reads them, too.
    save_file(tensors, tmp_path / "model.safetensors")
    assert reference.read_tables((tmp_path / "model.safetensors").read_bytes()) == flat(TABLES)


def test_a_model_without_tables_has_none() -> None:
    assert unpack({"net.weight": np.zeros(3)}) is None


def test_packing_pays_for_the_shipped_model() -> None:
    tables = load_data(find("default")).tables
    plain = {name: np.ascontiguousarray(array) for name, array in tables.to_arrays().items()}
    assert len(pack(tables)) < 0.93 * len(zlib.compress(save(plain), 9))


def test_damage_is_a_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(TABLES)
    harmless = 0
    for place in range(len(packed)):
        changed = packed.copy()
        changed[place] ^= 16
        try:
            found = unpack({NAME: changed})
        except ModelError:
            continue
        # A changed distance may lead to bytes that are the same, and the last byte has bits of no use.
        assert found is not None and found.id == TABLES.id
        harmless += 1
    assert harmless < 0.01 * len(packed)
    for other in (packed[:-1], packed[:0], np.frombuffer(zlib.compress(b"no tensors"), np.uint8)):
        with pytest.raises(ModelError):
            unpack({NAME: other})
    monkeypatch.setattr(storedtables, "LARGEST", 1 << 16)
    bomb = zlib.compress(save({"tables.steps": np.zeros(1 << 20, np.int8)}))
    with pytest.raises(ModelError, match="larger"):
        unpack({NAME: np.frombuffer(bomb, np.uint8)})
    assert len(bomb) < 1 << 16 < LARGEST
