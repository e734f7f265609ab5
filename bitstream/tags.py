"""Tags of a file, changed without touching a packet."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import BinaryIO

from .header import Header


def retag(source: BinaryIO, out: BinaryIO, tags: Mapping[str, str]) -> Header:
    """Copy a file with these tags instead of its own; the header written. All else stays, byte for byte.

    FormatError if the source's header is not sound, or the tags make it larger than its bound.
    """
    header = replace(Header.parse(source), tags=dict(tags))
    out.write(header.to_bytes())
    shutil.copyfileobj(source, out)
    return header
