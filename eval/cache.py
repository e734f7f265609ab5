"""Results kept between runs: one JSON line for each clip at each operating point, found again by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.measure import Measurement

VERSION = 1
"""Stands in every key: raise it when `Measurement` or the work unit changes its meaning."""


def key(sound: str, codec: str, settings: Mapping[str, Any], identity: Mapping[str, str]) -> str:
    """A result's name: a hash over the sound's content, the codec, its settings and what else decides it."""
    content = json.dumps([VERSION, sound, codec, dict(settings), dict(identity)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, so that a result follows the sound and not its name."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Cache:
    """A file of JSON lines {"key", "measurement"}; a later line of the same key replaces an earlier one.

    Every result is appended as soon as it exists, so a sweep that is killed loses what it was just doing. The
    last line of a killed run may be cut short; lines that cannot be read are passed over. Failures are not
    kept: they are tried again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Measurement] = {}
        if path.is_file():
            for line in path.read_bytes().splitlines():
                try:
                    entry = json.loads(line)
                    self._known[entry["key"]] = Measurement.from_json(entry["measurement"])
                except (ValueError, KeyError, TypeError):
                    continue

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: str) -> Measurement | None:
        """The result of this key, or None."""
        return self._known.get(name)

    def put(self, name: str, measurement: Measurement) -> None:
        """Keeps a result; one with an error is only passed over."""
        if measurement.error is not None:
            return
        self._known[name] = measurement
        line = json.dumps({"key": name, "measurement": measurement.to_json()}, allow_nan=False)
        with self.path.open("ab") as stream:
            # After a cut last line, a new one must not be glued to it.
            torn = stream.tell() > 0 and not _ends_with_newline(self.path)
            stream.write((b"\n" if torn else b"") + line.encode() + b"\n")


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) == b"\n"
