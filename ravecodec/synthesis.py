"""The decoding side of the network, block by block: packets in, sound out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import torch

from bitstream import Header, Layout, Packet, Reader

from .analysis import BLOCK_FRAMES
from .audio import Samples, from_mid_side
from .basis import Basis
from .network.noise import seeded_noise
from .network.vae import RaveNet

CONCEALMENT = 0.7  # a lost packet's components shrink by this factor a frame, towards the mean
CHANNEL_SEED = 0x632BE5  # sets the noise of one channel apart from that of the next


class Synthesis:
    """Runs a decoder over the packets of a file, always on windows of the same size."""

    def __init__(self, network: RaveNet, basis: Basis, header: Header) -> None:
        self.network, self.basis, self.header = network, basis, header
        self.preroll, self.hop = network.preroll, network.config.hop
        self._steps = basis.steps(header.step)[: header.components].astype(np.float64)

    def blocks(self, reader: Reader) -> Iterator[Samples]:
        """Sound [frames * hop, channels] at the codec's rate, one packet after the other.

        Lost packets are concealed: their components glide from the last ones to the mean.
        """
        rest = np.zeros((self.header.channels, self.preroll, self.header.components))
        before = rest  # components of the `preroll` frames before the block; zero is the mean
        queue: deque[tuple[int, np.ndarray]] = deque()  # start frame, components [channels, frames, components]
        last = rest[:, -1:]

        def release() -> Samples:
            nonlocal before
            start, block = queue.popleft()
            after = np.concatenate([*(values for _, values in queue), rest], 1)[:, : self.preroll]
            sound = self._window(start, np.concatenate([before, block, after], 1), block.shape[1])
            before = np.concatenate([before, block], 1)[:, -self.preroll :]
            return sound

        for packet in reader.packets():
            values = self._values(packet, last)
            last = values[:, -1:]
            queue.append((packet.start_frame, values))
            while sum(v.shape[1] for _, v in queue) - queue[0][1].shape[1] >= self.preroll:
                yield release()
        while queue:
            yield release()

    def _values(self, packet: Packet, last: np.ndarray) -> np.ndarray:
        if packet.codes is not None:
            values: np.ndarray = packet.codes * self._steps
            return values
        fade = CONCEALMENT ** np.arange(1, packet.frames + 1)
        return last * fade[None, :, None]

    @torch.inference_mode()
    def _window(self, start: int, values: np.ndarray, frames: int) -> Samples:
        """Components of a block and its preroll [channels, frames, components] to sound [frames * hop, channels]."""
        # Always the same number of frames, so that the arithmetic does not depend on where a file is cut.
        size = BLOCK_FRAMES + 2 * self.preroll
        values = np.pad(values, ((0, 0), (0, max(0, size - values.shape[1])), (0, 0)))
        latents = np.stack([self.basis.restore(v.T) for v in values]).astype(np.float32)
        config = self.network.config
        first, length = (start - self.preroll) * config.decimation, values.shape[1] * config.decimation
        seeds = [self.header.seed + CHANNEL_SEED * channel for channel in range(self.header.channels)]
        noise = torch.stack([seeded_noise(seed, config.bands, first, length) for seed in seeds])
        sound = self.network.pqmf.inverse(self.network.decode_bands(torch.from_numpy(latents), noise))[:, 0]
        block = sound[:, self.preroll * self.hop : (self.preroll + frames) * self.hop].numpy().T
        return np.ascontiguousarray(from_mid_side(block) if self.header.layout == Layout.MID_SIDE else block)
