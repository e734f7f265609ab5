"""Running the context network along packets: component by component, and in it channel by channel, level by level."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .context import (
    CLASS_BITS,
    FRACTIONS,
    HIDDEN_BITS,
    HIDDEN_MAX,
    MEAN_BITS,
    MEAN_MAX,
    STEP_UNIT,
    STRAIGHT_BITS,
    VALUE_BITS,
    VALUE_MAX,
    Context,
    features,
)
from .header import STEP_RANGE
from .order import EXISTS, MARGIN, order

FEATURES = np.pad(features(), ((0, 0), (0, 1)), constant_values=EXISTS)
INPUT_MAX = 127  # of values and magnitudes
STATE_MAX = max(EXISTS, STEP_UNIT * max(-STEP_RANGE[0], STEP_RANGE[1]))
UNIT, STRAIGHT_UNIT = 2.0**-HIDDEN_BITS, 2.0**-STRAIGHT_BITS
SHIFTS = 2.0 ** -np.array([MEAN_BITS, CLASS_BITS])
BLOCK = 8  # components that tell the ones after all of them together: fewer products, and larger ones
Floats = NDArray[np.floating[Any]]


class Weights:
    """A network's weights as floats: whole numbers, over a power of two where the network shifts their sums by it.

    All sums of their products are exact, so no order of summation changes one, and matrix products of floats are fast.
    Where no sum can reach 2**24 single precision holds them; else double does, as none can reach 2**53.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.kind = np.float32 if largest_sum(context) < 1 << 24 else np.float64
        self.features = FEATURES.astype(self.kind)
        hidden = self.hidden = context.feed.shape[2]
        near = context.beside.shape[1]
        by_neighbours, by_channel = context.out[:, hidden : hidden + near], context.out[:, hidden + near :]
        # What stands beside an integer goes to the hidden units and past them at once.
        self.beside = self._floats(np.concatenate([context.beside * UNIT, by_neighbours], 2))
        self.across = self._floats(np.concatenate([context.across * UNIT, by_channel], 2))
        self.state, self.base = self._floats(context.state * UNIT), self._floats(context.base)
        self.out = self._floats(np.pad(context.out[:, :hidden], ((0, 0), (0, 2), (0, 0))).swapaxes(1, 2))
        self.bank = context.bank.ravel()
        self.told = lru_cache(maxsize=8)(self._told)

    def _told(self, parts: int) -> tuple[Floats, Floats]:
        """What a component tells the mean and scale of the first `parts` [parts, 10, 2 parts]; and what it tells the
        hidden units, and mean and scale of those of its own block [parts, 10, H + 2 BLOCK].
        """
        context = self.context
        far = np.zeros((parts, context.feed.shape[1], 2 * parts), self.kind)
        far[:, 0::2, 0::2] = context.straight[:parts, 0::2, :parts] * STRAIGHT_UNIT
        far[:, 1::2, 1::2] = context.straight[:parts, 1::2, :parts] * STRAIGHT_UNIT
        near = np.zeros((*far.shape[:2], self.hidden + 2 * BLOCK), self.kind)
        near[..., : self.hidden] = context.feed[:parts] * UNIT
        for first in range(0, parts, BLOCK):
            block = far[first : first + BLOCK, :, 2 * first : 2 * (first + BLOCK)]
            near[first : first + BLOCK, :, self.hidden : self.hidden + block.shape[2]] = block
        return far, near

    def _floats(self, numbers: NDArray[Any]) -> Floats:
        return np.ascontiguousarray(numbers, dtype=self.kind)


def largest_sum(context: Context) -> int:
    """A bound on every sum that a network can come to, of any integers: products of weights and the largest inputs."""

    def most(weights: NDArray[np.int64], *axes: int) -> int:
        return int(np.abs(weights).sum(axes).max())

    hidden = context.out.shape[1] - context.beside.shape[1] - context.across.shape[1]
    beside, across = INPUT_MAX * most(context.beside, 1), INPUT_MAX * most(context.across, 1)
    units = INPUT_MAX * most(context.feed, 0, 1) + beside + across + STATE_MAX * most(context.state, 1)
    straight = INPUT_MAX * most(context.straight, 0, 1)
    out = HIDDEN_MAX * most(context.out[:, :hidden], 1) + INPUT_MAX * most(context.out[:, hidden:], 1)
    return max(units + (1 << HIDDEN_BITS), straight + (1 << STRAIGHT_BITS) + most(context.base) + out)


class Predictor:
    """Predicts the rows of packets of one shape, `packets` x `channels` x `frames` x `components`, at one step.

    Channels that are `linked` are predicted from the ones before.
    They know nothing of one another: side by side they only take less time. For each component in turn, and in it for
    each channel in turn: `open`, then `rows` and `put` level by level (or at once, if the integers are known), then
    `close`. Where a component is not `on` its integer is zero, is not coded, and tells nothing.
    """

    def __init__(
        self, weights: Weights, place: int, step: int, shape: tuple[int, int, int, int], linked: bool
    ) -> None:
        packets, channels, frames, components = shape
        context = weights.context
        self._net, self._place, self._linked = weights, place, linked
        self._number = {int(c): n for n, c in enumerate(context.components) if c < components}
        self._parts = len(self._number)
        self._order = order(frames)
        self._far, self._near = weights.told(self._parts)
        # What lower components have told each frame, in coding order: hidden units and the block at hand all that is
        # known, all components what whole blocks told; and what those of the block at hand hold.
        every = channels, packets, frames
        self._sums = np.zeros((*every, self._near.shape[2]), weights.kind)
        self._later = np.zeros((*every, self._far.shape[2]), weights.kind)
        self._block = np.zeros((*every, BLOCK, self._far.shape[1]), weights.kind)
        # Value, magnitude and presence of each frame of this channel and of the one before, empty frames around them.
        self._own, self._other = np.zeros((2, packets, frames + 2 * MARGIN, 3), weights.kind)
        about = np.hstack([self._order.about, np.full((frames, 1), float(STEP_UNIT * step))])
        self._state = about.astype(weights.kind)
        # Mean and scale are scaled, shifted and clipped at once, in double precision, which holds them.
        scale, level = context.scale[place], context.level[place] + (1 << CLASS_BITS - 1)
        self._scale = (np.stack([scale, np.ones_like(scale)], 1) * SHIFTS)[..., None]
        self._offset = (np.stack([np.full_like(level, 1 << MEAN_BITS - 1), level], 1) * SHIFTS)[..., None]
        # Of mean and class: two calls with bounds of both take less time than a clip of each.
        self._lowest, self._highest = np.array([[[-MEAN_MAX], [0]], [[MEAN_MAX], [len(context.bank) - 1]]], np.float64)
        self._at = (0, 0)
        self._switches = context.switches[: self._parts].tolist()
        # Where what switches others on is above zero, in coding order, by its number and channel.
        self._above: dict[tuple[int, int], NDArray[np.bool_]] = {}
        self.on: NDArray[np.bool_] | None = None  # [packets, frames], in coding order; None: everywhere

    def open(self, component: int, channel: int) -> None:
        """Begin with a channel of a component."""
        net, n = self._net, self._number[component]
        self._at = n, channel
        self._own, self._other = self._other, self._own
        self._own[:] = 0
        follows = channel > 0 and self._linked
        switch = self._switches[n]
        self.on = None if switch < 0 else self._above[switch, 0 if self._linked else channel]
        if n in self._switches:
            self._above[n, channel] = np.zeros(self._sums.shape[1:3], bool)
        self._state[:, -2] = EXISTS * follows
        sums, first = self._sums[channel], net.hidden + 2 * (n % BLOCK)
        if n and not n % BLOCK:
            block = self._later[channel, ..., 2 * n : 2 * (n + BLOCK)]
            sums[..., net.hidden : net.hidden + block.shape[-1]] = block
        # For each frame what is known before its level: sums of the hidden units, and of mean and scale past them.
        base = self._base = np.empty((*sums.shape[:2], net.hidden + 2), net.kind)
        np.add(sums[..., : net.hidden], self._state @ net.state[n] + 0.5, out=base[..., : net.hidden])
        straight = np.floor(sums[..., first : first + 2] + 0.5)
        np.add(straight, net.base[n], out=base[..., net.hidden :])
        if follows:
            across = self._other[..., :2].take(self._order.across, axis=1)
            base += (across.reshape(-1, net.across.shape[1]) @ net.across[n]).reshape(base.shape)

    def rows(self, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row number and whole part of the predicted mean [packets, last - first] of these frames of the coding
        order.
        """
        return self._found(self._own.take(self._order.beside[first:last], axis=1), self._base[:, first:last])

    def rows_at(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """As `rows`, but [n] of single integers: their places among all [packets, frames] in coding order."""
        packet, frame = np.divmod(places, self._base.shape[1])
        beside = self._order.beside.take(frame, axis=0)
        beside += (packet * self._own.shape[1])[:, None]
        own, base = self._own.reshape(-1, self._own.shape[2]), self._base.reshape(-1, self._base.shape[2])
        return self._found(own.take(beside, axis=0), base.take(places, axis=0))

    def _found(self, beside: Floats, base: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What the network makes of neighbours in time and of what was known before them [..., H + 2]."""
        net, n = self._net, self._at[0]
        sums = beside.reshape(-1, net.beside.shape[1]) @ net.beside[n]
        stacked = sums.reshape(base.shape)
        stacked += base
        past = sums[:, net.hidden :].T.copy()
        # All columns, as some of them would take longer; the weights of what goes past are zero.
        np.floor(sums, out=sums)
        sums.clip(0, HIDDEN_MAX, out=sums)
        out = net.out[n] @ sums.T
        out += past
        found = np.multiply(out, self._scale[n], dtype=np.float64)
        found += self._offset[n]
        np.floor(found, out=found)
        np.maximum(found, self._lowest, out=found)
        np.minimum(found, self._highest, out=found)
        mean, number = found.astype(np.int64).reshape(2, *base.shape[:-1])
        number *= FRACTIONS
        number += mean & FRACTIONS - 1
        return net.bank.take(number), mean >> 3

    def put(self, first: int, last: int, codes: NDArray[np.integer]) -> None:
        """The integers [packets, last - first] of these frames, in coding order."""
        value = np.multiply(codes, self._net.context.normal[self._place, self._at[0]], dtype=np.int64)
        value += (1 << VALUE_BITS - 1) + (VALUE_MAX << VALUE_BITS)
        value >>= VALUE_BITS
        found = self._net.features.take(value, axis=0, mode="clip")
        if self.on is not None:
            found *= self.on[:, first:last, None]
        self._own[:, self._order.places[first:last]] = found
        above = self._above.get(self._at)
        if above is not None:
            above[:, first:last] = codes > 0

    def close(self) -> None:
        """End with a channel of a component: what it holds is told to the later ones."""
        n, channel = self._at
        if n + 1 < self._parts:
            around = self._own[..., :2].take(self._order.around, axis=1).reshape(-1, self._far.shape[1])
            sums = self._sums[channel]
            sums += (around @ self._near[n]).reshape(sums.shape)
            block = self._block[channel]
            place = block[:, :, n % BLOCK]
            place[:] = around.reshape(place.shape)
            if n % BLOCK == BLOCK - 1:
                later = self._later[channel, ..., 2 * n + 2 :]
                told = self._far[n + 1 - BLOCK : n + 1, :, 2 * n + 2 :].reshape(-1, later.shape[-1])
                later += (block.reshape(-1, len(told)) @ told).reshape(later.shape)
