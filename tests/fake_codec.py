"""A codec without a network: 8-bit integers, 24 kHz, in a file of its own; it has the API that files need."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from bitstream import Header, Layout, Report
from bitstream.errors import FormatError
from ravecodec.audio import Samples
from ravecodec.resample import resample, resampled_length

RATE = 24000


@dataclass
class Sound:
    """What `decode_stream` returns."""

    header: Header
    rate: int
    channels: int
    samples: int | None
    blocks: Iterator[Samples]
    report: Report = field(default_factory=lambda: Report(finished=True, complete=True, hash_ok=True))


class FakeCodec:
    """Encodes by rounding to 8 bits at 24 kHz; `report` is what every decoding says of the file."""

    def __init__(self, report: Report | None = None) -> None:
        self.report = report

    def encode_stream(
        self, blocks: Iterable[Samples], rate: int, channels: int, out: BinaryIO, *, samples: int | None = None,
        fidelity: float | None = None, components: int | None = None, step: int | None = None,
        rule: str = "sigma", tags: Mapping[str, str] | None = None,
    ) -> Header:  # fmt: skip
        out.write(b"FAKE" + bytes(16))
        count = 0

        def counted() -> Iterator[Samples]:
            nonlocal count
            for block in blocks:
                count += len(block)
                yield block

        for block in resample(counted(), rate, RATE, channels):
            out.write(np.round(np.clip(block, -1, 1) * 127).astype(np.int8).tobytes())
        assert samples in (None, count)
        trailer = json.dumps({"rate": rate, "channels": channels, "samples": count, "step": step}).encode()
        out.write(trailer + struct.pack("<I", len(trailer)))
        return self._header(rate, channels, count)

    def decode_stream(self, file: BinaryIO, *, rate: Any = None) -> Sound:
        data = file.read()
        if data[:4] != b"FAKE":
            raise FormatError("not a fake file")
        (length,) = struct.unpack("<I", data[-4:])
        about = json.loads(data[-4 - length : -4])
        channels = about["channels"]
        coded = np.frombuffer(data[20 : -4 - length], np.int8).reshape(-1, channels).astype(np.float32) / 127
        target = {None: RATE, "source": about["rate"]}.get(rate, rate)
        samples = resampled_length(about["samples"], about["rate"], target)
        parts = (coded[i : i + 1000] for i in range(0, len(coded), 1000))
        blocks = resample(parts, RATE, target, channels, samples)
        header = self._header(about["rate"], channels, about["samples"])
        sound = Sound(header, target, channels, samples, blocks)
        if self.report is not None:
            sound.report = self.report
        return sound

    def _header(self, rate: int, channels: int, samples: int) -> Header:
        layout = Layout.MONO if channels == 1 else Layout.DISCRETE
        return Header(components=8, channels=channels, layout=layout, source_rate=rate, samples=samples)
