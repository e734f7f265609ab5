"""The arms of the trials: what each changes of the usual recipe, and code for what the product does not have."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ravecodec.network import layers, vae
from ravecodec.network.config import NetworkConfig
from ravecodec.training import run, stages


@dataclass(frozen=True)
class Arm:
    """What one trial changes: fields of the network (`encoder_channels` reaches into a stack), options, code."""

    what: str
    network: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    code: str = ""  # the name of what is put in the product's place
    preset: str = "default"
    adversarial: float = 0.0  # share of the time, at its end, that goes to stage 2


SPECTRAL_ALONE = dict.fromkeys(
    [f"{loss}_weight" for loss in ("waveform", "structure", "envelope", "modulation", "steadiness")], 0.0
)
NO_PITCH = {"pitch": False, "pitch_detail": False, "second_pitch": False, "scatter_unvoiced": 0, "scatter_lowest": 0}
NO_LAPPED = {"lapped": False, "lapped_coefficients": 0}
ARMS: dict[str, Arm] = {
    "base": Arm("the usual recipe"),
    "base-again": Arm("the usual recipe, another seed", options={"seed": 1}),
    "paper": Arm("the paper's network and loss", options=SPECTRAL_ALONE, preset="rave"),
    "paper-loss": Arm("the spectral distance alone", options=SPECTRAL_ALONE),
    "no-pitch": Arm("no latents of pitch, no partials made of them", NO_PITCH),
    "no-harmonics": Arm("no harmonic source", {"harmonics": False}),
    "no-detail": Arm("the pitch twice a frame, not four times", {"pitch_detail": False}),
    "lapped-65": Arm("65 coefficients of the lapped transform; once there were 67",
                     {"lapped_coefficients": 65, "second_pitch": False}),
    "no-lapped": Arm("no lapped transform of the lowest band", NO_LAPPED),
    "no-structure": Arm("no structure distance", options={"structure_weight": 0.0}),
    "no-waveform": Arm("no waveform distance", options={"waveform_weight": 0.0}),
    "no-envelope-loss": Arm("no envelope distance", options={"envelope_weight": 0.0}),
    "no-modulation": Arm("no modulation distance", options={"modulation_weight": 0.0}),
    "windows-4096": Arm("a window of 4096 more in the spectral distance", code="windows"),
    "pytorch-init": Arm("PyTorch's initialisation", code="init"),
    "batch-norm": Arm("batch norm in encoder and decoder", {"encoder_norm": "batch", "decoder_norm": "batch"}),
    "weight-norm": Arm("weight norm", code="weight_norm"),
    "snake": Arm("Snake in place of leaky ReLU, a frequency a layer", code="snake"),
    "muon": Arm("Muon for the matrices, rate 0.01", code="muon"),
    "rate-0.4": Arm("learning rate times 0.4", options={"learning_rate": 3.2e-4}),
    "rate-2.5": Arm("learning rate times 2.5", options={"learning_rate": 2e-3}),
    "batch-1": Arm("batches of 1", options={"batch": 1}),
    "batch-2": Arm("batches of 2", options={"batch": 2}),
    "no-lapped-batch-1": Arm("no lapped transform, batches of 1", NO_LAPPED, {"batch": 1}),
    "batch-8": Arm("batches of 8", options={"batch": 8}),
    "crop-16384": Arm("crops of 16384, batches of 8", options={"batch": 8, "crop": 16384}),
    # Where beta begins decides the rate that so few updates end with.
    "hop-1024": Arm("hop 1024", {"ratios": (4, 4, 2, 2), "lapped_coefficients": 20}, {"beta_start": 0.04}),
    "hop-512": Arm("hop 512", {"ratios": (4, 2, 2, 2), "lapped_coefficients": 10}, {"beta_start": 0.08}),
    "adversarial-early": Arm("stage 2 for the second half of the time", adversarial=0.5),
    "wide": Arm("wider, one unit at each width", {
        "encoder_channels": (40, 120, 240, 480, 480), "encoder_units": (0, 1, 1, 1, 0),
        "decoder_channels": (40, 160, 320, 480, 480), "decoder_units": (1, 1, 1, 1, 0)}),
    "deep": Arm("narrower, three units at each width", {
        "encoder_channels": (28, 80, 160, 320, 320), "encoder_units": (0, 3, 3, 3, 0),
        "decoder_channels": (28, 112, 208, 320, 320), "decoder_units": (2, 3, 3, 3, 0)}),
}


def as_toml(data: dict[str, Any]) -> str:
    """A preset's text."""

    def text(value: Any) -> str:
        return json.dumps(list(value) if isinstance(value, tuple) else value)

    plain = [f"{k} = {text(v)}" for k, v in data.items() if not isinstance(v, dict)]
    tables = [(k, v) for k, v in data.items() if isinstance(v, dict)]
    return "\n".join(plain + [line for k, v in tables for line in ("", f"[{k}]", as_toml(v))])


def changed(config: NetworkConfig, changes: dict[str, Any]) -> NetworkConfig:
    """The network of an arm."""
    sides: dict[str, dict[str, Any]] = {"encoder": {}, "decoder": {}}
    own = {}
    for key, value in changes.items():
        side, _, field = key.partition("_")
        if side in sides:
            sides[side][field] = value
        else:
            own[key] = value
    stacks = {side: replace(getattr(config, side), **fields) for side, fields in sides.items() if fields}
    return replace(config, **own, **stacks)


class Snake(nn.Module):
    """x + sin^2(a x) / a (Ziyin et al. 2020), one learned a."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x + torch.sin(self.a * x).square() / (self.a + 1e-4)


_AdamW = torch.optim.AdamW


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal (Jordan et al. 2024) for matrices and convolutions, AdamW for all else."""

    def __init__(self, params: Any, lr: float, fused: bool = False, **rest: Any) -> None:
        params = list(params)
        super().__init__(params, {"lr": lr})
        self.matrices = [p for p in params if p.ndim > 1 and min(p.shape[0], p.numel() // p.shape[0]) > 8]
        ids = {id(p) for p in self.matrices}
        self.others = _AdamW([p for p in params if id(p) not in ids], lr=lr, **rest)
        self.momenta = [torch.zeros_like(p) for p in self.matrices]
        self.usual = lr

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update."""
        factor = float(self.param_groups[0]["lr"]) / self.usual
        self.others.param_groups[0]["lr"] = self.usual * factor
        self.others.step()
        for p, momentum in zip(self.matrices, self.momenta, strict=True):
            if p.grad is None:
                continue
            momentum.lerp_(p.grad, 0.05)
            update = orthogonal(p.grad.lerp(momentum, 0.95).flatten(1)).view_as(p)
            p.add_(update, alpha=-0.01 * factor * max(1, p.shape[0] / (p.numel() // p.shape[0])) ** 0.5)


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Nearly the orthogonal factor of a matrix, by Newton and Schulz."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(rounds):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def patch(name: str) -> None:
    """Put an arm's code in the product's place, for this process."""
    made = vae.RaveNet.__init__

    def after(work: Any) -> None:
        def built(self: Any, *arguments: Any, **named: Any) -> None:
            made(self, *arguments, **named)
            for place, module in list(self.named_modules()):
                # What comes last has scales of its own, set by hand.
                if isinstance(module, layers.Conv) and "head" not in place:
                    work(module)

        vae.RaveNet.__init__ = built  # type: ignore[method-assign]

    if name == "snake":
        nn.LeakyReLU = Snake  # type: ignore[misc, assignment]
    elif name == "windows":
        stages.spectral_distance = functools.partial(  # type: ignore[assignment]
            stages.spectral_distance, windows=(4096, 2048, 1024, 512, 256, 128))
    elif name == "init":
        after(lambda module: module.reset_parameters())
    elif name == "weight_norm":
        after(nn.utils.parametrizations.weight_norm)
    elif name == "muon":
        run.torch.optim.AdamW = Muon  # type: ignore[misc, assignment, attr-defined]
