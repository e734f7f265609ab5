"""Rate control: the operating point that gives a wanted bitrate or quality, without a second run of the network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UsageError

# Fidelity and step for the qualities 0 to 10, for models whose notes name no better ones: near the hulls of the
# shipped model's record (eval/results/default), all clips, Zimtohrli and log-mel.
QUALITIES = (
    (0.5, 16), (0.7, 16), (0.9, 16), (0.9, 10), (0.9, 4), (0.95, 1), (0.98, -2), (0.99, -5), (0.99, -8), (0.999, -12),
    (0.999, -16),
)  # fmt: skip
NEAR = 0.01  # of the target: near enough to stop looking
NEIGHBOURS = 3  # numbers of components tried where few are left
_IN_MEMORY = 128 << 20  # bytes of components that are kept there; more go to a temporary file


@dataclass(frozen=True)
class Point:
    """An operating point: how many components are kept, and the step they are quantised with."""

    components: int
    step: int


def quality_point(quality: float, notes: Mapping[str, Any], steps: Sequence[int]) -> tuple[float, int]:
    """Fidelity and step of a quality from 0 to 10: between the operating points that the model's notes name.

    `notes["points"]` is a list of {"fidelity": ..., "step": ...} from small to large files; models without one get
    `QUALITIES`. The step is the nearest of the model's. UsageError outside 0 to 10.
    """
    if not 0 <= quality <= 10:
        raise UsageError(f"the quality is 0 to 10, not {quality:g}")
    points = [(p["fidelity"], p["step"]) for p in notes.get("points", ())] or QUALITIES
    place = quality / 10 * (len(points) - 1)
    low = min(int(place), len(points) - 1)
    high = min(low + 1, len(points) - 1)
    fidelity, step = (a + (b - a) * (place - low) for a, b in zip(points[low], points[high], strict=True))
    return float(fidelity), min(steps, key=lambda known: (abs(known - step), known))


def choose(
    size_at: Callable[[Point], int], target: float, steps: Sequence[int], components: int, most: int, fixed: bool
) -> Point:
    """The operating point whose file is nearest to `target` bytes.

    First the step is bisected at `components`. The rest, and what lies beyond the steps, is made up by keeping fewer
    components or, up to `most`, more of them; not if their number is `fixed`.

    Args:
        size_at: bytes of the file at a point; it grows with the components and falls with the step.
        steps: of the model.
    """
    sizes: dict[Point, int] = {}

    def size(step: int, count: int) -> int:
        point = Point(count, step)
        if point not in sizes:
            sizes[point] = size_at(point)
        return sizes[point]

    def last(low: int, high: int, fits: Callable[[int], bool]) -> int:
        """The last number of low..high that fits, if they fit up to one of them; `low` if none does."""
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        return low

    coarse_first = sorted(steps, reverse=True)
    place = last(0, len(coarse_first) - 1, lambda at: size(coarse_first[at], components) <= target)
    if not fixed:
        step = coarse_first[place]
        if size(step, components) > target:  # too large even so
            few = last(1, components, lambda count: size(step, count) <= target)
            # Each of the few components is a large part of the file: fewer of them with a finer step may come nearer.
            for count in range(few, max(0, few - NEIGHBOURS), -1):
                last(0, len(coarse_first) - 1, lambda at: size(coarse_first[at], count) <= target)  # noqa: B023
                if min(abs(found - target) for found in sizes.values()) < NEAR * target:
                    break
        elif place == len(coarse_first) - 1:
            last(components, most, lambda count: size(step, count) <= target)
        else:
            last(1, components, lambda count: size(coarse_first[place + 1], count) <= target)
    return min(sizes, key=lambda point: (abs(sizes[point] - target), -point.components))


def first_fit(fits: Callable[[int], bool], count: int, hint: int = 0) -> int:
    """The first number below `count` that fits, `count` - 1 if none does; from it on all fit.

    Tries few of them if the answer is near `hint`, as it is from one packet to the next.
    """
    hint = min(hint, count - 1)
    jump = 1
    if fits(hint):
        low, high = 0, hint  # `high` fits
        while high > low:
            middle = max(low, high - jump)
            if not fits(middle):
                low = middle + 1
                break
            high, jump = middle, 2 * jump
    else:
        low, high = hint + 1, count - 1
        while low < high:
            middle = min(high, low + jump - 1)
            if fits(middle):
                high = middle
                break
            low, jump = middle + 1, 2 * jump
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return min(low, count - 1)


class Spool:
    """Rotated latents [channels, frames, components] float32, packet by packet, read as often as needed.

    Kept in memory up to 128 MiB (three hours of mono sound), then in a temporary file.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed by `close`)
        self._shapes: list[tuple[int, ...]] = []

    def append(self, values: np.ndarray) -> None:
        """Add the next packet."""
        self._shapes.append(values.shape)
        self._file.write(np.ascontiguousarray(values, np.float32).tobytes())

    def __iter__(self) -> Iterator[np.ndarray]:
        self._file.seek(0)
        for shape in self._shapes:
            data = self._file.read(4 * int(np.prod(shape)))
            yield np.frombuffer(data, np.float32).reshape(shape)

    def close(self) -> None:
        """Give up memory and file."""
        self._file.close()


class NullFile:
    """Takes bytes and only counts them."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes) -> int:
        """Count the bytes."""
        self.bytes += len(data)
        return len(data)
