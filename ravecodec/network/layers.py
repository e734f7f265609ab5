"""Convolutions over [batch, channels, 1, time], kept channels-last.

A one-row image in channels-last order runs 1.3 to 3 times faster on a CPU than the same thing as conv1d.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
_unset: ContextVar[bool] = ContextVar("unset", default=False)


@contextmanager
def unset_weights() -> Iterator[None]:
    """Layers made in here have no weights worth the name, which take time: theirs are about to be loaded."""
    token = _unset.set(True)
    try:
        yield
    finally:
        _unset.reset(token)


def full_precision(like: Tensor) -> torch.autocast:
    """Context in which mixed precision is off on this tensor's device: filter banks and transforms need all bits."""
    return torch.autocast(like.device.type, enabled=False)


def usual_precision(like: Tensor) -> torch.autocast:
    """Context in which mixed precision is as it is now, for a network between what `full_precision` is there for."""
    kind = like.device.type
    return torch.autocast(kind, enabled=torch.is_autocast_enabled(kind))


def as_image(x: Tensor) -> Tensor:
    """[batch, channels, time] to channels-last [batch, channels, 1, time]."""
    if len(x) == 1:  # torch transposes a matrix faster than a stack of one
        return x[0].T.contiguous()[None, None].permute(0, 3, 1, 2)
    return x[:, :, None].contiguous(memory_format=torch.channels_last)


def as_sequence(x: Tensor) -> Tensor:
    """[batch, channels, 1, time] back to [batch, channels, time], in that memory order."""
    return x[0, :, 0].contiguous()[None] if len(x) == 1 else x[:, :, 0].contiguous()


class Conv(nn.Conv2d):
    """Convolution over time that keeps ceil(time / stride) frames, centred or causal."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, causal: bool = False
    ) -> None:
        reach = dilation * (kernel - 1) + 1 - stride
        # Symmetric padding is the convolution's own; the rest is added by hand.
        self.lopsided = causal or reach % 2 == 1
        self.left = reach if causal else reach // 2
        self.right = reach - self.left
        super().__init__(
            inputs,
            outputs,
            (1, kernel),
            stride=(1, stride),
            dilation=(1, dilation),
            padding=(0, 0 if self.lopsided else reach // 2),
        )
        orthogonal_(self.weight, self.bias)

    def reset_parameters(self) -> None:
        """PyTorch's own initialisation."""
        if not _unset.get():
            super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [batch, inputs, 1, time]."""
        if self.lopsided:
            x = F.pad(x, (self.left, self.right))
        return super().forward(x)


class Upsample(nn.Module):
    """Transposed convolution by `ratio` over two input frames, as a convolution and a shuffle of time."""

    def __init__(self, inputs: int, outputs: int, ratio: int, causal: bool = False) -> None:
        super().__init__()
        self.ratio = ratio
        self.conv = Conv(inputs, outputs * ratio, 2 if causal else 3, causal=causal)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, inputs, 1, time] to [batch, outputs, 1, time * ratio]."""
        y = self.conv(x)
        batch, _, _, time = y.shape
        # Channels-last memory is [batch, time, ratio * outputs]: the shuffle is a change of view, not a copy.
        flat = y.permute(0, 2, 3, 1).reshape(batch, 1, time * self.ratio, -1)
        return flat.permute(0, 3, 1, 2)


class ResidualUnit(nn.Module):
    """Activation, dilated convolution(s), activation, 1x1 convolution, added to the input.

    The branch starts at a tenth of its input, so a deep stack begins close to linear (field: SkipInit, De &
    Smith 2020).
    """

    def __init__(
        self, channels: int, kernel: int, dilation: int, layers: int = 1, norm: str = "none", causal: bool = False
    ) -> None:
        super().__init__()
        body: list[nn.Module] = []
        for i in range(layers):
            body += [
                nn.LeakyReLU(SLOPE),
                Conv(channels, channels, kernel, dilation=dilation if i == 0 else 1, causal=causal),
                normaliser(norm, channels),
            ]
        last = Conv(channels, channels, 1)
        body += [nn.LeakyReLU(SLOPE, inplace=True), last]
        with torch.no_grad():
            last.weight.mul_(0.1)
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, 1, time] to the same shape."""
        y: Tensor = self.body(x)
        return y.add_(x)


def normaliser(norm: str, channels: int) -> nn.Module:
    """Batch norm, or nothing."""
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.Identity()


def orthogonal_(weight: Tensor, bias: Tensor | None, gain: float = 1.0) -> None:
    """Orthogonal weights over (outputs, inputs * kernel), so a signal crosses a deep stack at its size."""
    if _unset.get():
        return
    nn.init.orthogonal_(weight, gain)
    if bias is not None:
        nn.init.zeros_(bias)


def moving_sum(x: Tensor, count: int, apart: int = 1) -> Tensor:
    """Of so many values, each so far behind the one before: [..., n] to [..., n - (count - 1) * apart].

    Sums of twice as many at every turn: few passes through memory.
    """
    length = x.shape[-1] - (count - 1) * apart
    total, taken = x.new_zeros(()), 0
    size = 1
    while True:
        if count & size:
            total = total + x[..., taken * apart :][..., :length]
            taken += size
        if taken == count:
            return total
        x = x[..., : -size * apart] + x[..., size * apart :]
        size *= 2
