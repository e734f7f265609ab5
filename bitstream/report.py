"""What a reader found on its way through a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import CorruptError

MAX_SPANS = 1000


@dataclass
class Report:
    """Grows while packets are read. Until the end has been reached (`finished`), absence of damage proves
    nothing.

    `hash_ok` is None when nothing can be said: only a part was read, packets are lost, or no end record
    was found.
    """

    finished: bool = False  # the last packet has been handed out
    whole: bool = True  # all packets were asked for, not a span of them
    complete: bool = False  # the end record was found, or the span asked for ended before: nothing is cut short
    unhashed: bool = False  # the end record names no hash: the file was repaired, or thinned with packets missing
    hash_ok: bool | None = None  # all integers are those that were written
    packets: int = 0  # handed out, lost ones included
    frames: int = 0  # likewise
    lost: int = 0  # packets missing or damaged
    lost_frames: int = 0
    lost_spans: list[tuple[int, int]] = field(default_factory=list)  # (first index, packets), the first 1000
    undecodable: int = 0  # of the lost: CRC right, payload impossible
    duplicates: int = 0  # packets met again, or after they were given up as lost; dropped
    reordered: int = 0  # packets that came late and were put in their place
    foreign: int = 0  # packets whose index cannot belong here; dropped
    skipped_bytes: int = 0  # bytes that belong to no whole packet of this file
    trailing_bytes: int = 0  # bytes after the end record
    samples: int | None = None  # per channel at the source rate, from header or end record

    @property
    def sound(self) -> bool:
        """Everything asked for was read and nothing is wrong; a whole file is decoded for it, not only walked over."""
        if self.whole and not self.hash_ok:
            return False
        return self.finished and not self.problems()

    @property
    def exact(self) -> bool:
        """Every integer was read and the hash proves it."""
        return self.hash_ok is True and not self.lost

    def problems(self) -> list[str]:
        """What is wrong, in words, one line each; empty for a file that is as it was written."""
        counted = (
            (self.lost, "packet(s) lost"),
            (self.undecodable, "packet(s) of them impossible to decode"),
            (self.duplicates, "packet(s) repeated or too late"),
            (self.reordered, "packet(s) out of order"),
            (self.foreign, "packet(s) with an impossible index"),
            (self.skipped_bytes, "byte(s) that belong to no packet"),
            (self.trailing_bytes, "byte(s) after the end"),
        )
        found = [f"{count} {what}" for count, what in counted if count]
        if self.finished and not self.complete:
            found.append("the file is cut short: its end record is missing")
        if self.unhashed and not self.lost:
            found.append("the file names no hash of its integers")
        if self.hash_ok is False:
            found.append("the integers do not have the hash the file names")
        return found

    def raise_if_damaged(self) -> None:
        """CorruptError that names every problem, if there is any."""
        problems = self.problems()
        if problems:
            raise CorruptError("; ".join(problems))

    def note_lost(self, index: int, frames: int) -> None:
        """Count a lost packet."""
        self.lost += 1
        self.lost_frames += frames
        if self.lost_spans and sum(self.lost_spans[-1]) == index:
            first, count = self.lost_spans[-1]
            self.lost_spans[-1] = (first, count + 1)
        elif len(self.lost_spans) < MAX_SPANS:
            self.lost_spans.append((index, 1))
