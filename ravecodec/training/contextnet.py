"""The context network that predicts the integers (bitstream/SPEC.md, 7) in floats, and its conversion to integers.

Its floats stand on the integers' grid: weights are rounded in the forward pass and their gradients pass the rounding
(a straight-through estimator), so that what is stored behaves as what was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitstream.context import (
    ACROSS_SIZE,
    AROUND_SIZE,
    BESIDE_SIZE,
    CLASS_BITS,
    HIDDEN_MAX,
    STATE_SIZE,
    VALUE_BITS,
    VALUE_MAX,
    Context,
    features,
)
from bitstream.order import EXISTS, MARGIN, order

WEIGHT, OUT, STRAIGHT, STATE = 128, 64, 256, 32  # units of the stored weights, one over
FINEST = -6.5  # log2 of the scale, in integers, of the bank's first class
CLASSES = 104  # eighths of an octave from there; of what is switched on as many more, the finest last
LEAST = 0.015  # of a scale in training: with less, no tail would reach the next integer


def _round(x: Tensor) -> Tensor:
    return x + (torch.floor(x + 0.5) - x).detach()


def _on_grid(weight: Tensor, unit: int, low: int, high: int) -> Tensor:
    return _round((weight * unit).clamp(low, high)) / unit


class ContextNet(nn.Module):
    """The network over N components, in floats; `size` [N] is each component's standard deviation at q = 0.

    `switches` [N] (None: there are none) say which lower component has to be above zero for one to be coded, -1 for
    none. What is switched on has rows of its own: it is mostly where it is expected and sometimes far from it, as the
    pitch of a melody is.
    """

    size: Tensor
    table: Tensor
    later: Tensor
    switches: Tensor
    switched: Tensor

    def __init__(self, size: np.ndarray, hidden: int, seed: int, switches: np.ndarray | None = None) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(seed)
        parts = len(size)
        self.register_buffer("size", torch.tensor(size, dtype=torch.float32))
        self.register_buffer("table", torch.tensor(features(), dtype=torch.float32) / 16)
        self.register_buffer("later", torch.triu(torch.ones(parts, parts), 1)[:, None])
        ruled = torch.tensor(np.full(parts, -1) if switches is None else switches)
        self.register_buffer("switches", ruled)
        self.register_buffer("switched", ruled >= 0)

        def normal(*shape: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=dice) * scale)

        self.feed = normal(parts, AROUND_SIZE, hidden, scale=0.05)
        self.straight = nn.Parameter(torch.zeros(parts, AROUND_SIZE, parts))
        self.beside = normal(parts, BESIDE_SIZE, hidden, scale=0.1)
        self.across = normal(parts, ACROSS_SIZE, hidden, scale=0.1)
        self.state = normal(parts, STATE_SIZE, hidden, scale=0.1)
        self.out = normal(parts, hidden + BESIDE_SIZE + ACROSS_SIZE, 2, scale=0.02)
        self.base = nn.Parameter(torch.zeros(parts, 2))
        self.shape = nn.Parameter(torch.full((2, 2), 0.5))  # of components that nothing switches, and of others

    @torch.no_grad()
    def begin_from(self, context: Context, steps: Sequence[int], places: np.ndarray) -> None:
        """Take over what a stored network for these steps knows; `places` [N] are its components', -1 for none.

        ValueError if it has another number of hidden units.
        """
        context = turned(context, context.switches >= 0)
        hidden = self.feed.shape[2]
        if context.feed.shape[2] != hidden:
            raise ValueError(f"the network to go on from has {context.feed.shape[2]} hidden units, not {hidden}")
        mine = np.flatnonzero(places >= 0)
        old = places[mine]
        # Its inputs stay in its own units, as its weights are for these.
        unit = (16 << VALUE_BITS) / context.normal[:, old].clip(1) * 2 ** (np.asarray(steps)[:, None] / 8)
        self.size[mine] = torch.tensor(unit[unit.shape[0] // 2], dtype=torch.float32)
        known = {"feed": WEIGHT, "beside": WEIGHT, "across": WEIGHT, "state": STATE, "out": OUT, "base": 1 << 10}
        for name, scale in known.items():
            getattr(self, name)[mine] = torch.tensor(getattr(context, name)[old] / scale, dtype=torch.float32)
        straight = torch.tensor(context.straight[old][:, :, old] / STRAIGHT, dtype=torch.float32)
        self.straight[np.ix_(mine, np.arange(AROUND_SIZE), mine)] = straight

    def forward(self, codes: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Codes [B, channels, T, N] and steps [B] to mean and log2 scale [N, B, channels, T], in integers."""
        batch, channels, frames, parts = codes.shape
        unit = self.size / 2 ** (step[:, None] / 8)  # [B, N]
        coded = F.pad(self.on(codes), (MARGIN, MARGIN))[..., None]
        known = self._features(codes, unit) * coded  # [N, B, channels, T + margins, 3]
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
        """Bits [N, B, channels, T] of codes as they are predicted from one another."""
        return self.price(codes, *self(codes, step)) * self.on(codes)

    def on(self, codes: Tensor) -> Tensor:
        """Which of codes [B, channels, T, N] are coded, as [N, B, channels, T]; a second channel goes by the first."""
        found = torch.ones_like(codes, dtype=torch.bool)
        ruled = self.switched.nonzero()[:, 0]
        found[..., ruled] = codes[:, :1, :, self.switches[ruled]] > 0
        return found.permute(3, 0, 1, 2)

    def price(self, codes: Tensor, mean: Tensor, level: Tensor) -> Tensor:
        """Bits [N, B, channels, T] of codes under two logistic distributions of one mean, one wider than the other."""
        # Not clipped: what lies below is to go on saying how sure it is.
        scale = torch.sqrt((0.55 * torch.exp2(level)).square() + LEAST**2).clamp(max=1e4)
        distance = (codes.permute(3, 0, 1, 2) - mean).abs()
        shape = self.shape[self.switched.long()][..., None, None, None]
        share, wide = torch.sigmoid(shape[:, 0]), 1 + torch.exp(shape[:, 1])

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


def to_integers(net: ContextNet, components: np.ndarray, steps: list[int], bank: np.ndarray) -> Context:
    """The stored form of a trained network for these components [N] of a model and these steps."""
    unit = net.size.numpy().astype(np.float64) / 2 ** (np.array(steps)[:, None] / 8)

    def whole(values: np.ndarray | Tensor, scale: float, limit: int) -> np.ndarray:
        array = values.detach().numpy() if isinstance(values, Tensor) else values
        found: np.ndarray = np.floor(array.astype(np.float64) * scale + 0.5).clip(-limit, limit).astype(np.int64)
        return found

    plain = Context(
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
        switch=net.switches.numpy(),
    )
    return turned(plain, net.switched.numpy())


def turned(context: Context, which: np.ndarray) -> Context:
    """A network of which some components [N] count the bank's classes from its other end: their scale is negated.

    So two kinds of components share a bank, each with as much of it as it needs, and nothing in the format tells.
    """
    out, base, straight, level = (np.array(a) for a in (context.out, context.base, context.straight, context.level))
    out[which, :, 1] *= -1
    base[which, 1] *= -1
    straight[:, 1::2, which] *= -1
    level[:, which] = (len(context.bank) - 1 << CLASS_BITS) - level[:, which]
    return replace(context, out=out, base=base, straight=straight, level=level)
