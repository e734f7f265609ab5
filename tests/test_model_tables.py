"""Entropy tables inside a model file: deflated, or, in earlier files, array by array."""

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
from ravecodec.storedtables import LARGEST, NAME, PREFIX, pack, unpack

TABLES = networked()


def test_tables_come_out_as_they_went_in() -> None:
    packed = pack(TABLES)
    found = unpack({NAME: packed, "net.weight": np.zeros(3)})
    assert found is not None and found.id == TABLES.id
    earlier = unpack({PREFIX + name: array for name, array in TABLES.to_arrays().items()})
    assert earlier is not None and earlier.id == TABLES.id
    assert unpack({"net.weight": np.zeros(3)}) is None


def test_the_second_decoder_reads_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({NAME: pack(TABLES), "a": np.zeros(5, np.int8)}, path)
    assert reference.read_tables(path.read_bytes()) == flat(TABLES)
    save_file({PREFIX + name: array for name, array in TABLES.to_arrays().items()}, path)
    assert reference.read_tables(path.read_bytes()) == flat(TABLES)


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
