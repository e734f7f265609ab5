"""LC3, the codec of Bluetooth LE Audio, by Google's liblc3 (`elc3` and `dlc3`, Debian's liblc3-tools).

`bitrate` is in kbit/s for all channels together, constant; at least 16 a channel (20 bytes each 10 ms). `rate` is the
rate that it codes at, of 8000, 16000, 24000, 32000 and 48000 Hz. The file's 18 bytes of header state the number of
samples and the decoder removes the delay: 0 samples by cross-correlation, 1 where it resamples. Sound goes in with
16 bits and comes out with 24. elc3 1.0.1 does not clear what follows the sound in its last frame: coding twice may
differ in the last bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from eval.audio import Audio
from eval.codecs.codec import Codec, end_at
from eval.codecs.process import digest, from_wav, program, through_files, to_wav

PACKAGE = "liblc3-tools"


class Lc3(Codec):
    """LC3 with frames of 10 ms at `bitrate` kbit/s, coded at `rate` Hz."""

    name = "lc3"

    def __init__(self, bitrate: float, rate: int = 48_000) -> None:
        super().__init__(bitrate=bitrate, rate=rate)
        self.bitrate, self.rate = bitrate, rate

    @property
    def label(self) -> str:
        return f"LC3 {self.bitrate:g}" + ("" if self.rate == 48_000 else f" at {self.rate / 1000:g} kHz")

    def identity(self) -> Mapping[str, str]:
        return {name: digest(program(name, PACKAGE)) for name in ("elc3", "dlc3")}

    def encode(self, wav: Audio, rate: int) -> bytes:
        asked = ["-b", str(round(1000 * self.bitrate)), "-r", str(self.rate)]
        elc3 = program("elc3", PACKAGE)
        return through_files(
            to_wav(wav, rate, "PCM_16"),
            (".wav", ".lc3"),
            lambda source, target: [elc3, *asked, str(source), str(target)],
        )

    def decode(self, data: bytes) -> tuple[Audio, int]:
        dlc3 = program("dlc3", PACKAGE)
        return from_wav(
            through_files(data, (".lc3", ".wav"), lambda source, target: [dlc3, "-b", "24", str(source), str(target)])
        )

    def fit(self, decoded: Audio, samples: int) -> Audio:
        return end_at(decoded, samples, 16)  # what rounding leaves when rates differ
