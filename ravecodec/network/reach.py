"""How far a network sees: what a block must have on either side to come out as within the whole."""

from __future__ import annotations

import math

from . import refiner, scatter
from .config import NetworkConfig
from .envelope import PARTS
from .pitch import pitch_reach
from .secondpitch import second_pitch_reach


def _unit_reach(dilation: int, kernel: int, layers: int) -> int:
    return (kernel - 1) * (dilation + layers - 1)


def encoder_reach(config: NetworkConfig) -> int:
    """Sub-band samples on one side (the larger one) that a latent frame depends on, an upper bound."""
    side, step, reach = config.encoder, 1, 6.0
    for i in range(len(side.channels)):
        for unit in range(side.units[i]):
            reach += step * _unit_reach(side.dilations[unit % len(side.dilations)], side.kernel, side.layers)
        if i < len(config.ratios):
            reach += step * (config.ratios[i] + 1)
            step *= config.ratios[i]
    reach = (reach if config.causal else reach / 2) + 2 * step
    if config.gain_shape:
        reach += 2 * config.decimation
    if config.lapped:
        reach = max(reach, 3 * config.decimation)
    if config.pitch:
        reach = max(reach, pitch_reach(config.hop) / config.bands + (config.decimation if config.tones else 0))
    if config.second_pitch:
        reach = max(reach, second_pitch_reach(config.hop) / config.bands)
    return math.ceil(reach)


def decoder_reach(config: NetworkConfig) -> int:
    """Sub-band samples on one side that a sub-band sample of the output depends on, an upper bound."""
    side, step = config.decoder, config.decimation
    reach = step * (3.0 if side.norm == "batch" else 1.0)
    widths = range(len(side.channels))
    for i in widths:
        for unit in range(side.units[::-1][i]):
            reach += step * _unit_reach(side.dilations[unit % len(side.dilations)], side.kernel, side.layers) / 2
        if i < len(config.ratios):
            reach += step
            step //= config.ratios[::-1][i]
    reach += scatter.REACH if config.scatter_lowest else 0
    reach += 11 + 2 * config.noise.hop + (80 if config.harmonics else 0)
    if config.envelope:  # in each round half a window, the spectra that are averaged, and half a window again
        averaged = PARTS // 2 if config.envelope_detail else PARTS
        reach += config.envelope_rounds * config.decimation * (2 + averaged) / PARTS
    reach += config.decimation * refiner.REACH / PARTS if config.envelope_refiner else 0
    return math.ceil(reach * (2 if config.causal else 1))
