"""Coverage-guided fuzzing of the format's reader and entropy decoder (needs atheris).

    mkdir -p build/fuzz && nice -n 19 python benchmarks/fuzz/fuzz_reader.py build/fuzz -max_total_time=3600 -max_len=600

The first byte of an input says what is made of the rest, so that the fuzzer gets behind the checksums: bytes as they
are; a sound header and bytes; packets, an end record or a header whose CRC is made right. Only the format's own errors
may come out, a packet that is not lost must have its shape, and no reading may take long. Inputs that break this are
left by atheris as crash-* files: put them into tests/attacks/, where tests/test_bitstream_attacks.py reads them.
"""

from __future__ import annotations

import io
import sys
import time
from itertools import islice

import atheris

with atheris.instrument_imports(include=["bitstream", "parts"]):
    import numpy as np
    from parts import HEADER, SOUND_HEADER, TABLES

    from bitstream import Reader, RvcError, repair
    from bitstream.header import sealed
    from bitstream.packet import Kind, seal

SECONDS = 10.0  # of processor time, longer than any input of this size may take
PACKETS = 64  # looked at of one input: a jump of the index makes thousands of lost ones


def file_of(data: bytes) -> bytes:
    """The file an input stands for."""
    kind, rest = (data[0] & 31) % 6, data[1:]
    if kind == 0:
        return rest
    if kind == 1:
        return SOUND_HEADER + rest
    if kind == 2:  # a header with any fields and a right CRC
        size = rest[0] if rest else 0
        fields, packets = rest[1 : 1 + size], rest[1 + size :]
        return sealed(fields) + packets
    out = SOUND_HEADER
    index = 0
    while len(rest) > 2:  # packets of any content and a right CRC
        control, size = rest[0], rest[1]
        payload, rest = rest[2 : 2 + size], rest[2 + size :]
        frames = control >> 5 if control & 16 else None
        kinds = (Kind.CODED, Kind.ZERO, Kind.STEADY, Kind.END)
        what = kinds[control & 3] if kind != 3 else Kind.CODED
        if what == Kind.END:
            payload += (4 + len(payload) + 7).to_bytes(4, "little")
        out += seal(what, index, frames or None, payload, HEADER.stream_crc)
        index += 1 if not control & 8 else control >> 4
    return out


def one_input(data: bytes) -> None:
    """Read what an input stands for, in every way there is."""
    if not data:
        return
    file = file_of(data)
    start = time.process_time()
    try:
        reader = Reader.from_bytes(file)
        if reader.header.tables_id == TABLES.id and not data[0] & 32:
            reader.tables = TABLES
        for packet in islice(reader.walk() if reader.tables is None else reader.packets(), PACKETS):
            if packet.codes is not None:
                shape = reader.header.channels, packet.frames, reader.header.components
                assert packet.codes.shape == shape and np.abs(packet.codes).max(initial=0) < 1 << 20
        if data[0] & 64 and reader.report.finished:
            list(reader.walk(1, 3))
        if data[0] & 128 and reader.report.finished:
            repair(io.BytesIO(file), io.BytesIO())
    except RvcError:
        pass
    assert time.process_time() - start < SECONDS, "too slow"


def main() -> None:
    """Fuzz until told to stop."""
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
