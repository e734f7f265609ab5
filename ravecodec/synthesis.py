"""The decoding side of the network, block by block: packets in, sound out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from bitstream import Header, Layout, Packet, Reader

from .analysis import GRAIN
from .audio import Samples
from .basis import Basis
from .network.exported import CodecNetwork
from .network.noise import seeded_noise
from .network.phase import SEGMENT, SETTLE, history
from .stereo import CHANNEL_SEED, put_together, shared_noise
from .workers import side_by_side

CONCEALMENT = 0.7  # a lost packet's components shrink by this factor a frame, towards the mean
GLIDE = 32  # frames after which what stood before a lost packet is not heard any more: 0.7 ** 32 is 1e-5
PARTS, FEWEST, MOST = 4, 2 * GRAIN, 8 * GRAIN  # blocks that a sound is cut into at least; frames that these have


def block_frames(frames: int | None) -> int:
    """How many frames of so many (None: not known) the network takes at once.

    Every block has its preroll beside it, so they should be long, but there should be one for every thread.
    """
    if frames is None:
        return MOST
    return min(max(FEWEST, -(-frames // (PARTS * GRAIN)) * GRAIN), MOST)


class Window(NamedTuple):
    """What the network is given for a block: its first frame's number, components around it, its length in frames."""

    start: int
    values: np.ndarray
    frames: int


class Synthesis:
    """Runs a decoder over the packets of a file, in windows: a block of frames, and its preroll."""

    def __init__(self, network: CodecNetwork, basis: Basis, header: Header) -> None:
        self.network, self.basis, self.header = network, basis, header
        self.preroll, self.hop = network.preroll, network.config.hop
        # Frames before a block that are looked at: its preroll and, for the phase of partials, frequencies before that.
        self._back = self.preroll + (SEGMENT + SETTLE if network.pitch is not None else 0)
        # What is only to say that others are there is not heard without them.
        self._heard = ~_alone(basis.switches(network.switches), header.components)

    def blocks(self, reader: Reader, first: int, last: int | None, size: int) -> Iterator[Samples]:
        """Sound [frames * hop, channels] of the frames `first` to before `last`, in blocks of `size` frames.

        Of a file with a seek index only what is needed is read: the span and its preroll. Lost packets are concealed:
        their components glide from the last ones to the mean. Blocks of a file that can seek are computed side by side,
        those of a pipe as they come.
        """
        windows = self._windows(self._read(reader, first, last), first, last, size)
        yield from side_by_side(self._render, windows) if reader.seekable else map(self._render, windows)

    def sound_of(self, values: np.ndarray) -> Iterator[Samples]:
        """Sound of components [channels, frames, n], be they rounded or not, as of those of a file."""
        frames = values.shape[1]
        windows = self._windows(iter([(0, self._with_step(values))]), 0, frames, block_frames(frames))
        yield from side_by_side(self._render, windows)

    def _read(self, reader: Reader, first: int, last: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """First frame and components, with their step, of the packets that the frames `first` to before `last` need."""
        full = self.header.frames_per_packet
        end = None if last is None else -(-(last + self.preroll) // full)
        latest = self._rest(1)
        for packet in reader.packets(max(0, first - max(self._back, self.preroll + GLIDE)) // full, end):
            values = self._values(packet, latest)
            latest = values[:, -1:]
            yield packet.start_frame, values

    def _windows(
        self, parts: Iterator[tuple[int, np.ndarray]], first: int, last: int | None, size: int
    ) -> Iterator[Window]:
        rest = self._rest(self._back)
        before = rest  # components of the frames before the block; zero is the mean
        ahead = rest[:, :0]  # components read and not yet heard
        start = first
        most, size = size, min(size, FEWEST)  # the first block is short, for who waits for it
        for begin, values in parts:
            early = max(0, first - begin)
            before = np.concatenate([before, values[:, :early]], 1)[:, -self._back :]
            ahead = np.concatenate([ahead, values[:, early:]], 1)
            while ahead.shape[1] >= size + self.preroll and (last is None or start + size <= last):
                yield self._window(start, before, ahead, size, size)
                before = np.concatenate([before, ahead[:, :size]], 1)[:, -self._back :]
                start, ahead, size = start + size, ahead[:, size:], most
        while ahead.shape[1] and (last is None or start < last):
            frames = min(ahead.shape[1], size)
            if last is not None:
                frames = min(frames, last - start)
            yield self._window(start, before, ahead, frames, size)
            before = np.concatenate([before, ahead[:, :frames]], 1)[:, -self._back :]
            start, ahead, size = start + frames, ahead[:, frames:], most

    def _values(self, packet: Packet, last: np.ndarray) -> np.ndarray:
        if packet.codes is not None:
            return self._with_step(self.components(packet.codes, packet.coarser), packet.coarser)
        fade = CONCEALMENT ** np.arange(1, packet.frames + 1)
        return self._with_step(last[..., :-1] * fade[None, :, None])

    def components(self, codes: np.ndarray, coarser: int = 0) -> np.ndarray:
        """Components [channels, frames, n] of a packet's integers, whose step is so much coarser than the file's."""
        steps = self.basis.steps(self.header.step + coarser)[: self.header.components].astype(np.float64) * self._heard
        return (put_together(codes) if self.header.layout == Layout.JOINT else codes) * steps

    def latents(self, components: np.ndarray) -> np.ndarray:
        """Latents [channels, latents, frames], float32, of components [channels, frames, n]."""
        return np.stack([self.basis.restore(values.T) for values in components]).astype(np.float32)

    def _with_step(self, values: np.ndarray, coarser: int = 0) -> np.ndarray:
        """Components [channels, frames, n] and, behind them, the step that they came with."""
        return np.pad(values, ((0, 0), (0, 0), (0, 1)), constant_values=self.header.step + coarser)

    def _rest(self, frames: int) -> np.ndarray:
        """Frames before or behind the file: components of zero, and no step of their own."""
        values = np.zeros((self.header.channels, frames, self.header.components))
        return np.pad(values, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)

    def _window(self, start: int, before: np.ndarray, ahead: np.ndarray, frames: int, most: int) -> Window:
        # Filled up, so that lengths, and with them the arithmetic, are few.
        grain = min(GRAIN, most)
        size = -(-frames // grain) * grain + self.preroll
        ahead = np.concatenate([ahead[:, :size], self._rest(max(0, size - ahead.shape[1]))], 1)
        return Window(start, np.concatenate([before, ahead], 1), frames)

    @torch.inference_mode()
    def _render(self, window: Window) -> Samples:
        """Sound [frames * hop, channels] of a block."""
        start, values, frames = window
        latents = torch.from_numpy(self.latents(values[..., :-1]))
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
        header = self.header
        if header.layout == Layout.JOINT:
            noise = shared_noise(header.seed, header.coherence, config.bands, first, length)
        else:
            seeds = [header.seed + CHANNEL_SEED * channel for channel in range(header.channels)]
            noise = torch.stack([seeded_noise(seed, config.bands, first, length) for seed in seeds])
        sound = self.network.render(latents, noise, source, past, begin, step)[0][:, 0]
        return np.ascontiguousarray(sound[:, self.preroll * self.hop : (self.preroll + frames) * self.hop].numpy().T)


def _alone(switches: np.ndarray, count: int) -> np.ndarray:
    """Which of the first `count` components switch others on (see `Basis.switches`), of which none is there."""
    ruling = set(switches[switches >= 0].tolist()) - set(switches[:count].tolist())
    return np.isin(np.arange(count), list(ruling))
