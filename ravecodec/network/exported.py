"""A user's own RAVE model, exported as TorchScript by the tools it was trained with, as a network of the codec.

Of an export (version 2, one channel) this uses `pqmf`, `encoder`, `decoder`, `pqmf.inverse`, `latent_pca` and `sr`. Its
own `encode` draws from the posterior and its `decode` fills up dropped components with noise: a codec can use neither.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .posterior import Posterior
from .vae import RaveNet

_LOCK = threading.Lock()  # a script has one state, and all of them draw from one generator
SUFFIX = ".ts"
KEY = "torchscript"  # of a config, and of what is stored
SCALE = 0.1  # of latents that an encoder without a posterior of its own places exactly
LEAST = 1e-4  # that is added to a posterior's scale
SCRIPT_FAULTS = RuntimeError, AttributeError, torch.jit.Error  # what comes of a script that does not do what is asked


@dataclass(frozen=True)
class ExportedConfig:
    """What is known of an export: its rate in Hz, samples a latent frame, latents, and what `probe` finds out.

    Prerolls are frames on either side that its halves see, `delay` samples (None: not yet measured).
    """

    name: str
    rate: int
    hop: int
    latents: int
    encoder_preroll: int = 0
    preroll: int = 0
    delay: int | None = None

    @property
    def bands(self) -> int:
        """Of the noise that it is given, which is no more than a seed."""
        return 1

    @property
    def decimation(self) -> int:
        """Samples of that noise a frame."""
        return 1

    def to_dict(self) -> dict[str, Any]:
        """As written into a model file."""
        return {KEY: asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ExportedConfig:
        """Of what `to_dict` gave; ValueError for anything else."""
        try:
            found = cls(**data[KEY])
        except (TypeError, KeyError) as error:
            raise ValueError("it says too little of its script, or more than this version knows") from error
        numbers = found.rate, found.hop, found.latents, found.encoder_preroll, found.preroll, found.delay or 0
        if not all(type(number) is int and number >= 0 for number in numbers) or 0 in numbers[:3]:
            raise ValueError("it says impossible things of its script")
        return found


class ExportedNet:
    """An export that encodes and decodes windows of sound, each as if it were the first; ValueError if it cannot.

    An export made for streaming goes on from what it was given last, and most draw noise: before every window it is
    brought back to the state that it was exported in, and the generator to a state that the file's seed decides.
    """

    pitch = None
    second = None
    tones = None
    places = False  # channels are coded each on its own
    single = tune = other = source = slice(0, 0)

    def __init__(self, script: bytes, config: ExportedConfig) -> None:
        self.script, self.config = script, config
        self._module = _loaded(script)
        self._state = [(name, buffer.detach().clone()) for name, buffer in self._module.named_buffers()]

    @classmethod
    def read(cls, path: Path) -> ExportedNet:
        """Of an export's file, not yet probed."""
        script = path.read_bytes()
        module = _loaded(script)  # one of its own: to find the hop it is run, which may leave a state
        rate = getattr(module, "sr", None) or getattr(module, "sampling_rate", None)
        if rate is None:
            raise ValueError("it does not say its sampling rate (sr)")
        return cls(script, ExportedConfig(path.stem, int(rate), _hop(module), _latents(module)))

    def prepared(self) -> ExportedNet:
        """Itself: a script is as it is."""
        return self

    def stored(self) -> dict[str, np.ndarray]:
        """What a model file keeps of it: the script itself."""
        return {KEY: np.frombuffer(self.script, np.uint8)}

    def encode(self, sound: Tensor) -> Posterior:
        """Sound [batch, 1, n], n a multiple of the hop, to the posterior over latents [batch, latents, n / hop]."""
        found = []
        for channel in sound:
            with self._fresh():
                found.append(_encoded(self._module, channel[None].clone()))
        both = torch.cat(found)
        if both.shape[1] == self.config.latents:
            return Posterior(both, torch.full_like(both, SCALE))
        mean, scale = both.chunk(2, 1)
        return Posterior(mean, F.softplus(scale) + LEAST)

    def render(
        self,
        latents: Tensor,
        noise: Tensor,
        source: Tensor | None = None,
        first: int = 0,
        start: int = 0,
        step: Tensor | float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Sound [batch, 1, frames * hop] of latents, as `RaveNet.render`; the first of the noise is all the seed."""
        found = []
        for channel, seed in zip(latents, noise, strict=True):
            with self._fresh(int.from_bytes(seed[0, :2].numpy().tobytes(), "little", signed=True)):
                found.append(_decoded(self._module, channel[None].clone()))
        sound = torch.cat(found)
        return sound, sound[..., :0]

    def joined(self, means: np.ndarray) -> np.ndarray:
        """Not for this: channels are coded each on its own."""
        raise NotImplementedError("an export codes no channels jointly")

    def held(self, means: np.ndarray) -> np.ndarray:
        """Posterior means as they are sent: as they are."""
        return means

    @property
    def ceiling(self) -> np.ndarray:
        """Of each latent the value above which it says no more: none has one."""
        return np.full(self.config.latents, np.inf)

    @property
    def switches(self) -> np.ndarray:
        """Of each latent the one without which it says nothing: none has one."""
        return np.full(self.config.latents, -1)

    @property
    def kinds(self) -> list[range]:
        """Latents that may be mixed: all."""
        return [range(self.config.latents)]

    @property
    def delay(self) -> int:
        """Samples by which decoded sound lags what was encoded."""
        return self.config.delay or 0

    @property
    def preroll(self) -> int:
        """Latent frames on either side after which the decoder no longer sees the edge of a block."""
        return self.config.preroll

    @property
    def encoder_preroll(self) -> int:
        """The same of the encoder."""
        return self.config.encoder_preroll

    @contextmanager
    def _fresh(self, seed: int | None = None) -> Iterator[None]:
        """In here the script is as it was exported, in full precision and its noise drawn from the seed."""
        with (
            _LOCK,
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast("cpu", enabled=False),
            torch.random.fork_rng(devices=[], enabled=seed is not None),
        ):
            _restore(self._module, self._state)
            if seed is not None:
                torch.default_generator.manual_seed(seed)
            yield


CodecNetwork = RaveNet | ExportedNet


def learned_here(network: CodecNetwork, source: str) -> RaveNet:
    """The network, if it is one that can be trained; ValueError that names its source if it is an export."""
    if isinstance(network, ExportedNet):
        raise ValueError(f"{source}: an exported RAVE model can code, but not learn here")
    return network


def _loaded(script: bytes) -> Any:
    """The module of a script, on the CPU; ValueError if it is none."""
    try:
        with warnings.catch_warnings():
            # Torch would have scripts replaced by another kind of export; those who trained a model have this one.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(io.BytesIO(script), map_location="cpu").eval()
    except SCRIPT_FAULTS as error:
        raise ValueError("it is no TorchScript file, or not a whole one") from error


def _restore(module: Any, state: list[tuple[str, Tensor]]) -> None:
    present = dict(module.named_buffers())
    for name, kept in state:
        buffer = present[name]
        if buffer.shape == kept.shape and buffer.dtype == kept.dtype:
            buffer.copy_(kept)
        else:  # the script has put another one in its place
            owner, _, last = name.rpartition(".")
            setattr(reduce(getattr, owner.split(".") if owner else [], module), last, kept.clone())


def _latents(module: Any) -> int:
    components = getattr(module, "latent_pca", None)
    if not isinstance(components, Tensor) or components.dim() != 2:
        raise ValueError("it has no latent_pca")
    return components.shape[0]


def _hop(module: Any, samples: int = 60 << 11) -> int:
    with torch.no_grad():
        frames = _encoded(module, torch.zeros(1, 1, samples)).shape[2]
    if not frames or samples % frames:
        raise ValueError(f"it makes {frames} latent frames of {samples} samples")
    return samples // frames


def _encoded(module: Any, sound: Tensor) -> Tensor:
    """Means, and scales if the model has them, [1, latents or twice as many, frames] of sound [1, 1, n]."""
    rows = _latents(module)
    try:
        found = module.encoder(module.pqmf(sound))
    except SCRIPT_FAULTS as error:
        raise ValueError(f"it cannot encode one channel ({_reason(error)})") from error
    if isinstance(found, Tensor) and not found.is_floating_point():
        raise ValueError("its encoder gives integers: this is for latents that are numbers, of a posterior")
    if not isinstance(found, Tensor) or found.dim() != 3 or found.shape[1] not in (rows, 2 * rows):
        what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"its encoder gives {what}, not [1, {rows} or {2 * rows}, frames]")
    return found.float()


def _decoded(module: Any, latents: Tensor) -> Tensor:
    """Sound [1, 1, n] of latents [1, latents, frames]."""
    try:
        found = module.pqmf.inverse(module.decoder(latents))
    except SCRIPT_FAULTS as error:
        raise ValueError(f"it cannot decode to one channel ({_reason(error)})") from error
    if not isinstance(found, Tensor) or found.shape[:-1] != (1, 1):
        what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"its decoder gives {what}, not [1, 1, samples]")
    return found.float()


def _reason(error: Exception) -> str:
    """What went wrong, of the many lines that a script's error has."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else type(error).__name__)
