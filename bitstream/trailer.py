"""The end record: how much there is, where the packets stand, and the hash over all integers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .binary import read_varint, write_varint
from .errors import FormatError
from .header import MAX_SAMPLES, Header
from .packet import MAX_PACKETS

HASH_BYTES = 16
NO_HASH = bytes(HASH_BYTES)  # the integers were not all at hand when the record was written
MAX_GROUPS = 4096
SIZE_BYTES = 4  # the record ends with its own size, so that it can be found from the end of the file
GROUP_FRAMES = 512  # frames a group of the index spans at first: about 22 s


@dataclass(frozen=True)
class Trailer:
    """Totals of a finished file. `groups` are the bytes of each `stride` packets, one after another.

    `samples` is per channel at the source rate, None if never known; `digest` the hash of `IntegerHash`, or
    `NO_HASH`.
    """

    packets: int
    frames: int
    samples: int | None
    digest: bytes
    stride: int = 1
    groups: tuple[int, ...] = field(default=(), repr=False)

    def to_payload(self, head_size: int) -> bytes:
        """Payload of the end record, whose head (with its CRC) takes `head_size` bytes."""
        samples = 0 if self.samples is None else self.samples + 1
        numbers = [self.frames, samples, self.stride, len(self.groups), *self.groups]
        body = self.digest + b"".join(map(write_varint, numbers))
        return body + (head_size + len(body) + SIZE_BYTES).to_bytes(SIZE_BYTES, "little")

    @classmethod
    def parse(cls, packets: int, payload: bytes, header: Header) -> Trailer:
        """Read the payload of an end record that has the index `packets`; FormatError if it cannot be one."""
        data = payload[:-SIZE_BYTES]
        digest, pos = data[:HASH_BYTES], HASH_BYTES
        frames, pos = read_varint(data, pos)
        samples, pos = read_varint(data, pos, MAX_SAMPLES + 1)
        stride, pos = read_varint(data, pos, MAX_PACKETS)
        count, pos = read_varint(data, pos, MAX_GROUPS)
        groups = []
        for _ in range(count):
            size, pos = read_varint(data, pos)
            groups.append(size)
        full = header.frames_per_packet
        if packets != -(-frames // full) or stride < 1 or count != -(-packets // stride) or pos != len(data):
            raise FormatError("the end record contradicts itself")
        return cls(packets, frames, samples - 1 if samples else None, digest, stride, tuple(groups))

    def seek(self, index: int) -> tuple[int, int]:
        """The last indexed packet not after `index`, and the bytes from the first packet to it."""
        group = min(index // self.stride, len(self.groups))
        return group * self.stride, sum(self.groups[:group])

    def span(self, start: int, stop: int | None = None) -> tuple[int, int]:
        """Bytes, counted from the first packet, between which the packets `start` to `stop` - 1 lie."""
        last = len(self.groups) if stop is None else min(-(-stop // self.stride), len(self.groups))
        return self.seek(start)[1], sum(self.groups[:last])


class GroupIndex:
    """Collects packet sizes for the seek index, coarser as the file grows, so that it never exceeds its
    bound.
    """

    def __init__(self, frames_per_packet: int) -> None:
        self.stride = max(1, GROUP_FRAMES // frames_per_packet)
        self.groups: list[int] = []
        self._packets = 0

    def add(self, size: int) -> None:
        """Note the size of the next packet in bytes."""
        if self._packets % self.stride == 0:
            if len(self.groups) == MAX_GROUPS:
                self.groups = [a + b for a, b in zip(self.groups[::2], self.groups[1::2], strict=True)]
                self.stride *= 2
            self.groups.append(0)
        self.groups[-1] += size
        self._packets += 1


class IntegerHash:
    """The first 16 bytes of SHA-256 over all integers, each a little-endian two's complement 32-bit word.

    Frames are the outermost order, then channels, then components, so it does not depend on the packets.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def update(self, codes: NDArray[np.integer]) -> None:
        """Add codes [channels, frames, components]."""
        self._digest.update(codes.transpose(1, 0, 2).astype("<i4").tobytes())

    def digest(self) -> bytes:
        """The hash so far."""
        return self._digest.digest()[:HASH_BYTES]
