"""Opus by Xiph's opus-tools, the fair Opus: exact `--bitrate`, and the bytes of a real Ogg file counted.

Delay: an Ogg Opus file states its encoder's delay (pre-skip, 312 samples at 48 kHz) and its end (the last
granule position); opusdec removes the one and stops at the other. What comes out is therefore as long as what
went in, with delay 0, and nothing is aligned or cut here (tests/test_eval_codecs.py measures both). Measured
by cross-correlation, the delay is 0 samples where Opus works in its CELT mode (from about 24 kbit/s) and
within ±3 samples (63 µs) in its SILK modes, whose own resamplers leave that much.

`--padding 0`: by default opusenc reserves 512 bytes for later tags, 0.6 kbit/s on a clip of 7 s that nobody
would store. `--serial` fixes what would be random, so that encoding twice gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from eval.audio import RATE, Audio
from eval.codecs.codec import Codec
from eval.codecs.process import from_wav, program, run, through_files, to_wav

PACKAGE = "opus-tools"


class Opus(Codec):
    """Opus in variable bitrate (its default) at a target of `bitrate` kbit/s for all channels together."""

    name = "opus"

    def __init__(self, bitrate: float) -> None:
        super().__init__(bitrate=bitrate)
        self.bitrate = bitrate

    @property
    def label(self) -> str:
        return f"Opus {self.bitrate:g}"

    def identity(self) -> Mapping[str, str]:
        program("opusdec", PACKAGE)
        return {"opus": run([program("opusenc", PACKAGE), "--version"]).decode().splitlines()[0]}

    def encode(self, wav: Audio, rate: int) -> bytes:
        options = ["--quiet", "--bitrate", f"{self.bitrate:g}", "--padding", "0", "--serial", "1"]
        return run([program("opusenc", PACKAGE), *options, "-", "-"], to_wav(wav, rate))

    def decode(self, data: bytes) -> tuple[Audio, int]:
        words = [program("opusdec", PACKAGE), "--quiet", "--float", "--rate", str(RATE)]
        return from_wav(
            through_files(data, (".opus", ".wav"), lambda source, target: [*words, str(source), str(target)])
        )
