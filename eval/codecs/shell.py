"""A codec as two command lines, without Python.

    ShellCodec("my-opus", encode="opusenc --bitrate 16 {in} {out.opus}", decode="opusdec {in} {out.wav}")

    ravecodec sweep ... --shell my-opus "opusenc --bitrate 16 {in} {out.opus}" "opusdec {in} {out.wav}"

{in} and {out} become file names; a suffix in the braces is the one that the file gets, for programs that go by it.
The encoder reads a WAV file of 16-bit samples (`subtype`: also PCM_24, FLOAT) at 48 kHz with the clip's channels,
and the file that it writes is what is counted. The decoder reads that file and writes a WAV file at any rate with
as many channels. The commands are split into words as a shell would, but no shell runs them: for pipes and
redirections write sh -c '...'.

`delay` is the codec's known delay in samples at 48 kHz, taken off the start. The end may be up to 0.1 s longer or
shorter than the original, as whole frames make it; it is cut or filled with zeros.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.audio import RATE, Audio
from eval.codecs.codec import Codec, end_at
from eval.codecs.process import digest, from_wav, through_files, to_wav
from eval.errors import CodecError, Unavailable

PLACE = re.compile(r"\{(in|out)(\.\w+)?\}")
SLACK = RATE // 10


class ShellCodec(Codec):
    """The commands `encode` and `decode`, which name their files {in} and {out}, as a codec called `title`."""

    name = "shell"

    def __init__(self, title: str, encode: str, decode: str, delay: int = 0, subtype: str = "PCM_16") -> None:
        super().__init__(title=title, encode=encode, decode=decode, delay=delay, subtype=subtype)
        self.title, self.delay, self.subtype = title, delay, subtype
        self._encoder, self._decoder = _words(title, encode), _words(title, decode)
        self._suffix = next((suffix for _, suffix in PLACE.findall(encode) if suffix), ".coded")

    @property
    def label(self) -> str:
        return self.title

    def identity(self) -> Mapping[str, str]:
        """The programs' files, and every other file that the commands name, by content."""
        for words in (self._encoder, self._decoder):
            if shutil.which(words[0]) is None:
                raise Unavailable(f"{self.title}: there is no program {words[0]}")
        files = {word: shutil.which(word) or word for word in (*self._encoder, *self._decoder)}
        return {word: digest(file) for word, file in files.items() if Path(file).is_file()}

    def encode(self, wav: Audio, rate: int) -> bytes:
        suffixes = (".wav", self._suffix)
        return through_files(to_wav(wav, rate, self.subtype), suffixes, lambda *files: _filled(self._encoder, *files))

    def decode(self, data: bytes) -> tuple[Audio, int]:
        suffixes = (self._suffix, ".wav")
        return from_wav(through_files(data, suffixes, lambda *files: _filled(self._decoder, *files)))

    def fit(self, decoded: Audio, samples: int) -> Audio:
        return end_at(decoded[self.delay :], samples, SLACK)


def _words(title: str, command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CodecError(f"{title}: {command!r} is no command line: {error}") from error
    if {place for place, _ in PLACE.findall(command)} != {"in", "out"}:
        raise CodecError(f"{title}: {command!r} must name both files, {{in}} and {{out}}")
    return words


def _filled(words: Sequence[str], source: Path, target: Path) -> list[str]:
    files = {"in": str(source), "out": str(target)}
    return [PLACE.sub(lambda place: files[place[1]], word) for word in words]
