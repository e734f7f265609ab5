"""EnCodec, DAC and SNAC beside us, where their weights are at hand: pip install 'ravecodec[neural]'.

Their code is an ordinary package; their weights are files of their authors' that no package carries. `weights` names
a folder that holds them, or a model's name on the Hugging Face hub that is already in the local cache (`hf download
NAME` fetches it): nothing is downloaded here, and what is missing is said plainly.

`random_weights=True` builds the network without them. It then takes as long as the real one, which is what it is
for; what comes out is noise, so its label says so, and no sweep accepts it.

Bytes: 10 of header (channels, code books, samples, frames), then every code in 10 bits (12 for SNAC), channel by
channel. EnCodec's own .ecdc has a longer header without its language model, DAC's .dac a pickle with 16 bits a code,
SNAC no file at all: none of them would be smaller. The models are mono: each channel is coded by itself.

    encodec   Defossez et al. 2022 (arXiv 2210.13438), the model at 24 kHz: 1.5, 3, 6, 12 or 24 kbit/s a channel
    dac       Kumar et al. 2023 (arXiv 2306.06546), the model at 44.1 kHz: 1 to 9 code books of 0.86 kbit/s
    snac      Siuzdak et al. 2024 (arXiv 2410.14411), the model at 44.1 kHz: 2.6 kbit/s
"""

from __future__ import annotations

import hashlib
import importlib
import struct
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eval.audio import Audio, resample
from eval.codecs.codec import Codec, end_at
from eval.errors import CodecError, Unavailable

Codes = NDArray[np.integer[Any]]
"""Code numbers [ch, frames] of one code book."""
HEADER = struct.Struct("<BBII")
INSTALL = "pip install 'ravecodec[neural]'"


class Neural(Codec):
    """A neural codec with the `weights` of its authors, or with random ones for timing."""

    title: ClassVar[str]
    hub: ClassVar[str]
    bits: ClassVar[int] = 10
    rate: ClassVar[int]
    hop: ClassVar[int]

    def __init__(self, weights: str | None = None, random_weights: bool = False, **settings: Any) -> None:
        flag = {"random_weights": True} if random_weights else {}
        super().__init__(weights=weights or self.hub, **settings, **flag)
        self.weights = None if random_weights else weights or self.hub
        self.faithful = not random_weights

    @property
    def label(self) -> str:
        return f"{self.title}{self.detail}" + ("" if self.faithful else " (random weights)")

    detail = ""

    def identity(self) -> Mapping[str, str]:
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model().state_dict().items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        return {"weights": digest.hexdigest()[:32]}

    def prepare(self) -> None:
        self._model()

    def encode(self, wav: Audio, rate: int) -> bytes:
        import torch

        x = resample(wav, rate, self.rate)
        frames = -(-len(x) // self.hop)
        padded = np.pad(x, ((0, frames * self.hop - len(x)), (0, 0))).T.astype(np.float32)
        with torch.inference_mode():
            books = self.codes(self._model(), torch.from_numpy(np.ascontiguousarray(padded[:, None])))
        head = HEADER.pack(wav.shape[1], len(books), len(x), frames)
        return head + pack(np.concatenate([book.ravel() for book in books]), self.bits)

    def decode(self, data: bytes) -> tuple[Audio, int]:
        import torch

        channels, count, samples, frames = HEADER.unpack_from(data)
        lengths = self.lengths(frames, count)
        numbers = unpack(data[HEADER.size :], self.bits, channels * sum(lengths))
        ends = np.cumsum([channels * length for length in lengths])
        books = [part.reshape(channels, -1) for part in np.split(numbers, ends[:-1])]
        with torch.inference_mode():
            wav = self.sound(self._model(), [torch.from_numpy(book) for book in books])
        return wav.numpy().reshape(channels, -1).T[:samples], self.rate

    def fit(self, decoded: Audio, samples: int) -> Audio:
        return end_at(decoded, samples, self.hop)

    def lengths(self, frames: int, count: int) -> list[int]:
        """The number of codes of each of `count` code books, for so many hops of sound."""
        return [frames] * count

    @abstractmethod
    def build(self) -> Any:
        """The network: with weights where `self.weights` names them, OSError where they are missing."""

    @abstractmethod
    def codes(self, model: Any, x: Any) -> list[Codes]:
        """The codes of a sound, a tensor [ch, 1, n]."""

    @abstractmethod
    def sound(self, model: Any, books: Sequence[Any]) -> Any:
        """The sound [ch, ...] of the codes."""

    def _model(self) -> Any:
        return _built(type(self), self.weights)


class EnCodec(Neural):
    """EnCodec at 24 kHz, `bandwidth` kbit/s a channel."""

    name, title, hub = "encodec", "EnCodec", "facebook/encodec_24khz"
    rate, hop = 24_000, 320

    def __init__(self, bandwidth: float = 6.0, weights: str | None = None, random_weights: bool = False) -> None:
        super().__init__(weights, random_weights, bandwidth=bandwidth)
        self.bandwidth = bandwidth
        self.detail = f" {bandwidth:g}"

    def build(self) -> Any:
        transformers = _package("transformers")
        if self.weights is None:
            return transformers.EncodecModel(transformers.EncodecConfig())
        return transformers.EncodecModel.from_pretrained(self.weights, local_files_only=True)

    def codes(self, model: Any, x: Any) -> list[Codes]:
        coded = model.encode(x, bandwidth=self.bandwidth).audio_codes[0]
        return list(coded.transpose(0, 1).numpy())

    def sound(self, model: Any, books: Sequence[Any]) -> Any:
        import torch

        return model.decode(torch.stack(list(books), 1)[None], [None])[0]


class Dac(Neural):
    """DAC at 44.1 kHz with the first `codebooks` of its nine."""

    name, title, hub = "dac", "DAC", "descript/dac_44khz"
    rate, hop = 44_100, 512

    def __init__(self, codebooks: int = 9, weights: str | None = None, random_weights: bool = False) -> None:
        super().__init__(weights, random_weights, codebooks=codebooks)
        self.codebooks = codebooks
        self.detail = f" {codebooks} books"

    def build(self) -> Any:
        transformers = _package("transformers")
        if self.weights is None:
            layout = {"sampling_rate": 44_100, "downsampling_ratios": [2, 4, 8, 8], "n_codebooks": 9}
            return transformers.DacModel(transformers.DacConfig(**layout))
        return transformers.DacModel.from_pretrained(self.weights, local_files_only=True)

    def codes(self, model: Any, x: Any) -> list[Codes]:
        return list(model.encode(x, n_quantizers=self.codebooks).audio_codes.transpose(0, 1).numpy())

    def sound(self, model: Any, books: Sequence[Any]) -> Any:
        import torch

        return model.decode(audio_codes=torch.stack(list(books), 1)).audio_values


class Snac(Neural):
    """SNAC at 44.1 kHz: four code books, each at half the rate of the next."""

    name, title, hub = "snac", "SNAC", "hubertsiuzdak/snac_44khz"
    bits = 12
    strides = (8, 4, 2, 1)
    rate, hop = 44_100, 512 * 32
    """The hop is a whole window of its attention, and a multiple of the longest stride."""

    def __init__(self, weights: str | None = None, random_weights: bool = False) -> None:
        super().__init__(weights, random_weights)

    def build(self) -> Any:
        snac = _package("snac")
        if self.weights is None:
            return snac.SNAC(encoder_rates=[2, 4, 8, 8], decoder_rates=[8, 8, 4, 2])
        return snac.SNAC.from_pretrained(self.weights, local_files_only=True)

    def lengths(self, frames: int, count: int) -> list[int]:
        return [frames * 32 // stride for stride in self.strides]

    def codes(self, model: Any, x: Any) -> list[Codes]:
        return [book.numpy() for book in model.encode(x)]

    def sound(self, model: Any, books: Sequence[Any]) -> Any:
        return model.decode(list(books))


def pack(numbers: Codes, bits: int) -> bytes:
    """Whole numbers below 2^bits, `bits` bits each, the highest first."""
    spread = (numbers[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(spread.astype(np.uint8)).tobytes()


def unpack(data: bytes, bits: int, count: int) -> Codes:
    """The inverse of `pack`; CodecError for too few bytes."""
    spread = np.unpackbits(np.frombuffer(data, np.uint8))
    if len(spread) < bits * count:
        raise CodecError("the coded sound is cut short")
    numbers: Codes = spread[: bits * count].reshape(count, bits) @ (1 << np.arange(bits - 1, -1, -1))
    return numbers


@lru_cache(maxsize=2)
def _built(kind: type[Neural], weights: str | None) -> Any:
    codec = kind(random_weights=True) if weights is None else kind(weights=weights)
    try:
        return codec.build().eval()
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"{codec.title}: its weights are missing, there is neither a folder {weights} nor a model of that name in "
            f"the hub's local cache; `hf download {kind.hub}` fetches them where the hub can be reached"
        ) from error


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Unavailable(f"the package {name} is not installed: {INSTALL}") from error
