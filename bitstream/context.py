"""The context network: integers that say, from what is already decoded, which row of counts comes next.

For every integer it predicts a mean, in eighths, and a scale, in eighths of an octave; both together choose a row of a
bank. Its weights are small integers and all its sums are exact, so it says the same on every machine (SPEC.md, 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ModelError
from .header import MAX_LATENTS
from .order import ACROSS, AROUND, BESIDE, LEVELS

MAX_HIDDEN = 256
MAX_CLASSES = 256
FRACTIONS = 8  # parts of an integer that a predicted mean is told to
VALUE_BITS = 12  # code x normal is shifted by this; the result counts sixteenths of a component's usual size
VALUE_MAX = 4095
HIDDEN_BITS, HIDDEN_MAX = 7, 255
STRAIGHT_BITS = 2
MEAN_BITS, MEAN_MAX = 19, 1 << 15
CLASS_BITS = 7
STEP_UNIT = 8  # feature of a step, for each eighth of an octave
AROUND_SIZE, BESIDE_SIZE, ACROSS_SIZE = 2 * len(AROUND), 3 * len(BESIDE), 2 * len(ACROSS)
ABOUT_SIZE = LEVELS + len(AROUND)  # levels, missing frames around, another channel before
STATE_SIZE = ABOUT_SIZE + 1  # and the step
SWITCH = "switch"  # the array that may be missing


@dataclass(frozen=True, eq=False)
class Context:
    """Integer arrays of a context network with H hidden units for S steps and N components.

    components [N]: which, ascending. normal, scale, level [S, N]: how a component's integers at a step relate to the
    network's units. feed [N, 10, H]: what a decoded component tells the later ones; straight [N, 10, N]: the same,
    past the hidden units, values to means and magnitudes to scales. beside [N, 12, H]: a component's own neighbours
    in time; across [N, 6, H]: the channel before; state [N, 11, H]: level, edges, channel, step. out [N, H + 18, 2] and
    base [N, 2]: mean and scale from hidden units, neighbours and channel. bank [K, 8]: row numbers. switch [N]: which
    lower one of these components has to be above zero for this one to be coded, -1 for none (None: there are none).
    ModelError if shapes or bounds are wrong.
    """

    components: NDArray[np.int64]
    normal: NDArray[np.int64]
    scale: NDArray[np.int64]
    level: NDArray[np.int64]
    feed: NDArray[np.int64]
    straight: NDArray[np.int64]
    beside: NDArray[np.int64]
    across: NDArray[np.int64]
    state: NDArray[np.int64]
    out: NDArray[np.int64]
    base: NDArray[np.int64]
    bank: NDArray[np.int64]
    switch: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            array = np.full(len(self.components), -1) if given is None else np.array(given)
            if not np.issubdtype(array.dtype, np.integer):
                raise ModelError(f"tables: {field.name} is not an array of integers")
            array = array.astype(np.int64)
            array.setflags(write=False)
            object.__setattr__(self, field.name, array)
        if self.feed.ndim != 3 or self.normal.ndim != 2 or self.bank.ndim != 2:
            raise ModelError("tables: the context network's arrays have the wrong shapes")
        steps, parts, hidden, classes = len(self.normal), *self.feed.shape[::2], len(self.bank)
        if not (1 <= parts <= MAX_LATENTS and 1 <= hidden <= MAX_HIDDEN and 1 <= classes <= MAX_CLASSES):
            raise ModelError("tables: the context network's size is out of bounds")
        shapes: dict[str, tuple[tuple[int, ...], int, int]] = {
            "components": ((parts,), 0, MAX_LATENTS - 1),
            "normal": ((steps, parts), 0, 1 << 30),
            "scale": ((steps, parts), 0, 1 << 24),
            "level": ((steps, parts), -(1 << 20), 1 << 20),
            "feed": ((parts, AROUND_SIZE, hidden), -128, 127),
            "straight": ((parts, AROUND_SIZE, parts), -128, 127),
            "beside": ((parts, BESIDE_SIZE, hidden), -128, 127),
            "across": ((parts, ACROSS_SIZE, hidden), -128, 127),
            "state": ((parts, STATE_SIZE, hidden), -128, 127),
            "out": ((parts, hidden + BESIDE_SIZE + ACROSS_SIZE, 2), -128, 127),
            "base": ((parts, 2), -(1 << 24), 1 << 24),
            "bank": ((classes, FRACTIONS), 0, (1 << 20) - 1),
            "switch": ((parts,), -1, MAX_LATENTS - 1),
        }
        for name, (shape, low, high) in shapes.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ModelError(f"tables: {name} has the shape {array.shape}, not {shape}")
            if array.size and not low <= int(array.min()) <= int(array.max()) <= high:
                raise ModelError(f"tables: {name} is out of bounds")
        if (np.diff(self.components) <= 0).any():
            raise ModelError("tables: the context network's components do not ascend")
        if (self.switches >= np.arange(parts)).any():
            raise ModelError("tables: what switches a component of the context network comes after it")

    @property
    def switches(self) -> NDArray[np.int64]:
        """`switch`, which is an array once it was looked at."""
        assert self.switch is not None
        return self.switch

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> Context | None:
        """The network among the arrays of tables; None if none of its arrays is there."""
        found = {f.name: arrays[f"context_{f.name}"] for f in fields(cls) if f"context_{f.name}" in arrays}
        if not found:
            return None
        if len(found.keys() - {SWITCH}) < len(fields(cls)) - 1:
            raise ModelError("tables: an array of the context network is missing")
        return cls(**found)

    def to_arrays(self) -> dict[str, NDArray]:
        """Plain integer arrays, in the smallest types that hold their bounds."""
        given = [f.name for f in fields(self) if f.name != SWITCH or (self.switches >= 0).any()]
        wide = dict.fromkeys(("normal", "scale", "level", "base", "bank"), np.int32)
        wide |= dict.fromkeys(("components", SWITCH), np.int16)
        return {f"context_{name}": getattr(self, name).astype(wide.get(name, np.int8)) for name in given}


def features() -> NDArray[np.float64]:
    """Value and magnitude [8191, 2] of each number -4095 ... 4095 of sixteenths: the one clipped, the other its log.

    The magnitude of v is 16 log2(1 + |v| / 4), taken as a line between powers of two: exact in integers.
    """
    number = np.arange(-VALUE_MAX, VALUE_MAX + 1)
    size = np.abs(number) + 4
    power = np.frexp(size.astype(np.float64))[1].astype(np.int64) - 1
    magnitude = 16 * power + (16 * size >> power) - 48
    return np.stack([number.clip(-127, 127), magnitude.clip(0, 127)], 1).astype(np.float64)


def switched(values: NDArray[Any], components: NDArray[Any], switches: NDArray[Any], linked: bool) -> NDArray[Any]:
    """Values [..., channels, frames, components], be they rounded or not, in which these components are zero where the
    integer of the switch of each is not above zero. All of `linked` channels go by the first.
    """
    found = values.copy()
    for component, switch in zip(components.tolist(), switches.tolist(), strict=True):
        if component < found.shape[-1]:
            on = np.rint(found[..., switch]) > 0
            found[..., component] *= on[..., :1, :] if linked else on
    return found
