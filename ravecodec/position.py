"""Places in a sound, as a user gives them: seconds, minutes and seconds, or samples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_CLOCK = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d*)?|\.\d+)s?")
_SAMPLES = re.compile(r"(\d+)\s*samples?")


@dataclass(frozen=True)
class Position:
    """A place in a sound: seconds from its beginning, or samples at whatever rate it is read."""

    seconds: Fraction | None = None
    samples: int | None = None

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read "12.5", "1:02.5", "1:02:03" or "48000samples"; ValueError for anything else."""
        text = text.strip()
        if match := _SAMPLES.fullmatch(text):
            return cls(samples=int(match[1]))
        match = _CLOCK.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is no time: give seconds, mm:ss or 48000samples")
        hours, minutes, seconds = match.groups()
        if minutes is not None and Fraction(seconds) >= 60:
            raise ValueError(f"{text!r} is no time: more than 59 seconds follow the minutes")
        return cls(seconds=3600 * int(hours or 0) + 60 * int(minutes or 0) + Fraction(seconds))

    def at(self, rate: int) -> int:
        """The nearest sample at a rate in Hz."""
        if self.samples is not None:
            return self.samples
        assert self.seconds is not None
        return round(self.seconds * rate)


def as_position(value: float | Position) -> Position:
    """A place given as seconds or as a Position."""
    return value if isinstance(value, Position) else Position(seconds=Fraction(value))
