"""Entropy tables with a context network (bitstream/SPEC.md, 7): its training, and the rows that it chooses from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bitstream import Tables
from bitstream.context import Context
from bitstream.fit import fit_bank
from bitstream.optimise import REACH, USUAL_WEIGHT
from bitstream.predict import INPUT_MAX
from bitstream.tables import CHOSEN, Row

from ..quantiser import raised
from ..stereo import parted
from .contextnet import CLASSES, FINEST, ContextNet, to_integers

FRAMES = 64  # of a packet to train on
SHARED = 4  # classes that have one row, of what is switched on: there is little of it, and room is scarce
LIVELY_STEP, LIVELY = -8, 0.002  # a component that differs from zero more often than this at this step can be predicted
BANK_STEPS = 8  # so many steps are looked at for the bank's rows
GOING_ON = 0.4  # of the usual learning rate, for a network that knows something already
RARE = 1e-3  # share of a component's values that may lie beyond the largest that the network is told


@dataclass(frozen=True)
class ContextOptions:
    """Size of the network and length of its training: at most `updates`, at most `passes` over the sound.

    Only the `components` that differ from zero most often are predicted, which bounds the size of what is stored.
    """

    hidden: int = 48
    components: int = 128
    updates: int = 10000
    passes: int = 80
    batch: int = 16  # packets
    rate: float = 4e-3
    seed: int = 0


@dataclass(frozen=True)
class Beginning:
    """Tables whose network another goes on from; `numbers` [D] are the components' numbers there, -1 for new ones."""

    tables: Tables
    numbers: np.ndarray

    @property
    def context(self) -> Context:
        """The stored network; ValueError if the tables have none."""
        if self.tables.context is None:
            raise ValueError("tables without a network are nothing to go on from")
        return self.tables.context

    def places(self, lively: np.ndarray) -> np.ndarray:
        """Where in that network some components stand; -1 for those that it does not predict."""
        found = {int(c): n for n, c in enumerate(self.context.components)}
        return np.array([found.get(int(number), -1) for number in self.numbers[lively]])


def train_network(
    parts: list[np.ndarray],
    steps: list[int],
    options: ContextOptions,
    tops: np.ndarray,
    beginning: tuple[Beginning, np.ndarray] | None = None,
    switches: np.ndarray | None = None,
) -> ContextNet:
    """A network for latents, each part [channels, frames, N] in units of the step at q = 0, at any of these steps.

    `tops` and `switches` [N] are as for `fit_tables`. It goes on from a beginning, of which it has these components
    [N].
    """
    everything = np.concatenate([p.reshape(-1, p.shape[-1]) for p in parts])
    updates = max(20, min(options.updates, options.passes * len(everything) // (options.batch * FRAMES)))
    # What is spread evenly is told more finely: as finely as leaves nearly all of it inside the network's range.
    size = np.minimum(everything.std(0), np.quantile(np.abs(everything), 1 - RARE, axis=0) * 16 / INPUT_MAX)
    net, rate = ContextNet(size + 0.05, options.hidden, options.seed, switches), options.rate
    if beginning is not None:
        start, lively = beginning
        net.begin_from(start.context, start.tables.steps.tolist(), start.places(lively))
        rate *= GOING_ON
    dice = np.random.default_rng(options.seed)
    learner = torch.optim.Adam(net.parameters(), rate)
    pace = torch.optim.lr_scheduler.OneCycleLR(learner, rate, total_steps=updates, pct_start=0.1)
    for exact, step in _batches(parts, steps, tops, updates, options.batch, dice):
        loss = net.bits(_chosen(net, exact, step), step).mean()
        learner.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        learner.step()
        pace.step()
    return net.eval()


def _batches(
    parts: list[np.ndarray], steps: list[int], tops: np.ndarray, updates: int, packets: int, dice: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Random packets of one length and one number of channels in random steps, as `_in_steps` gives them."""
    share = np.array([p.shape[0] * p.shape[1] for p in parts], dtype=np.float64)
    longest = min(FRAMES, *(p.shape[1] for p in parts))
    for number in range(updates):
        part = parts[int(dice.choice(len(parts), p=share / share.sum()))]
        # Seven in eight packets are full ones; the others teach what an edge is, and packets of live use.
        length = longest if number % 8 else min(longest, int(dice.choice([1, 2, 4, 8, 16, 32])))
        count = max(1, packets * FRAMES // (len(part) * length)) if length > 8 else packets * 4
        starts = dice.integers(part.shape[1] - length + 1, size=count)
        batch = np.stack([part[:, s : s + length] for s in starts])
        yield _in_steps(batch, dice.choice(steps, size=count), tops)


@torch.no_grad()
def fit_tables(
    parts: list[np.ndarray],
    steps: list[int],
    options: ContextOptions | None = None,
    more: Sequence[np.ndarray] = (),
    beginning: Beginning | None = None,
    tops: np.ndarray | None = None,
    switches: np.ndarray | None = None,
) -> Tables:
    """Entropy tables with a context network for latents [channels, frames, D] in units of the step at q = 0.

    Where there are two channels they are coded jointly: as their middle and half of their difference.
    Components that are nearly always zero keep a fixed row for each step. The network learns from `more` latents too;
    how sure it may be of its predictions is counted on `parts` alone. It may go on from a `beginning`. What is at its
    top is sent as the integer above: `tops` [D], infinity for what has none (None: nothing has). `switches` [D] say
    which lower component has to be above zero for one to be coded, -1 for none. Deterministic for a seed and one number
    of threads.
    """
    options = options or ContextOptions()
    flat = np.concatenate([p.reshape(-1, p.shape[-1]) for p in parts])
    activity = (np.abs(flat) > 0.5 * 2 ** (LIVELY_STEP / 8)).mean(0)
    liveliest = np.sort(np.argsort(-activity, kind="stable")[: options.components])
    lively = liveliest[activity[liveliest] > LIVELY]
    static = Tables.fit(_Quantised(flat, steps))
    if not len(lively) or len(flat) < FRAMES:
        return static

    def joined(some: Sequence[np.ndarray]) -> list[np.ndarray]:
        # One after another: most of speech comes in excerpts that are shorter than a packet.
        return [
            np.concatenate([p[..., lively] for p in some if len(p) == channels], 1)
            for channels in sorted({len(p) for p in some})
        ]

    used = joined(parts)
    tops = np.full(len(lively), np.inf) if tops is None else tops[lively]
    ruled = _among(switches, lively)
    with torch.enable_grad():
        start = None if beginning is None else (beginning, lively)
        net = train_network(joined([*parts, *more]) if more else used, steps, options, tops, start, ruled)
    met = np.concatenate([_meet(net, used, step, tops) for step in steps[:: max(1, len(steps) // BANK_STEPS)]])
    rows = fit_bank(met[met[:, 3] == 0, :3], FINEST)
    switched = met[met[:, 3] == 1, :3]
    if len(switched):
        switched[:, 0] -= switched[:, 0] % SHARED
        lines = fit_bank(switched, FINEST)
        rows += [lines[number - number % SHARED] for number in range(len(lines))][::-1]
    quiet = [c for c in range(flat.shape[1]) if c not in set(lively.tolist())]
    numbers: dict[Row, int] = {}
    row_of = np.full((len(steps), flat.shape[1]), CHOSEN)
    for place, step in enumerate(steps):
        for component in quiet:
            low, counts = static.row(int(static.rows(step, flat.shape[1])[component]))
            row_of[place, component] = numbers.setdefault((low, tuple(counts.tolist())), len(numbers))
    bank = np.array([[numbers.setdefault((low, tuple(counts)), len(numbers)) for low, counts in line] for line in rows])
    return Tables(
        steps, row_of, [low for low, _ in numbers], [len(counts) for _, counts in numbers],
        [count for _, counts in numbers for count in counts], to_integers(net, lively, steps, bank),
    )  # fmt: skip


def _among(switches: np.ndarray | None, lively: np.ndarray) -> np.ndarray:
    """Switches of some components, as numbers among these; one that comes later switches nothing."""
    if switches is None:
        return np.full(len(lively), -1)
    place = {int(c): n for n, c in enumerate(lively)}
    found = np.array([place.get(int(switch), -1) for switch in switches[lively]])
    return np.where(found < np.arange(len(lively)), found, -1)


def _in_steps(packets: np.ndarray, steps: np.ndarray, tops: np.ndarray) -> tuple[Tensor, Tensor]:
    """What is rounded of packets [B, channels, T, N] at steps [B], two channels jointly; and these steps."""
    size = 2 ** (steps.astype(np.float64) / 8)[:, None, None, None]
    exact = raised(packets / size, tops / size)
    if exact.shape[1] == 2:
        exact = parted(exact.swapaxes(0, 1)).swapaxes(0, 1)
    return torch.from_numpy(exact.astype(np.float32)), torch.from_numpy(steps.astype(np.float32))


@torch.no_grad()
def _chosen(net: ContextNet, exact: Tensor, step: Tensor) -> Tensor:
    """The integers of what is rounded, as an encoder with this network chooses them (bitstream.optimise)."""
    nearest = exact.round()
    beyond = exact - nearest
    other = nearest + torch.where(beyond < 0, -1.0, 1.0)
    predicted = net(_switched(net, nearest), step)
    saved = (net.price(nearest, *predicted) - net.price(other, *predicted)).permute(1, 2, 3, 0)
    pays = (USUAL_WEIGHT * saved > 1 - 2 * beyond.abs()) & (beyond.abs() >= 1 - REACH)
    return _switched(net, torch.where(pays, other, nearest))


def _switched(net: ContextNet, codes: Tensor) -> Tensor:
    """Codes [B, channels, T, N] in which what is switched off is zero."""
    return codes * net.on(codes).permute(1, 2, 3, 0)


def _meet(net: ContextNet, parts: list[np.ndarray], step: int, tops: np.ndarray) -> np.ndarray:
    """Class, eighth, integer less whole mean, and whether it is switched [n, 4] of everything at a step."""
    met = []
    for group in _packets(parts).values():
        for first in range(0, len(group), 32):
            batch = np.stack(group[first : first + 32])
            exact, steps = _in_steps(batch, np.full(len(batch), step), tops)
            codes = _chosen(net, exact, steps)
            mean, level = net(codes, steps)
            eighths = torch.floor(mean * 8 + 0.5).long()
            number = torch.floor((level - FINEST) * 8 + 0.5).long().clamp(0, CLASSES - 1)
            offset = codes.permute(3, 0, 1, 2).long() - (eighths >> 3)
            switched = net.switched.long()[:, None, None, None].expand_as(number)
            found = torch.stack([number, eighths & 7, offset, switched], -1)[net.on(codes)]
            met.append(found.to(torch.int32).numpy())
    return np.concatenate(met)


def _packets(parts: list[np.ndarray]) -> dict[tuple[int, ...], list[np.ndarray]]:
    """All packets of the parts, by shape."""
    found: dict[tuple[int, ...], list[np.ndarray]] = {}
    for part in parts:
        for first in range(0, part.shape[1], FRAMES):
            packet = part[:, first : first + FRAMES]
            found.setdefault(packet.shape, []).append(packet)
    return found


class _Quantised(Mapping[int, np.ndarray]):
    """Integers of latents at every step, made when asked for: all at once would be many copies of the data."""

    def __init__(self, latents: np.ndarray, steps: list[int]) -> None:
        self._latents, self._steps = latents, steps

    def __getitem__(self, q: int) -> np.ndarray:
        codes: np.ndarray = np.rint(self._latents / 2 ** (q / 8)).astype(np.int32)
        return codes

    def __iter__(self) -> Iterator[int]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)
