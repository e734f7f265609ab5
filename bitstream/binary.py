"""The small integers of the format: minimal LEB128 varints, zigzag, and the CRC-32 of zlib."""

from __future__ import annotations

import zlib

from .errors import FormatError

VARINT_MAX = 2**63 - 1


def write_varint(value: int) -> bytes:
    """Bytes of a non-negative integer, 7 bits a byte, the lowest first; ValueError outside 0..2**63-1."""
    if not 0 <= value <= VARINT_MAX:
        raise ValueError(f"varint {value} is outside 0..2**63-1")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes | bytearray, pos: int, limit: int = VARINT_MAX) -> tuple[int, int]:
    """Value and the position after it; FormatError if cut off, not minimal, or above `limit`.

    Only the shortest spelling of a number is valid, so each header and each packet has one form.
    """
    if pos < len(data) and data[pos] <= min(limit, 0x7F):  # most numbers are a byte
        return data[pos], pos + 1
    value = shift = 0
    while True:
        if pos >= len(data):
            raise FormatError("the data end inside a number")
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if value > limit:
            raise FormatError(f"a number is above its bound of {limit}")
        if byte < 0x80:
            if byte == 0 and shift:
                raise FormatError("a number is not in its shortest form")
            return value, pos
        shift += 7
        if shift > 56:
            raise FormatError("a number is longer than 9 bytes")


def zigzag(value: int) -> int:
    """0, -1, 1, -2, ... to 0, 1, 2, 3, ..."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """The inverse of `zigzag`."""
    return value >> 1 if value & 1 == 0 else -(value >> 1) - 1


def crc32(data: bytes | bytearray | memoryview, start: int = 0) -> int:
    """CRC-32 (zlib, PNG, Ethernet) of the bytes whose CRC is `start`, followed by `data`."""
    return zlib.crc32(data, start)
