"""Entropy tables as they stand in a model file: one tensor of bytes, deflated, as half of their weights are zero."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bitstream import ModelError, Tables

NAME = "tables"  # of the tensor
PACKED = "packed_tables."  # of each array in it
PREFIX = "tables."  # the same where arrays are as they are; the first model files have them beside the other tensors
LARGEST = 64 << 20  # bytes, inflated


def pack(tables: Tables) -> np.ndarray:
    """Tables as bytes, uint8 [n]: a safetensors file of their arrays, each made ready by `_apart`, deflated."""
    arrays = {PACKED + name: _apart(np.ascontiguousarray(array)) for name, array in tables.to_arrays().items()}
    # Weights are small numbers that seldom repeat: matches shorter than six bytes cost more than they save (3 % here).
    deflater = zlib.compressobj(9, strategy=zlib.Z_FILTERED)
    return np.frombuffer(deflater.compress(save(arrays)) + deflater.flush(), np.uint8)


def unpack(tensors: Mapping[str, np.ndarray]) -> Tables | None:
    """The tables among a model's tensors, None if it has none; ModelError if they are damaged."""
    found = _inflated(tensors[NAME]) if NAME in tensors else tensors
    arrays = {name.removeprefix(PREFIX): array for name, array in found.items() if name.startswith(PREFIX)}
    try:
        arrays |= {name.removeprefix(PACKED): _together(a) for name, a in found.items() if name.startswith(PACKED)}
    except ValueError as error:
        raise ModelError(f"tables: {error}") from error
    return Tables.from_arrays(arrays) if arrays else None


def _inflated(packed: np.ndarray) -> dict[str, np.ndarray]:
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(packed.tobytes(), LARGEST)
        if not inflater.eof:
            raise ModelError("tables: cut short, or larger than a model's can be")
        return load(data)
    except (zlib.error, SafetensorError) as error:
        raise ModelError(f"tables: {error}") from error


def _apart(array: np.ndarray) -> np.ndarray:
    """An array whose bytes deflate well: all the first bytes of its numbers, then all the second ones.

    From step to step numbers grow evenly, so of those of each step [steps, n] the second differences are taken.
    """
    return _planes(_differences(_differences(array)) if _by_step(array) else array)


def _together(array: np.ndarray) -> np.ndarray:
    """What `_apart` was given."""
    numbers = np.ascontiguousarray(array.view(np.uint8).reshape(array.itemsize, -1).T).view(array.dtype)
    numbers = numbers.reshape(array.shape)
    if _by_step(array):
        for _ in range(2):
            numbers = np.cumsum(numbers, 0, dtype=numbers.dtype)
    return numbers


def _by_step(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.dtype == np.int32


def _differences(array: np.ndarray) -> np.ndarray:
    return np.diff(array, axis=0, prepend=np.zeros_like(array[:1]))


def _planes(array: np.ndarray) -> np.ndarray:
    planes = np.ascontiguousarray(array.reshape(-1, 1).view(np.uint8).T).reshape(-1)
    return planes.view(array.dtype).reshape(array.shape)
