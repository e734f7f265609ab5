"""The errors ravecodec raises for what a user can put right; those of the format are `bitstream.RvcError`."""

from __future__ import annotations

import os

PathLike = str | os.PathLike[str]


class RaveCodecError(Exception):
    """What went wrong, with which file, and what to do about it; `str()` gives one line.

    Args:
        what: the fault in a few words, e.g. "holds no samples".
        file: the file it concerns, if there is one.
        advice: what the user can do, if that is known.
    """

    def __init__(self, what: str, *, file: PathLike | None = None, advice: str | None = None) -> None:
        super().__init__(what, file, advice)  # all three in args: workers send errors back pickled
        self.what = what
        self.file = os.fspath(file) if file is not None else None
        self.advice = advice

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.file, self.advice)

    def __str__(self) -> str:
        text = f"{self.file}: {self.what}" if self.file is not None else self.what
        return f"{text}; {self.advice}" if self.advice else text


def _rebuild(kind: type[RaveCodecError], what: str, file: str | None, advice: str | None) -> RaveCodecError:
    return kind(what, file=file, advice=advice)


class AudioError(RaveCodecError):
    """Sound that cannot be read or coded: missing, damaged, empty, not finite, or outside the limits."""


class OutputError(RaveCodecError):
    """A destination that cannot be written: it exists, the folder is read-only, the disk is full."""


class UsageError(RaveCodecError):
    """A request that contradicts itself or names something that does not exist."""


class Unavailable(RaveCodecError):
    """Something that needs a package, or a part of one, that is not installed."""


def one_line(error: BaseException, file: PathLike | None = None) -> str:
    """Say an error in one line that names the file, as the command line prints it.

    Args:
        error: any exception; only its message is used.
        file: named at the front unless the error names its own.
    """
    if isinstance(error, OSError) and error.strerror:
        file = error.filename if isinstance(error.filename, str) else file
        text = error.strerror
    else:
        text = str(error) or type(error).__name__
        if isinstance(error, RaveCodecError) and error.file is not None:
            file = None
    text = " ".join(text.split())
    if file is not None and not text.startswith(os.fspath(file)):
        text = f"{os.fspath(file)}: {text}"
    return text
