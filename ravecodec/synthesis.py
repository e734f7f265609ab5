"""The decoding side of the network, block by block: packets in, sound out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from bitstream import Header, Layout, Packet, Reader

from .analysis import BLOCK_FRAMES, GRAIN
from .audio import Samples, from_mid_side
from .basis import Basis
from .network.noise import seeded_noise
from .network.phase import SEGMENT, SETTLE, history
from .network.vae import RaveNet

CONCEALMENT = 0.7  # a lost packet's components shrink by this factor a frame, towards the mean
GLIDE = 32  # frames after which what stood before a lost packet is not heard any more: 0.7 ** 32 is 1e-5
CHANNEL_SEED = 0x632BE5  # sets the noise of one channel apart from that of the next


class Synthesis:
    """Runs a decoder over the packets of a file, in windows: a block of up to 512 frames, and its preroll."""

    def __init__(self, network: RaveNet, basis: Basis, header: Header) -> None:
        self.network, self.basis, self.header = network, basis, header
        self.preroll, self.hop = network.preroll, network.config.hop
        # Frames before a block that are looked at: its preroll and, for the phase of partials, frequencies before that.
        self._back = self.preroll + (SEGMENT + SETTLE if network.pitch is not None else 0)
        self._steps = basis.steps(header.step)[: header.components].astype(np.float64)

    def blocks(
        self, reader: Reader, first: int = 0, last: int | None = None, size: int = BLOCK_FRAMES
    ) -> Iterator[Samples]:
        """Sound [frames * hop, channels] of the frames `first` to before `last`, in blocks of `size` frames.

        Of a file with a seek index only what is needed is read: the span and its preroll. Lost packets are concealed:
        their components glide from the last ones to the mean.
        """
        full = self.header.frames_per_packet
        end = None if last is None else -(-(last + self.preroll) // full)
        packets = reader.packets(max(0, first - max(self._back, self.preroll + GLIDE)) // full, end)
        rest = self._rest(self._back)
        before = rest  # components of the frames before the block; zero is the mean
        ahead = rest[:, :0]  # components read and not yet heard
        start, latest = first, rest[:, -1:]
        for packet in packets:
            values = self._values(packet, latest)
            latest = values[:, -1:]
            early = max(0, first - packet.start_frame)
            before = np.concatenate([before, values[:, :early]], 1)[:, -self._back :]
            ahead = np.concatenate([ahead, values[:, early:]], 1)
            while ahead.shape[1] >= size + self.preroll and (last is None or start + size <= last):
                yield self._block(start, before, ahead, size, size)
                before = np.concatenate([before, ahead[:, :size]], 1)[:, -self._back :]
                start, ahead = start + size, ahead[:, size:]
        while ahead.shape[1] and (last is None or start < last):
            frames = min(ahead.shape[1], size)
            if last is not None:
                frames = min(frames, last - start)
            yield self._block(start, before, ahead, frames, size)
            before = np.concatenate([before, ahead[:, :frames]], 1)[:, -self._back :]
            start, ahead = start + frames, ahead[:, frames:]

    def _values(self, packet: Packet, last: np.ndarray) -> np.ndarray:
        if packet.codes is not None:
            steps = self._steps
            if packet.coarser:
                steps = self.basis.steps(self.header.step + packet.coarser)[: self.header.components].astype(np.float64)
            return self._with_step(packet.codes * steps, packet.coarser)
        fade = CONCEALMENT ** np.arange(1, packet.frames + 1)
        return self._with_step(last[..., :-1] * fade[None, :, None])

    def _with_step(self, values: np.ndarray, coarser: int = 0) -> np.ndarray:
        """Components [channels, frames, n] and, behind them, the step that they came with."""
        return np.pad(values, ((0, 0), (0, 0), (0, 1)), constant_values=self.header.step + coarser)

    def _rest(self, frames: int) -> np.ndarray:
        """Frames before or behind the file: components of zero, and no step of their own."""
        values = np.zeros((self.header.channels, frames, self.header.components))
        return np.pad(values, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)

    def _block(self, start: int, before: np.ndarray, ahead: np.ndarray, frames: int, most: int) -> Samples:
        # Filled up, so that lengths, and with them the arithmetic, are few.
        grain = min(GRAIN, most)
        size = -(-frames // grain) * grain + self.preroll
        ahead = np.concatenate([ahead[:, :size], self._rest(max(0, size - ahead.shape[1]))], 1)
        return self._window(start, np.concatenate([before, ahead], 1), frames)

    @torch.inference_mode()
    def _window(self, start: int, values: np.ndarray, frames: int) -> Samples:
        """Components of a block and around it, steps behind them, to sound [frames * hop, channels]."""
        latents = torch.from_numpy(np.stack([self.basis.restore(v.T[:-1]) for v in values]).astype(np.float32))
        known = np.flatnonzero(np.isfinite(values[0, :, -1]))
        nearest = np.arange(self._back - self.preroll, values.shape[1]).clip(known[0], known[-1])
        step = torch.from_numpy(values[:, nearest, -1].astype(np.float32))
        config = self.network.config
        begin = start - self.preroll  # of the window that the network sees
        past = history(begin)
        source = None
        if self.network.pitch is not None:
            source = latents[:, self.network.source, self._back - (start - past) :]
        latents = latents[..., self._back - self.preroll :]
        first, length = begin * config.decimation, latents.shape[-1] * config.decimation
        seeds = [self.header.seed + CHANNEL_SEED * channel for channel in range(self.header.channels)]
        noise = torch.stack([seeded_noise(seed, config.bands, first, length) for seed in seeds])
        sound = self.network.render(latents, noise, source, past, begin, step)[0][:, 0]
        block = sound[:, self.preroll * self.hop : (self.preroll + frames) * self.hop].numpy().T
        return np.ascontiguousarray(from_mid_side(block) if self.header.layout == Layout.MID_SIDE else block)
