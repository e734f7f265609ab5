"""Running the context network along a packet: component by component, and in it channel by channel, level by level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .context import (
    CLASS_BITS,
    EXISTS,
    FRACTIONS,
    HIDDEN_BITS,
    HIDDEN_MAX,
    MEAN_BITS,
    MEAN_MAX,
    STRAIGHT_BITS,
    VALUE_BITS,
    VALUE_MAX,
    Context,
    features,
)
from .order import MARGIN, order

FEATURES = features()
Floats = NDArray[np.float64]


class Weights:
    """A network's weights as floats: all are whole numbers and all sums stay below 2**53, so they are exact.

    Matrix products of floats are fast, and no order of summation changes an exact sum.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        parts = len(context.feed)
        self.feed, self.beside, self.across, self.state, self.out, self.base = (
            array.astype(np.float64)
            for array in (context.feed, context.beside, context.across, context.state, context.out, context.base)
        )
        self.straight = context.straight.reshape(parts, -1, 2 * parts).astype(np.float64)


class Predictor:
    """Predicts the rows of one packet, of `channels` x `frames` x `components` integers at one step.

    For each component in turn, and in it for each channel in turn: `open`, then `rows` and `put` level by level (or at
    once, if the integers are known), then `close`.
    """

    def __init__(self, weights: Weights, place: int, step: int, shape: tuple[int, int, int]) -> None:
        channels, frames, components = shape
        self._net, self._place = weights, place
        self._number = {int(c): n for n, c in enumerate(weights.context.components) if c < components}
        self._parts = len(self._number)
        self._order = order(frames)
        self._hidden = np.zeros((channels, frames, weights.feed.shape[2]))
        self._straight = np.zeros((channels, frames, 2 * self._parts))
        # Value, magnitude and presence of each frame of this channel and of the one before, empty frames around them.
        self._own, self._other = np.zeros((2, frames + 2 * MARGIN, 3))
        self._state = np.hstack([self._order.about, np.full((frames, 1), float(step))])
        self._at = (0, 0)

    def open(self, component: int, channel: int) -> None:
        """Begin with a channel of a component."""
        net, component = self._net, self._number[component]
        self._at = component, channel
        self._own, self._other = self._other, self._own
        self._own[:] = 0
        self._state[:, -2] = channel > 0
        self._base = self._hidden[channel] + self._state @ net.state[component] + (1 << HIDDEN_BITS - 1)
        two = slice(2 * component, 2 * component + 2)
        self._target = np.floor((self._straight[channel][:, two] + (1 << STRAIGHT_BITS - 1)) * 2.0**-STRAIGHT_BITS)
        self._target += net.base[component]
        if channel:
            across = self._other[:, :2][self._order.across].reshape(len(self._base), -1)
            self._base += across @ net.across[component]
            self._target += across @ net.out[component, -across.shape[1] :]
        hidden, beside = net.feed.shape[2], net.beside.shape[1]
        self._out, self._out_beside = net.out[component, :hidden], net.out[component, hidden : hidden + beside]

    def rows(self, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row number and whole part of the predicted mean for the frames first ... last - 1 of the coding order."""
        context, (component, _) = self._net.context, self._at
        frames = self._order.frames[first:last]
        beside = self._own[self._order.beside[first:last]].reshape(len(frames), -1)
        hidden = self._base[frames] + beside @ self._net.beside[component]
        hidden *= 2.0**-HIDDEN_BITS
        np.floor(hidden, out=hidden)
        np.maximum(hidden, 0, out=hidden)
        np.minimum(hidden, HIDDEN_MAX, out=hidden)
        out = hidden @ self._out + beside @ self._out_beside + self._target[frames]
        mean, level = out.astype(np.int64).T
        mean = (mean * context.scale[self._place, component] + (1 << MEAN_BITS - 1)) >> MEAN_BITS
        mean = np.minimum(np.maximum(mean, -MEAN_MAX), MEAN_MAX)
        level = (level + (context.level[self._place, component] + (1 << CLASS_BITS - 1))) >> CLASS_BITS
        level = np.minimum(np.maximum(level, 0), len(context.bank) - 1)
        return context.bank[level, mean & FRACTIONS - 1], mean >> 3

    def put(self, first: int, last: int, codes: NDArray[np.integer]) -> None:
        """The integers of these frames, in coding order."""
        scaled = codes.astype(np.int64) * self._net.context.normal[self._place, self._at[0]]
        value = (scaled + (1 << VALUE_BITS - 1)) >> VALUE_BITS
        place = np.minimum(np.maximum(value, -VALUE_MAX), VALUE_MAX) + VALUE_MAX
        rows = self._order.frames[first:last] + MARGIN
        self._own[rows, :2] = FEATURES[place]
        self._own[rows, 2] = EXISTS

    def close(self) -> None:
        """End with a channel of a component: what it holds is told to the later ones."""
        component, channel = self._at
        if component + 1 < self._parts:
            around = self._own[:, :2][self._order.around].reshape(len(self._base), -1)
            self._hidden[channel] += around @ self._net.feed[component]
            later = slice(2 * component + 2, 2 * self._parts)
            self._straight[channel][:, later] += around @ self._net.straight[component][:, later]
