"""Random signs for waveforms that nobody sent, so that noise is not a loop.

A network that is the same in every frame makes of a steady noise one snippet, again and again, a flutter at the rate of
the frames. Where no waveform is sent, its signs may as well be those of the noise, unless it makes partials: so the
voicing has a say.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import NetworkConfig
from .layers import full_precision

_SIDE = 31  # taps of the filter on either side of its middle: 10 ms at 3 kHz
_BLOCK = 64  # samples that it is worked out for at once
REACH = 2 * _SIDE  # sub-band samples on one side, where the lowest band is split


class Scatter(nn.Module):
    """Signs thrown in each band always, or as far as there is no pitch; in the lowest one above some frequency."""

    always: Tensor
    unvoiced: Tensor
    low_pass: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        band = torch.arange(config.bands)[:, None]
        always = (band >= config.scatter) & (config.scatter > 0)
        unvoiced = (band >= config.scatter_unvoiced) & (config.scatter_unvoiced > 0)
        self.register_buffer("always", always.float(), persistent=False)
        self.register_buffer("unvoiced", (unvoiced & ~always).float(), persistent=False)
        self.lowest = config.scatter_lowest > 0
        if self.lowest:
            cut = config.scatter_lowest * config.bands / config.rate
            self.register_buffer("low_pass", _low_pass(cut), persistent=False)

    def lowest_band(self, wave: Tensor, noise: Tensor, voicing: Tensor | None) -> Tensor:
        """The lowest band's wave [batch, 1, time] with signs thrown above the frequency from which on none is sent.

        `voicing` [batch, 1, time] is 0 to 1, None where nothing has a pitch; `noise` [batch, 1, time] is uniform, -1 to
        1.
        """
        high = wave - self._low(wave)
        free = 1 if voicing is None else 1 - voicing
        change = torch.where(noise < free - 1, -2 * high, 0)
        # Thrown signs spread it over the whole band; what is sent stays clear.
        return wave + change - self._low(change)

    def forward(self, wave: Tensor, noise: Tensor, voicing: Tensor | None) -> Tensor:
        """The waves of all bands [batch, bands, time] with signs thrown where that is to be."""
        free = self.unvoiced if voicing is None else self.unvoiced * (1 - voicing.detach())
        # Negative where the noise is below what is free. A product takes a quarter of the time of a choice.
        return wave * torch.copysign(torch.ones_like(noise), noise - (self.always + free - 1))

    def _low(self, wave: Tensor) -> Tensor:
        # As a convolution of one channel this took a sixth of all decoding.
        time = wave.shape[-1]
        with full_precision(wave):
            blocks = F.pad(wave, (_SIDE, _SIDE + -time % _BLOCK)).unfold(-1, _BLOCK + 2 * _SIDE, _BLOCK)
            return (blocks @ self.low_pass).flatten(2)[..., :time]


def _low_pass(cut: float) -> Tensor:
    """A windowed sinc, for a cut in cycles a sample, as a matrix from a block and what is beside it to the block."""
    place = torch.arange(-_SIDE, _SIDE + 1, dtype=torch.float64)
    taps = torch.sinc(2 * cut * place) * torch.hamming_window(len(place), periodic=False, dtype=torch.float64)
    # Each column is the one before it, a sample later.
    matrix = F.pad(taps / taps.sum(), (0, _BLOCK)).repeat(_BLOCK)[: -_BLOCK].view(_BLOCK, -1)
    return matrix.T.float().contiguous()
