"""What a training run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class TrainOptions:
    """Options of `ravecodec train`; times in minutes or seconds as named, rates in kbit/s."""

    store: Path
    out: Path
    preset: str = "default"
    stage: int = 1
    init_from: str | None = None
    latents: Literal["samples", "integers"] = "samples"
    learns: Literal["decoder", "refiner"] = "decoder"
    minutes: float | None = None
    steps: int | None = None
    batch: int = 8
    crop: int = 32768
    rate: float = 2.4  # what beta steers the information in the latents to
    beta: float | None = None  # a fixed beta instead
    beta_start: float = 2e-3  # where the steering begins
    learning_rate: float = 8e-4
    warmup: int = 300
    decay: float = 0.25  # share of the run, at its end, in which the learning rate falls to nothing
    waveform_weight: float = 3.0
    structure_weight: float = 4.0
    envelope_weight: float = 4.0
    modulation_weight: float = 3.0
    steadiness_weight: float = 3.0
    adversarial_weight: float = 1.0
    matching_weight: float = 4.0
    ema: float = 0.999
    weights: dict[str, float] = field(default_factory=lambda: {"speech": 2.0})
    speed: float = 1.0  # half of the excerpts are played up to so many times faster or slower
    seed: int = 0
    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    graph: Literal["off", "on"] = "off"
    threads: int | None = None
    log_every: int = 50
    audio_every: int = 2000
    checkpoint_seconds: float = 120.0

    @property
    def judged(self) -> bool:
        """Whether stage 2 has a discriminator: with neither of its weights there is none to ask."""
        return self.adversarial_weight > 0 or self.matching_weight > 0
