"""The typed errors of the format: whatever bytes are fed in, only these come out of reading."""

from __future__ import annotations


class RvcError(Exception):
    """Something is wrong with an .rvc file, or with the model or tables it needs."""


class FormatError(RvcError):
    """The bytes are not an .rvc file, or its header is damaged or impossible."""


class UnsupportedError(FormatError):
    """The file is of a newer version, or holds a critical field that this reader does not know."""


class CorruptError(RvcError):
    """Packets are damaged or missing, or the decoded integers do not have the hash the file names."""


class ModelError(RvcError):
    """The model or the tables are missing, damaged, or not those the file names.

    `name` is the model's name where known; `expected` and `found` are hashes in hexadecimal.
    """

    def __init__(self, message: str, *, name: str = "", expected: str = "", found: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.expected = expected
        self.found = found
