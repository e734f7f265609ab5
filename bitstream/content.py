"""What packets hold: their integers, and the kind and payload that these make."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from . import coder
from .header import Header
from .packet import Kind, Packet
from .tables import Tables

# What is coded side by side, at most. More would take less time still for each packet, and more memory.
INTEGERS = 1 << 18
FRAMES = 1 << 12
PACKETS = 256
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def batches(items: Iterable[T], header: Header) -> Iterator[list[T]]:
    """Groups of a file's packets, or of what stands for them, to be coded side by side.

    The first are smaller: who waits for the first packet does not wait for so many others.
    """
    most = max(1, min(PACKETS, FRAMES // header.frames_per_packet, INTEGERS // header.packet_symbols))
    iterator, size = iter(items), -(-most // 4)
    while group := list(islice(iterator, size)):
        yield group
        size = min(2 * size, most)


def pack(
    packets: Sequence[NDArray[np.integer]],
    tables: Tables,
    step: int,
    linked: bool,
    coded: Sequence[bytes] | None = None,
) -> list[tuple[Kind, bytes]]:
    """Kind and payload of each packet's codes [channels, frames, components]; the same as one by one, in less time.

    `coded` is what all of each packet's integers are coded to, if that is known.
    """
    parts = [_essence(codes) for codes in packets]
    payloads = [b""] * len(parts)
    keys: list[tuple[int, ...] | None] = [None] * len(parts)
    for place, (kind, essence) in enumerate(parts):
        if kind == Kind.CODED and coded is not None:
            payloads[place] = coded[place]
        elif kind != Kind.ZERO:
            keys[place] = essence.shape
    for places in _alike(keys).values():
        codes = np.stack([parts[place][1] for place in places])
        for place, payload in zip(places, coder.encode_all(codes, tables, step, linked), strict=True):
            payloads[place] = payload
    return [(kind, payload) for (kind, _), payload in zip(parts, payloads, strict=True)]


def unpack(
    packets: Sequence[tuple[Packet, bytes | None]], header: Header, tables: Tables
) -> list[NDArray[np.int32] | None]:
    """The inverse of `pack`: each packet's codes; None without a payload, or if it cannot be one."""
    found: list[NDArray[np.int32] | None] = [None] * len(packets)
    keys: list[tuple[int, int] | None] = [None] * len(packets)
    for place, (packet, payload) in enumerate(packets):
        step = header.step + packet.coarser
        if payload is None or step not in tables.steps:
            continue
        if packet.kind == Kind.ZERO:
            found[place] = np.zeros((header.channels, packet.frames, header.components), dtype=np.int32)
        elif packet.kind in (Kind.CODED, Kind.STEADY):
            keys[place] = (1 if packet.kind == Kind.STEADY else packet.frames), step
    for (frames, step), places in _alike(keys).items():
        payloads = [packets[place][1] or b"" for place in places]
        shape = header.channels, frames, header.components
        for place, codes in zip(places, coder.decode_all(payloads, tables, step, shape, header.linked), strict=True):
            packet = packets[place][0]
            if codes is not None and packet.kind == Kind.STEADY:
                codes = np.repeat(codes, packet.frames, axis=1)
            found[place] = codes
    return found


def packet_bits(codes: NDArray[np.integer], tables: Tables, step: int, linked: bool = True) -> float:
    """Model bits -sum(log2 p) of what a packet of these codes would hold, without coding."""
    kind, coded = _essence(codes)
    return 0.0 if kind == Kind.ZERO else tables.bits(coded, step, linked)


def _essence(codes: NDArray[np.integer]) -> tuple[Kind, NDArray[np.integer]]:
    """The kind of packet that suits these codes, and the part of them that is coded."""
    if not codes.any():
        return Kind.ZERO, codes[:, :0]
    if codes.shape[1] > 1 and (codes == codes[:, :1]).all():
        return Kind.STEADY, codes[:, :1]
    return Kind.CODED, codes


def _alike(keys: Iterable[K | None]) -> dict[K, list[int]]:
    """Places of each key; those of None are left out."""
    places: dict[K, list[int]] = {}
    for place, key in enumerate(keys):
        if key is not None:
            places.setdefault(key, []).append(place)
    return places
