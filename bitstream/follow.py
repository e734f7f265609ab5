"""A file that another process is still writing, read as it grows."""

from __future__ import annotations

import time
from typing import BinaryIO

POLL = 0.02  # seconds between two looks at a file that has nothing new


class Following:
    """Reads a growing file from front to back: at its end it waits for more.

    `read` gives nothing, as at the end of a file, only when `timeout` seconds have passed without a new byte; with
    None it waits for ever. A `Reader` over it ends at the end record, without waiting.
    """

    def __init__(self, file: BinaryIO, timeout: float | None = None) -> None:
        self._file = file
        self._timeout = timeout

    def read(self, size: int = -1) -> bytes:
        """At least a byte and at most `size`, or nothing after the timeout."""
        begun = time.monotonic()
        while True:
            data = self._file.read(size)
            if data or (self._timeout is not None and time.monotonic() - begun >= self._timeout):
                return data
            time.sleep(POLL)

    read1 = read

    def seekable(self) -> bool:
        """Never: what comes next is not known."""
        return False
