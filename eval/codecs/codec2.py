"""Codec 2, for speech at 450 to 3200 bit/s, by its own programs (`c2enc` and `c2dec`, Debian's codec2).

It knows one channel at 8 kHz: sound is resampled, and each channel coded by itself. The bytes are one for the number
of channels, then each channel's .c2 file with its header of 7 bytes; all are counted. The files state no length: the
end is cut to the original's.

Delay: 20 ms in the modes from 1200 bit/s, 30 ms in 700C and 450, taken off the start. Found once by correlating
envelopes on eight speech clips, to about ±3 ms; the waveform itself is not kept, so it tells no more.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from eval.audio import RATE, Audio, resample
from eval.codecs.codec import Codec, end_at
from eval.codecs.process import digest, program, through_files
from eval.errors import CodecError

PACKAGE = "codec2"
CODED_RATE = 8000
MODES = ("3200", "2400", "1600", "1400", "1300", "1200", "700C", "450")
FRAME_SECONDS = 0.04
SLOW_DELAY, DELAY = 240, 160
"""Samples at 8 kHz, in the modes under 1200 bit/s and in the others."""


class Codec2(Codec):
    """Codec 2 in one of its modes, which are called after their bits in a second."""

    name = "codec2"

    def __init__(self, mode: str | int = "1300") -> None:
        super().__init__(mode=str(mode))
        self.mode = str(mode)
        if self.mode not in MODES:
            raise CodecError(f"codec2 has no mode {mode}: there are {', '.join(MODES)}")

    @property
    def _delay(self) -> int:
        return SLOW_DELAY if self.mode in ("700C", "450") else DELAY

    @property
    def label(self) -> str:
        return f"Codec 2 {self.mode}"

    def identity(self) -> Mapping[str, str]:
        return {name: digest(program(name, PACKAGE)) for name in ("c2enc", "c2dec")}

    def encode(self, wav: Audio, rate: int) -> bytes:
        import soundfile

        def one(x: Audio) -> bytes:
            raw = io.BytesIO()
            soundfile.write(raw, x, CODED_RATE, format="RAW", subtype="PCM_16")
            words = program("c2enc", PACKAGE), self.mode
            return through_files(raw.getvalue(), (".raw", ".c2"), lambda a, b: [*words, str(a), str(b)])

        low = resample(wav, rate, CODED_RATE)
        # The last frame whole, and as much sound more as the delay holds back.
        tail = np.zeros((round(FRAME_SECONDS * CODED_RATE) + self._delay, wav.shape[1]))
        padded = np.concatenate([low, tail])
        return bytes([wav.shape[1]]) + b"".join(one(padded[:, c]) for c in range(wav.shape[1]))

    def decode(self, data: bytes) -> tuple[Audio, int]:
        import soundfile

        words = program("c2dec", PACKAGE), self.mode
        size = (len(data) - 1) // data[0]
        channels = []
        for c in range(data[0]):
            part = data[1 + c * size : 1 + (c + 1) * size]
            raw = through_files(part, (".c2", ".raw"), lambda a, b: [*words, str(a), str(b)])
            x, _ = soundfile.read(
                io.BytesIO(raw), samplerate=CODED_RATE, channels=1, format="RAW", subtype="PCM_16", dtype="float32"
            )
            channels.append(x)
        return resample(np.stack(channels, axis=1)[self._delay :], CODED_RATE, RATE), RATE

    def fit(self, decoded: Audio, samples: int) -> Audio:
        return end_at(decoded, samples, RATE // 5)
