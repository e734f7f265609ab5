"""Entropy tables as they stand in a model file: one tensor of bytes, deflated, as half of their weights are zero."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bitstream import ModelError, Tables

NAME = "tables"  # of the tensor
PREFIX = "tables."  # of each array in it; earlier model files have the arrays beside the other tensors
LARGEST = 64 << 20  # bytes, inflated


def pack(tables: Tables) -> np.ndarray:
    """Tables as bytes, uint8 [n]: a safetensors file of their arrays, deflated."""
    arrays = {PREFIX + name: np.ascontiguousarray(array) for name, array in tables.to_arrays().items()}
    # Weights are small numbers that seldom repeat: matches shorter than six bytes cost more than they save (3 % here).
    deflater = zlib.compressobj(9, strategy=zlib.Z_FILTERED)
    return np.frombuffer(deflater.compress(save(arrays)) + deflater.flush(), np.uint8)


def unpack(tensors: Mapping[str, np.ndarray]) -> Tables | None:
    """The tables among a model's tensors, None if it has none; ModelError if they are damaged."""
    if NAME in tensors:
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(tensors[NAME].tobytes(), LARGEST)
            if not inflater.eof:
                raise ModelError("tables: cut short, or larger than a model's can be")
            tensors = load(data)
        except (zlib.error, SafetensorError) as error:
            raise ModelError(f"tables: {error}") from error
    arrays = {name.removeprefix(PREFIX): array for name, array in tensors.items() if name.startswith(PREFIX)}
    return Tables.from_arrays(arrays) if arrays else None
