"""From posterior means to the integers of a file, at a given step, under a cap, or for a wanted size."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from bitstream import Header, Layout, Tables, Writer
from bitstream.content import batches
from bitstream.context import switched
from bitstream.escape import VALUE_MAX
from bitstream.header import MAX_SYMBOLS
from bitstream.optimise import optimise, optimise_coded

from .basis import Basis
from .errors import UsageError
from .rate import NullFile, Point, Spool, choose, first_fit
from .stereo import parted

NEAR = 0.1  # steps from an integer that are not worth a bit
SMALLEST = 16  # bytes that a packet of zeros fits into, whatever its index


class Quantiser:
    """Rotates means into components and rounds them; `weight` is the squared steps that a bit is worth (0: nothing).

    The layout says how channels are coded, `ceiling` [latents] above which value a latent says no more, `switches`
    [latents] without which other one it says nothing: what is only rounded is then zero, whether the tables ask or not.
    """

    def __init__(
        self,
        basis: Basis,
        tables: Tables,
        weight: float = 0.0,
        layout: Layout = Layout.DISCRETE,
        ceiling: np.ndarray | None = None,
        switches: np.ndarray | None = None,
    ) -> None:
        self.basis, self.tables, self.weight, self.layout = basis, tables, weight, layout
        self._tops = np.full(len(basis.mean), np.inf) if ceiling is None else basis.ceilings(ceiling)
        found = np.full(len(basis.mean), -1) if switches is None else basis.switches(switches)
        self._switched = np.flatnonzero((found >= 0) & (found < np.arange(len(found))))
        self._switches = found[self._switched]

    def rotated(self, latents: np.ndarray) -> np.ndarray:
        """Means [channels, latents, frames] to all components, float32 [channels, frames, latents]."""
        # All of them, however many are kept: what is kept must not depend, even in its last bit, on how many are.
        count = len(self.basis.mean)
        return np.stack([self.basis.rotate(z.astype(np.float64), count).T for z in latents]).astype(np.float32)

    def integers(self, values: Sequence[np.ndarray], step: int, components: int) -> list[np.ndarray]:
        """The first of packets' components [channels, frames, latents] as integers [channels, frames, components]."""
        parts = self._exact(values, step, components)
        return [codes for exact in parts for codes in optimise(exact, self.tables, step, self.weight, self._joint)]

    def coded(
        self, values: Sequence[np.ndarray], step: int, components: int
    ) -> tuple[list[np.ndarray], list[bytes]]:
        """As `integers`, and the payloads that they are coded to."""
        codes: list[np.ndarray] = []
        payloads: list[bytes] = []
        for exact in self._exact(values, step, components):
            found, packed = optimise_coded(exact, self.tables, step, self.weight, self._joint)
            codes += [*found]
            payloads += packed
        return codes, payloads

    @property
    def _joint(self) -> bool:
        return self.layout == Layout.JOINT

    def _exact(self, values: Sequence[np.ndarray], step: int, components: int) -> Iterator[np.ndarray]:
        """What is rounded [packets, channels, frames, components], of packets that are alike at once: all but the last
        are, and side by side they take less time.
        """
        steps = self.basis.steps(step)[:components].astype(np.float64)
        limit = VALUE_MAX // 2 if self._joint else VALUE_MAX
        for _, alike in groupby(values, np.shape):
            exact = (np.stack([part[..., :components] for part in alike], 1) / steps).clip(-limit, limit)
            exact = raised(exact, self._tops[:components] / steps)
            exact = (parted(exact) if self._joint else exact).swapaxes(0, 1)
            yield exact if self.weight else switched(exact, self._switched, self._switches, self._joint)

    def capped(self, values: np.ndarray, writer: Writer, room: int, hint: int) -> tuple[np.ndarray, int]:
        """Integers that a packet of at most `room` bytes can hold, and how much coarser their step is.

        `hint` is how much coarser it was in the packet before. UsageError for less room than any packet needs.
        """
        header = writer.header
        if room < SMALLEST:
            what = f"a packet of {values.shape[1]} frames would have to fit into {room} bytes"
            raise UsageError(what, advice="raise the cap, or put more frames into a packet")
        steps = [step for step in self.tables.steps.tolist() if step >= header.step]

        def at(step: int) -> np.ndarray:
            return self.integers([values], step, header.components)[0]

        def fits(codes: np.ndarray, step: int) -> bool:
            return writer.size_of(codes, step - header.step) <= room

        guess = next((place for place, step in enumerate(steps) if step >= header.step + hint), 0)
        step = steps[first_fit(lambda place: fits(at(steps[place]), steps[place]), len(steps), guess)]
        codes = at(step)
        if not fits(codes, step):  # the coarsest is not enough: the last components have to go
            kept = bisect_left(range(codes.shape[2]), True, key=lambda n: not fits(_first(codes, n + 1), step))
            codes = _first(codes, kept)
        return codes, step - header.step

    def fitted(self, parts: Spool, header: Header, kilobits: float, fixed: bool) -> Header:
        """The header at the operating point whose file is nearest to so many kilobits.

        `parts` are the components of all packets; their number changes only if it is not `fixed`.
        """

        def at(point: Point) -> Header:
            same = point.components == header.components
            fidelity = header.fidelity if same else None
            return replace(header, components=point.components, step=point.step, fidelity=fidelity)

        def size(point: Point) -> int:
            out = NullFile()
            writer = Writer(out, at(point), self.tables)  # type: ignore[arg-type]
            for group in batches(parts, header):
                codes, coded = self.coded(group, point.step, point.components)
                writer.write_all(codes, coded=coded)
            writer.close(samples=header.samples)
            return out.bytes

        most = min(len(self.basis.mean), MAX_SYMBOLS // (header.channels * header.frames_per_packet))
        target = kilobits * 1000 / 8
        return at(choose(size, target, self.tables.steps.tolist(), header.components, most, fixed))


def raised(exact: np.ndarray, tops: np.ndarray) -> np.ndarray:
    """Values in steps [..., components], but those at their top, which no step may reach, are the integer above it.

    That says as much as the top itself. Where the one below is so near that it says nearly as much, nothing is raised;
    nor is it where the top is infinite.
    """
    below = np.floor(tops)
    return np.where(exact > np.maximum((below + tops) / 2, below + NEAR), np.ceil(tops), exact)


def _first(codes: np.ndarray, components: int) -> np.ndarray:
    """The codes with all but the first components zero."""
    kept = codes.copy()
    kept[..., components:] = 0
    return kept
