"""Vorbis, MP3 and AAC by ffmpeg, each asked for a bitrate in its usual way, the whole file counted.

    vorbis   libvorbis, -b:a: managed for that average, which it misses on short clips; Ogg, whose code books
             alone are 4 kB: 5 kbit/s on a clip of 7 s
    mp3      libmp3lame, -b:a: constant; no ID3 tag. At 48 kHz from 32 kbit/s; less takes `rate` 24000 or 16000
    aac      ffmpeg's own AAC-LC encoder, -b:a: an average; MP4, whose tables cost 2 to 3 kbit/s on such a clip

`bitrate` is in kbit/s for all channels together. Delay: each of these files states how many samples its encoder put
in front, and ffmpeg removes them (0 samples of delay by cross-correlation; tests/test_eval_codecs_programs.py). At
the end, MP4 and resampled files come out up to a frame too long: `fit` cuts that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from eval.audio import RATE, Audio
from eval.codecs.codec import Codec, end_at
from eval.codecs.process import from_wav, program, run, through_files, to_wav
from eval.errors import Unavailable

QUIET = ("-nostdin", "-hide_banner", "-v", "error", "-y")
REPEATABLE = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact")
FRAME = 2048
"""The longest frame of the three: an MP4 ends with a whole one."""


class Ffmpeg(Codec):
    """One of ffmpeg's encoders at `bitrate` kbit/s, at `rate` Hz where that is not the sound's own."""

    encoder: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, bitrate: float, rate: int | None = None) -> None:
        settings: dict[str, Any] = {"bitrate": bitrate} | ({} if rate is None else {"rate": rate})
        super().__init__(**settings)
        self.bitrate, self.rate = bitrate, rate

    @property
    def label(self) -> str:
        return f"{self.title} {self.bitrate:g}" + (f" at {self.rate / 1000:g} kHz" if self.rate else "")

    def identity(self) -> Mapping[str, str]:
        ffmpeg = program("ffmpeg", "ffmpeg")
        if self.encoder not in _encoders(ffmpeg):
            raise Unavailable(f"this ffmpeg has no encoder {self.encoder}, which {self.title} needs")
        return {"ffmpeg": run([ffmpeg, "-version"]).decode().splitlines()[0]}

    def encode(self, wav: Audio, rate: int) -> bytes:
        def command(source: Path, target: Path) -> list[str]:
            resampled = [] if self.rate is None else ["-ar", str(self.rate)]
            asked = ["-c:a", self.encoder, "-b:a", str(round(1000 * self.bitrate)), *resampled, *self.options]
            return [program("ffmpeg", "ffmpeg"), *QUIET, "-i", str(source), *REPEATABLE, *asked, str(target)]

        return through_files(to_wav(wav, rate), (".wav", self.suffix), command)

    def decode(self, data: bytes) -> tuple[Audio, int]:
        def command(source: Path, target: Path) -> list[str]:
            wanted = ["-ar", str(RATE), "-c:a", "pcm_f32le"]
            return [program("ffmpeg", "ffmpeg"), *QUIET, "-i", str(source), *wanted, str(target)]

        return from_wav(through_files(data, (self.suffix, ".wav"), command))

    def fit(self, decoded: Audio, samples: int) -> Audio:
        return end_at(decoded, samples, FRAME)


class Vorbis(Ffmpeg):
    """Ogg Vorbis."""

    name, title, encoder, suffix = "vorbis", "Vorbis", "libvorbis", ".ogg"


class Mp3(Ffmpeg):
    """MPEG layer III by LAME."""

    name, title, encoder, suffix = "mp3", "MP3", "libmp3lame", ".mp3"
    options = ("-id3v2_version", "0")


class Aac(Ffmpeg):
    """AAC-LC in MP4."""

    name, title, encoder, suffix = "aac", "AAC", "aac", ".m4a"


@lru_cache(maxsize=4)
def _encoders(ffmpeg: str) -> frozenset[str]:
    lines = run([ffmpeg, "-hide_banner", "-encoders"]).decode().splitlines()
    return frozenset(words[1] for words in map(str.split, lines) if len(words) > 1)
