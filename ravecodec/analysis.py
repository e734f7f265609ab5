"""The encoding side of the network, block by block: sound in, posterior means out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from .audio import Samples
from .network.exported import CodecNetwork
from .resample import Resampler
from .stereo import with_mean
from .workers import side_by_side

PACKET_FRAMES = 64
SHORT, SHORT_FRAMES = 30.0, 128  # seconds up to which packets are longer, since their heads weigh more there
GRAIN = 64  # blocks have a multiple of so many frames, so that lengths, and with them the arithmetic, are few
# What the network works on at once: long, as every window has its preroll beside it, but half a minute should be two.
BLOCK_FRAMES = 6 * GRAIN


def packet_frames(samples: int | None, rate: int) -> int:
    """Frames in a packet of sound of so many samples (None: not known) at a rate in Hz."""
    return SHORT_FRAMES if samples is not None and samples <= SHORT * rate else PACKET_FRAMES


class Analysis:
    """Runs an encoder over a stream, in windows: a block of 384 frames and `preroll` frames on either side.

    The last block is filled up to a multiple of 64. So a window's size depends on the sound's length only, never on how
    the sound was cut on its way here, and no bit of the result does. Blocks of another size, for live sound, may change
    the last bits of the means.
    """

    def __init__(self, network: CodecNetwork, packet: int = PACKET_FRAMES, block: int = BLOCK_FRAMES) -> None:
        self.packet, self.block = packet, max(packet, block // packet * packet)
        self.network, self.preroll = network, network.encoder_preroll
        self.rate, self.hop = network.config.rate, network.config.hop

    def latents(
        self, blocks: Iterable[Samples], rate: int, channels: int, joint: bool = False
    ) -> Iterator[np.ndarray]:
        """Posterior means [channels, latents, frames] of the sound, as they are sent, a packet at a time.

        Two channels that are coded `joint` have only what tells their places from each other to themselves.
        """
        if joint:
            blocks, channels = map(with_mean, blocks), channels + 1
        windows = self._windows(blocks, rate, channels)
        # Somebody waits for short blocks; long ones are gathered and computed side by side.
        short = self.block < GRAIN
        for means in map(self._means, windows) if short else side_by_side(self._means, windows):
            if joint:
                means = self.network.joined(means)
            for start in range(0, means.shape[-1], self.packet):
                yield self.network.held(means[..., start : start + self.packet])

    def _windows(self, blocks: Iterable[Samples], rate: int, channels: int) -> Iterator[tuple[Samples, int]]:
        """Sound of each block with its preroll, [n, channels], and how many frames of it there are."""
        size, lead = self.block * self.hop, self.preroll * self.hop
        window = size + 2 * lead
        buffer = np.zeros((lead, channels), np.float32)  # begins with the silence before the sound
        pending = [buffer]
        held = lead
        resampler = Resampler(rate, self.rate, channels)

        def ready() -> Iterator[Samples]:
            for block in blocks:
                yield resampler.push(block)
            yield resampler.flush()
            yield np.zeros((self.network.delay, channels), np.float32)

        for block in ready():
            pending.append(block)
            held += len(block)
            while held >= window:
                joined = np.concatenate(pending)
                yield joined[:window], self.block
                pending = [joined[size:]]
                held -= size
        # What is left: at least the lead-in, and the frames of up to a block and the look-ahead after it.
        joined = np.concatenate(pending)
        frames = -(-(held - lead) // self.hop)
        while frames > 0:
            # At most one block and its look-ahead: as much of it as it takes.
            grain = min(GRAIN, self.block)
            length = min(-(-frames // grain) * grain, self.block)
            part = np.zeros((length * self.hop + 2 * lead, channels), np.float32)
            part[: min(len(part), len(joined))] = joined[: len(part)]
            yield part, min(frames, self.block)
            joined, frames = joined[size:], frames - self.block

    @torch.inference_mode()
    def _means(self, window: tuple[Samples, int]) -> np.ndarray:
        """The means [channels, latents, frames] of a block."""
        samples, frames = window
        # By way of a vector: what numpy calls contiguous may have strides by which torch copies ten times as slowly.
        sound = torch.from_numpy(np.ascontiguousarray(samples.T).reshape(-1)).view(samples.shape[1], 1, -1)
        latents: np.ndarray = self.network.encode(sound).mean[..., self.preroll : self.preroll + frames].numpy()
        return latents
