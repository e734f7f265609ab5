"""Other people's programs as parts of a codec."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from eval.audio import Audio
from eval.errors import CodecError, Unavailable


def program(name: str, package: str) -> str:
    """The path of a program, or Unavailable with the Debian package that brings it."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed: apt-get install {package}")
    return found


def run(command: Sequence[str], data: bytes = b"", seconds: float = 120.0) -> bytes:
    """What a program writes to its standard output, given `data`; CodecError when it fails or hangs."""
    pipe = subprocess.PIPE
    try:
        running = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise CodecError(f"{command[0]} cannot be started: {error}") from error
    try:
        output, messages = running.communicate(data, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        running.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.communicate(timeout=1)  # not for ever: a program that it started may hold the pipes open
        raise CodecError(f"{command[0]} was stopped after {seconds:g} s") from error
    if running.returncode != 0:
        said = messages.decode(errors="replace").strip().splitlines()
        raise CodecError(
            f"{command[0]} failed with status {running.returncode}: {said[-1] if said else 'no message'}"
        )
    return output


def through_files(data: bytes, suffixes: tuple[str, str], command: Callable[[Path, Path], Sequence[str]]) -> bytes:
    """What a program makes of a file: `command(source, target)` is run on files with these two suffixes."""
    with tempfile.TemporaryDirectory(prefix="eval-codec-") as folder:
        source, target = (Path(folder) / f"{stem}{suffix}" for stem, suffix in zip("ab", suffixes, strict=True))
        source.write_bytes(data)
        words = command(source, target)
        run(words)
        try:
            return target.read_bytes()
        except OSError as error:
            raise CodecError(f"{words[0]} wrote no file") from error


def to_wav(wav: Audio, rate: int, subtype: str = "FLOAT") -> bytes:
    """A sound [n, ch] as the bytes of a WAV file, "FLOAT", "PCM_24" or "PCM_16"."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, wav, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def from_wav(data: bytes) -> tuple[Audio, int]:
    """The sound [n, ch] in the bytes of a WAV file, and its rate; CodecError for other bytes."""
    import soundfile

    try:
        wav, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise CodecError(f"what came out is no WAV file: {error}") from error
    return wav, rate


def digest(path: str) -> str:
    """A hash of a program's file: what stands in for a version where a program tells none."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
