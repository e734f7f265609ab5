"""The shape of a network: everything that a preset (a TOML file) decides."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LAPPED_SHARE = 0.75  # of the latents, those that start as coefficients of the lapped transform if no number is given


@dataclass(frozen=True)
class StackConfig:
    """One side's convolutions: widths from the full sub-band rate (first) to the latent rate (last)."""

    channels: tuple[int, ...]
    units: tuple[int, ...]  # residual units at each width
    dilations: tuple[int, ...] = (1, 3, 9)
    kernel: int = 3
    layers: int = 1  # dilated convolutions in one residual unit
    norm: str = "none"  # "none" or "batch"


@dataclass(frozen=True)
class NoiseConfig:
    """The noise synthesiser: filter bands per sub-band, and sub-band samples per filter."""

    bands: int = 5
    hop: int = 16
    channels: int = 32


_LATER = (
    "lapped_coefficients", "envelope_lowest", "envelope_detail", "envelope_rounds", "pitch", "pitch_detail", "tones",
    "scatter", "scatter_unvoiced", "scatter_lowest", "envelope_refiner", "envelope_rise", "second_pitch",
)


@dataclass(frozen=True)
class NetworkConfig:
    """A whole network; `ratios` multiply to the decimation of the sub-bands."""

    name: str
    encoder: StackConfig
    decoder: StackConfig
    rate: int = 48000
    bands: int = 16
    latents: int = 128
    ratios: tuple[int, ...] = (4, 4, 4, 2)
    padding: str = "centred"
    gain_shape: bool = False  # divide by the local level before coding, multiply after
    lapped: bool = False  # a linear lapped transform of the lowest band beside the stacks
    lapped_coefficients: int = 0  # latents that start as its lowest coefficients (0: three quarters of the latents)
    harmonics: bool = False  # a harmonic source made of the decoded lowest bands, beside the noise
    envelope: int = 0  # latents that carry the spectral envelope, which the decoded sound is brought to
    envelope_lowest: float = 250.0  # Hz, the centre of the envelope's lowest band
    envelope_detail: int = 0  # more latents: how the envelope changes within a frame
    envelope_rounds: int = 1  # in which decoded sound is brought to the envelope
    envelope_refiner: int = 0  # channels of a network that says what an envelope was before it was rounded (0: none)
    envelope_rise: bool = False  # with it, an envelope may be trusted the more, the coarser the step
    pitch: bool = False  # four latents of pitch and voicing, and a source of partials at that pitch
    pitch_detail: bool = False  # two more latents: how the pitch moves within either half of a frame
    second_pitch: bool = False  # two more latents: a second pitch a frame, its voicing, and partials of that, too
    tones: int = 0  # bands from 1.5 to 8 kHz that each have two latents of a single tone, and a source of those
    scatter: int = 0  # the first sub-band whose waveform gets random signs, so that noise is not a loop (0: none)
    scatter_unvoiced: int = 0  # the first one that gets them as far as there is no pitch (0: none)
    scatter_lowest: float = 0.0  # Hz from which on the lowest one's own waveform gets them, where no pitch (0: nowhere)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    discriminator_channels: int = 16
    discriminator_scales: int = 3

    def __post_init__(self) -> None:
        if self.padding not in ("centred", "causal"):
            raise ValueError(f"padding is 'centred' or 'causal', not {self.padding!r}")
        for side in (self.encoder, self.decoder):
            if len(side.channels) != len(self.ratios) + 1 or len(side.units) != len(side.channels):
                raise ValueError("a stack needs one width and one unit count more than there are ratios")
            if side.norm not in ("none", "batch"):
                raise ValueError(f"norm is 'none' or 'batch', not {side.norm!r}")
        if self.lapped_coefficients and not self.lapped:
            raise ValueError("lapped_coefficients are those of the lapped transform: they need lapped")
        if self.envelope and not self.gain_shape:
            raise ValueError("an envelope is relative to the level: it needs gain_shape")
        if self.envelope_refiner and not self.envelope:
            raise ValueError("envelope_refiner refines an envelope: it needs envelope")
        if self.envelope_rise and not self.envelope_refiner:
            raise ValueError("envelope_rise is learned with a refiner: it needs envelope_refiner")
        if self.envelope_rounds < 1:
            raise ValueError("envelope_rounds is at least 1")
        if self.envelope_detail > self.envelope:
            raise ValueError("envelope_detail is at most envelope")
        if self.pitch and not self.envelope:
            raise ValueError("pitch needs an envelope to shape its partials")
        if self.pitch_detail and not self.pitch:
            raise ValueError("pitch_detail is more of the pitch: it needs pitch")
        if self.second_pitch and not self.pitch:
            raise ValueError("second_pitch is what a first one leaves: it needs pitch")
        if self.tones and not self.pitch:
            raise ValueError("tones leave to the pitch what is voiced: they need pitch")
        if self.tones and self.hop < 512:
            raise ValueError(f"tones need a hop of at least 512 samples to be told apart, not {self.hop}")
        if self.gain_shape and self.latents <= self.measured:
            raise ValueError(f"{self.latents} latents are too few: {self.measured} of them are measured")
        if not 0 <= self.lapped_coefficients <= min(self.free, self.decimation):
            raise ValueError(f"lapped_coefficients are 0 to {min(self.free, self.decimation)}")
        if self.scatter_steered and not self.pitch:
            raise ValueError("scatter_unvoiced and scatter_lowest go by the voicing: they need pitch")
        if not 0 <= self.scatter_lowest < self.rate / (2 * self.bands):
            raise ValueError(f"scatter_lowest lies in the lowest band, below {self.rate / (2 * self.bands):g} Hz")
        if self.padding == "causal" and (self.gain_shape or self.lapped or self.harmonics):
            raise ValueError("gain_shape, lapped and harmonics look ahead: they need centred padding")

    @property
    def decimation(self) -> int:
        """Sub-band samples per latent frame."""
        product = 1
        for ratio in self.ratios:
            product *= ratio
        return product

    @property
    def hop(self) -> int:
        """Samples of sound per latent frame."""
        return self.bands * self.decimation

    @property
    def measured(self) -> int:
        """Latents that start as something measured, with gain_shape: level, envelope, pitch and voicing, tones."""
        pitch = 4 * self.pitch + 2 * self.pitch_detail + 2 * self.second_pitch
        return 1 + self.envelope + self.envelope_detail + pitch + 2 * self.tones

    @property
    def free(self) -> int:
        """Latents that are learned freely: those before the measured ones."""
        return self.latents - self.measured

    @property
    def carried(self) -> int:
        """Latents that start as coefficients of the lapped transform."""
        return min(self.lapped_coefficients or round(LAPPED_SHARE * self.latents), self.decimation, self.free)

    @property
    def scatter_steered(self) -> bool:
        """Whether random signs go by the voicing."""
        return bool(self.scatter_unvoiced or self.scatter_lowest)

    @property
    def causal(self) -> bool:
        """Whether nothing looks ahead."""
        return self.padding == "causal"

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary, as written into a model file.

        Fields that came after the first models are left out where they say nothing: a model's id is a hash over this.
        """
        found = asdict(self)
        silent = {f.name: f.default for f in fields(self) if f.name in _LATER}
        return {key: value for key, value in found.items() if key not in silent or value != silent[key]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NetworkConfig:
        """Build from a parsed TOML or JSON document; unknown keys raise ValueError."""
        data = dict(data)
        for key, kind in (("encoder", StackConfig), ("decoder", StackConfig), ("noise", NoiseConfig)):
            if key in data:
                data[key] = _build(kind, data[key], f"[{key}]")
        return _build(cls, data, "the network")


def _build(kind: Any, data: dict[str, Any], where: str) -> Any:
    unknown = sorted(set(data) - {f.name for f in fields(kind)})
    if unknown:
        raise ValueError(f"{where} does not know {', '.join(unknown)}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


def preset_names() -> list[str]:
    """Names of the presets inside the package."""
    folder = resources.files("ravecodec") / "presets"
    return sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml"))


def load_preset(name_or_path: str) -> NetworkConfig:
    """Read a preset by name, or a TOML file by path; ValueError names what is wrong."""
    if name_or_path.endswith(".toml"):
        text = Path(name_or_path).read_text(encoding="utf-8")
    elif name_or_path in preset_names():
        text = (resources.files("ravecodec") / "presets" / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        raise ValueError(f"no preset {name_or_path!r}; there are {', '.join(preset_names())}, or give a .toml file")
    return NetworkConfig.from_dict(tomllib.loads(text))
