"""Other people's programs as parts of a codec."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from eval.errors import CodecError, Unavailable


def program(name: str, package: str) -> str:
    """The path of a program, or Unavailable with the Debian package that brings it."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed: apt-get install {package}")
    return found


def run(command: Sequence[str], data: bytes = b"", seconds: float = 120.0) -> bytes:
    """What a program writes to its standard output, given `data`; CodecError when it fails or hangs."""
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise CodecError(f"{command[0]} was stopped after {seconds:g} s") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise CodecError(
            f"{command[0]} failed with status {done.returncode}: {said[-1] if said else 'no message'}"
        )
    return done.stdout
