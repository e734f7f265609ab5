"""Running the context network along a packet: component by component, and in it channel by channel, level by level."""

from __future__ import annotations

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
from .order import EXISTS, MARGIN, order

FEATURES = np.pad(features(), ((0, 0), (0, 1)), constant_values=EXISTS)
SHIFTS = np.array([MEAN_BITS, CLASS_BITS])
LEAST = np.array([-MEAN_MAX, 0])
Floats = NDArray[np.float64]


class Weights:
    """A network's weights as floats: all are whole numbers and all sums stay below 2**53, so they are exact.

    Matrix products of floats are fast, and no order of summation changes an exact sum.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.feed, self.beside, self.across, self.state, self.out, self.base = (
            array.astype(np.float64)
            for array in (context.feed, context.beside, context.across, context.state, context.out, context.base)
        )
        # To the means and to the scales [2, N, 5, N].
        self.straight = np.stack([context.straight[:, 0::2], context.straight[:, 1::2]]).astype(np.float64)


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
        self._straight = np.zeros((channels, 2, frames, self._parts))
        # Value, magnitude and presence of each frame of this channel and of the one before, empty frames around them.
        self._own, self._other = np.zeros((2, frames + 2 * MARGIN, 3))
        self._state = np.hstack([self._order.about, np.full((frames, 1), float(STEP_UNIT * step))])
        # Mean and scale are scaled, shifted and clipped at once.
        context = weights.context
        self._scale = np.stack([context.scale[place], np.ones_like(context.scale[place])], 1)
        level = context.level[place] + (1 << CLASS_BITS - 1)
        self._offset = np.stack([np.full_like(level, 1 << MEAN_BITS - 1), level], 1)
        self._most = np.array([MEAN_MAX, len(context.bank) - 1])
        self._at = (0, 0)

    def open(self, component: int, channel: int) -> None:
        """Begin with a channel of a component."""
        net, component = self._net, self._number[component]
        self._at = component, channel
        self._own, self._other = self._other, self._own
        self._own[:] = 0
        self._state[:, -2] = EXISTS * (channel > 0)
        self._base = self._hidden[channel] + self._state @ net.state[component] + (1 << HIDDEN_BITS - 1)
        straight = self._straight[channel, :, :, component].T
        self._target = np.floor((straight + (1 << STRAIGHT_BITS - 1)) * 2.0**-STRAIGHT_BITS)
        self._target += net.base[component]
        if channel:
            across = self._other[:, :2][self._order.across].reshape(len(self._base), -1)
            self._base += across @ net.across[component]
            self._target += across @ net.out[component, -across.shape[1] :]
        hidden, beside = net.feed.shape[2], net.beside.shape[1]
        self._out, self._out_beside = net.out[component, :hidden], net.out[component, hidden : hidden + beside]

    def rows(self, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row number and whole part of the predicted mean for the frames first ... last - 1 of the coding order."""
        component = self._at[0]
        frames = self._order.frames[first:last]
        beside = self._own[self._order.beside[first:last]].reshape(len(frames), -1)
        hidden = self._base[frames] + beside @ self._net.beside[component]
        hidden *= 2.0**-HIDDEN_BITS
        np.floor(hidden, out=hidden)
        np.maximum(hidden, 0, out=hidden)
        np.minimum(hidden, HIDDEN_MAX, out=hidden)
        out = hidden @ self._out + beside @ self._out_beside + self._target[frames]
        whole = (out.astype(np.int64) * self._scale[component] + self._offset[component]) >> SHIFTS
        np.maximum(whole, LEAST, out=whole)
        np.minimum(whole, self._most, out=whole)
        mean = whole[:, 0]
        return self._net.context.bank[whole[:, 1], mean & FRACTIONS - 1], mean >> 3

    def put(self, first: int, last: int, codes: NDArray[np.integer]) -> None:
        """The integers of these frames, in coding order."""
        scaled = codes.astype(np.int64) * self._net.context.normal[self._place, self._at[0]]
        value = (scaled + ((1 << VALUE_BITS - 1) + (VALUE_MAX << VALUE_BITS))) >> VALUE_BITS
        self._own[self._order.frames[first:last] + MARGIN] = FEATURES.take(value, axis=0, mode="clip")

    def close(self) -> None:
        """End with a channel of a component: what it holds is told to the later ones."""
        component, channel = self._at
        if component + 1 < self._parts:
            around = self._own[:, :2][self._order.around]
            self._hidden[channel] += around.reshape(len(self._base), -1) @ self._net.feed[component]
            later = slice(component + 1, self._parts)
            for kind in (0, 1):
                told = around[:, :, kind] @ self._net.straight[kind, component, :, later]
                self._straight[channel, kind, :, later] += told
