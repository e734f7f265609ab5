"""What can go wrong in a measurement, as one tree of exceptions."""

from __future__ import annotations


class EvalError(Exception):
    """Anything that the measurement suite refuses or cannot do."""


class CorpusError(EvalError):
    """A clip, folder or manifest that cannot be used; the message names the file."""


class MetricError(EvalError, ValueError):
    """Two sounds that cannot be compared: other shapes, other lengths, or samples that are not finite."""


class CodecError(EvalError):
    """A codec that failed on a sound."""


class Unavailable(EvalError):
    """A codec of unknown name, or a program or package that is missing; the message says what to do."""
