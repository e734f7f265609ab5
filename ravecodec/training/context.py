"""Training of the context network that predicts the integers (bitstream/SPEC.md, 7), and its conversion to integers.

The network is trained in floats that stand on the integers' grid: weights are rounded in the forward pass and their
gradients pass the rounding (a straight-through estimator), so that what is stored behaves as what was trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitstream import Tables
from bitstream.context import (
    ACROSS_SIZE,
    AROUND_SIZE,
    BESIDE_SIZE,
    HIDDEN_MAX,
    STATE_SIZE,
    VALUE_BITS,
    VALUE_MAX,
    Context,
    features,
)
from bitstream.fit import fit_bank
from bitstream.order import EXISTS, MARGIN, order
from bitstream.predict import INPUT_MAX
from bitstream.tables import CHOSEN, Row

FRAMES = 64  # of a packet to train on
WEIGHT, OUT, STRAIGHT, STATE = 128, 64, 256, 32  # units of the stored weights, one over
CLASSES = 88
LIVELY_STEP, LIVELY = -8, 0.002  # a component that differs from zero more often than this at this step can be predicted
BANK_STEPS = 8  # so many steps are looked at for the bank's rows
RARE = 1e-3  # share of a component's values that may lie beyond the largest that the network is told
FINEST = -4.5  # log2 of the scale, in integers, of the bank's first class


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


def _round(x: Tensor) -> Tensor:
    return x + (torch.floor(x + 0.5) - x).detach()


def _on_grid(weight: Tensor, unit: int, low: int, high: int) -> Tensor:
    return _round((weight * unit).clamp(low, high)) / unit


class ContextNet(nn.Module):
    """The network over N components, in floats; `size` [N] is each component's standard deviation at q = 0."""

    size: Tensor
    table: Tensor
    later: Tensor

    def __init__(self, size: np.ndarray, hidden: int, seed: int) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(seed)
        parts = len(size)
        self.register_buffer("size", torch.tensor(size, dtype=torch.float32))
        self.register_buffer("table", torch.tensor(features(), dtype=torch.float32) / 16)
        self.register_buffer("later", torch.triu(torch.ones(parts, parts), 1)[:, None])

        def normal(*shape: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=dice) * scale)

        self.feed = normal(parts, AROUND_SIZE, hidden, scale=0.05)
        self.straight = nn.Parameter(torch.zeros(parts, AROUND_SIZE, parts))
        self.beside = normal(parts, BESIDE_SIZE, hidden, scale=0.1)
        self.across = normal(parts, ACROSS_SIZE, hidden, scale=0.1)
        self.state = normal(parts, STATE_SIZE, hidden, scale=0.1)
        self.out = normal(parts, hidden + BESIDE_SIZE + ACROSS_SIZE, 2, scale=0.02)
        self.base = nn.Parameter(torch.zeros(parts, 2))
        self.shape = nn.Parameter(torch.tensor([0.5, 0.5]))

    def forward(self, codes: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Codes [B, channels, T, N] and steps [B] to mean and log2 scale [N, B, channels, T], in integers."""
        batch, channels, frames, parts = codes.shape
        unit = self.size / 2 ** (step[:, None] / 8)  # [B, N]
        known = self._features(codes, unit)  # [N, B, channels, T + margins, 3]
        spread = order(frames)

        def at(rows: np.ndarray, what: Tensor) -> Tensor:
            return what[:, :, :, torch.tensor(rows)].flatten(4)

        beside = at(_by_frame(spread.beside, spread.frames), known)
        around = at(_by_frame(spread.around, spread.frames), known[..., :2])
        across = at(_by_frame(spread.across, spread.frames), known[..., :2])
        across = torch.cat([torch.zeros_like(across[:, :, :1]), across[:, :, :-1]], 2)
        about = torch.tensor(_by_frame(spread.about, spread.frames) / EXISTS, dtype=torch.float32)
        about = about.expand(parts, batch, channels, frames, -1).clone()
        about[:, :, 1:, :, -1] = 1
        state = torch.cat([about, (step / 8)[None, :, None, None, None].expand(parts, -1, channels, frames, 1)], -1)

        def grid(weight: Tensor) -> Tensor:
            return _on_grid(weight, WEIGHT, -127, 127)

        # What component n - 1 tells stands at n, so that the running sum holds the lower components.
        told = torch.cat([torch.zeros_like(around[:1]), around[:-1]]).flatten(1, 3)
        near = torch.cat([beside, across, state], -1).flatten(1, 3)
        close = torch.cat([grid(self.beside), grid(self.across), _on_grid(self.state, STATE, -127, 127)], 1)
        weights = _on_grid(self.out, OUT, -127, 127)
        hidden = self.feed.shape[2]
        out = _Hidden.apply(told, near, grid(self.feed).roll(1, 0), close, weights[:, :hidden])
        out = torch.baddbmm(out, near[:, :, :-STATE_SIZE], weights[:, hidden:])
        out = out.unflatten(1, (batch, channels, frames))
        straight = _on_grid(self.straight, STRAIGHT, -127, 127) * self.later
        lower = [
            around[..., kind::2].permute(1, 2, 3, 0, 4).flatten(3).flatten(0, 2) @ straight[:, kind::2].flatten(0, 1)
            for kind in (0, 1)
        ]
        out = out + torch.stack(lower, 2).view(batch, channels, frames, parts, 2).permute(3, 0, 1, 2, 4)
        out = out + self.base[:, None, None, None]
        unit = unit.T[:, :, None, None]
        return out[..., 0] * unit, out[..., 1] + torch.log2(unit)

    def _features(self, codes: Tensor, unit: Tensor) -> Tensor:
        """Value, magnitude and presence of each frame, with empty frames around."""
        place = torch.floor(codes * (16 / unit)[:, None, None] + 0.5).clamp(-VALUE_MAX, VALUE_MAX).long() + VALUE_MAX
        found = F.pad(self.table[place], (0, 1), value=EXISTS / 16)
        return F.pad(found.permute(3, 0, 1, 2, 4), (0, 0, MARGIN, MARGIN))

    def bits(self, codes: Tensor, step: Tensor) -> Tensor:
        """Bits [N, B, channels, T] of codes under two logistic distributions of one mean, one wider than the other."""
        mean, level = self(codes, step)
        scale = (0.55 * torch.exp2(level)).clamp(0.02, 1e4)
        distance = (codes.permute(3, 0, 1, 2) - mean).abs()
        share, wide = torch.sigmoid(self.shape[0]), 1 + torch.exp(self.shape[1])

        def below(x: Tensor) -> Tensor:
            return share * torch.sigmoid(x) + (1 - share) * torch.sigmoid(x / wide)

        inside = below((0.5 - distance) / scale) - below((-0.5 - distance) / scale)
        return -torch.log2(inside.clamp_min(1e-6))


class _Hidden(torch.autograd.Function):
    """The hidden units of one component after the other, and what they add to the outputs.

    told [N, M, a] is summed up over the components by its weights, near [N, M, b] counts for its own only. One
    function, so that the units of a component stay in the cache between their sum, their rounding and their use.
    """

    @staticmethod
    def forward(ctx: Any, told: Tensor, near: Tensor, feed: Tensor, close: Tensor, out: Tensor) -> Tensor:
        """Outputs [N, M, 2]."""
        parts, rows, _ = told.shape
        total = told.new_zeros(rows, feed.shape[2])
        hidden, found = told.new_empty(parts, *total.shape), told.new_empty(parts, rows, out.shape[2])
        for n in range(parts):
            total.addmm_(told[n], feed[n])
            unit = torch.addmm(total, near[n], close[n], out=hidden[n])
            unit.mul_(16).add_(0.5).floor_().clamp_(0, HIDDEN_MAX).mul_(1 / 16)
            torch.mm(unit, out[n], out=found[n])
        ctx.save_for_backward(told, near, feed, close, out, hidden)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """As if nothing was rounded."""
        told, near, feed, close, out, hidden = ctx.saved_tensors
        of_feed, of_close, of_out = torch.empty_like(feed), torch.empty_like(close), torch.empty_like(out)
        total = torch.zeros_like(hidden[0])
        for n in reversed(range(len(told))):
            torch.mm(hidden[n].T, gradient[n], out=of_out[n])
            unit = gradient[n] @ out[n].T
            unit.mul_((hidden[n] > 0) & (hidden[n] < HIDDEN_MAX / 16))
            torch.mm(near[n].T, unit, out=of_close[n])
            total.add_(unit)
            torch.mm(told[n].T, total, out=of_feed[n])
        return None, None, of_feed, of_close, of_out


def _by_frame(rows: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Rows in coding order put into the order of the frames."""
    out = np.empty_like(rows)
    out[frames] = rows
    return out


def train_network(parts: list[np.ndarray], steps: list[int], options: ContextOptions) -> ContextNet:
    """A network for latents, each part [channels, frames, N] in units of the step at q = 0, at any of these steps."""
    everything = np.concatenate([p.reshape(-1, p.shape[-1]) for p in parts])
    updates = max(20, min(options.updates, options.passes * len(everything) // (options.batch * FRAMES)))
    # What is spread evenly is told more finely: as finely as leaves nearly all of it inside the network's range.
    size = np.minimum(everything.std(0), np.quantile(np.abs(everything), 1 - RARE, axis=0) * 16 / INPUT_MAX)
    net = ContextNet(size + 0.05, options.hidden, options.seed)
    dice = np.random.default_rng(options.seed)
    learner = torch.optim.Adam(net.parameters(), options.rate)
    pace = torch.optim.lr_scheduler.OneCycleLR(learner, options.rate, total_steps=updates, pct_start=0.1)
    for codes, step in _batches(parts, steps, updates, options.batch, dice):
        loss = net.bits(codes, step).mean()
        learner.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        learner.step()
        pace.step()
    return net.eval()


def _batches(
    parts: list[np.ndarray], steps: list[int], updates: int, packets: int, dice: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Random packets of one length and one number of channels, quantised at random steps."""
    share = np.array([p.shape[0] * p.shape[1] for p in parts], dtype=np.float64)
    longest = min(FRAMES, *(p.shape[1] for p in parts))
    for number in range(updates):
        part = parts[int(dice.choice(len(parts), p=share / share.sum()))]
        # Seven in eight packets are full ones; the others teach what an edge is, and packets of live use.
        length = longest if number % 8 else min(longest, int(dice.choice([1, 2, 4, 8, 16, 32])))
        count = max(1, packets * FRAMES // (len(part) * length)) if length > 8 else packets * 4
        starts = dice.integers(part.shape[1] - length + 1, size=count)
        batch = np.stack([part[:, s : s + length] for s in starts])
        if len(part) > 1 and number % 3 == 0:
            # Staged sounds are of one kind: recordings have sides that follow their mid less.
            batch[:, 0] = np.roll(batch[:, 0], 1, 0)
        step = dice.choice(steps, size=count).astype(np.float64)
        codes = np.rint(batch / 2 ** (step / 8)[:, None, None, None])
        yield torch.from_numpy(codes.astype(np.float32)), torch.from_numpy(step.astype(np.float32))


def to_integers(net: ContextNet, components: np.ndarray, steps: list[int], bank: np.ndarray) -> Context:
    """The stored form of a trained network for these components [N] of a model and these steps."""
    unit = net.size.numpy().astype(np.float64) / 2 ** (np.array(steps)[:, None] / 8)

    def whole(values: np.ndarray | Tensor, scale: float, limit: int) -> np.ndarray:
        array = values.detach().numpy() if isinstance(values, Tensor) else values
        found: np.ndarray = np.floor(array.astype(np.float64) * scale + 0.5).clip(-limit, limit).astype(np.int64)
        return found

    return Context(
        components=np.asarray(components, dtype=np.int64),
        normal=whole(1 / unit, 16 << VALUE_BITS, 1 << 30),
        scale=whole(unit, 1 << 12, 1 << 24),
        level=whole(np.log2(unit) - FINEST, 1 << 10, 1 << 20),
        feed=whole(net.feed, WEIGHT, 127),
        straight=whole(net.straight * net.later, STRAIGHT, 127),
        beside=whole(net.beside, WEIGHT, 127),
        across=whole(net.across, WEIGHT, 127),
        state=whole(net.state, STATE, 127),
        out=whole(net.out, OUT, 127),
        base=whole(net.base, 1 << 10, 1 << 24),
        bank=bank,
    )


@torch.no_grad()
def fit_tables(
    parts: list[np.ndarray],
    steps: list[int],
    options: ContextOptions | None = None,
    more: Sequence[np.ndarray] = (),
) -> Tables:
    """Entropy tables with a context network for latents [channels, frames, D] in units of the step at q = 0.

    Components that are nearly always zero keep a fixed row for each step. The network learns from `more` latents too;
    how sure it may be of its predictions is counted on `parts` alone. Deterministic for a seed and one number of
    threads.
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
    with torch.enable_grad():
        net = train_network(joined([*parts, *more]) if more else used, steps, options)
    met = np.concatenate([_meet(net, used, step) for step in steps[:: max(1, len(steps) // BANK_STEPS)]])
    rows = fit_bank(met, FINEST)
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


def _meet(net: ContextNet, parts: list[np.ndarray], step: int) -> np.ndarray:
    """Class, eighth and integer less whole mean [n, 3] of everything at a step."""
    met = []
    for group in _packets(parts).values():
        for first in range(0, len(group), 32):
            codes = torch.from_numpy(np.rint(np.stack(group[first : first + 32]) / 2 ** (step / 8)).astype(np.float32))
            mean, level = net(codes, torch.full((len(codes),), float(step)))
            eighths = torch.floor(mean * 8 + 0.5).long()
            number = torch.floor((level - FINEST) * 8 + 0.5).long().clamp(0, CLASSES - 1)
            offset = codes.permute(3, 0, 1, 2).long() - (eighths >> 3)
            met.append(torch.stack([number, eighths & 7, offset], -1).reshape(-1, 3).to(torch.int32).numpy())
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
