"""Where the time of a training step goes: python benchmarks/training_step.py [--preset default] [--steps 20]

Random sound, stage 1, on the CPU; medians over steps, after a warm-up. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from ravecodec.memory import keep_freed_memory
from ravecodec.network.config import load_preset
from ravecodec.network.posterior import Posterior
from ravecodec.network.vae import RaveNet
from ravecodec.training.losses import (
    envelope_distance,
    modulation_distance,
    spectral_distance,
    steadiness_distance,
    structure_distance,
    waveform_distance,
)
from ravecodec.training.stages import training_noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=32768)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)

    net = RaveNet(load_preset(arguments.preset)).train()
    rate = net.config.rate
    optimiser = torch.optim.AdamW(net.parameters(), 1e-4, fused=True)
    sound = 0.1 * torch.randn(arguments.batch, 1, arguments.crop)
    times: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        times.setdefault(name, []).append(time.perf_counter() - start)
        return result

    for _ in range(arguments.steps + 3):
        timed("PQMF analysis", lambda: net.pqmf(sound))
        posterior: Posterior = timed("encoder", lambda: net.encode(sound))
        noise = training_noise(net, sound)
        out = timed("decoder", lambda p=posterior, n=noise: net.render(p.sample(), n)[0])
        # The losses are timed with their own way back to the sound.
        leaf = out[:, 0].detach().requires_grad_()
        gradient = torch.zeros_like(leaf)
        for name, loss in (
            ("spectral distance", lambda y: spectral_distance(sound[:, 0], y)),
            ("waveform distance", lambda y: waveform_distance(sound[:, 0], y, rate)),
            ("structure distance", lambda y: structure_distance(sound[:, 0], y, rate)),
            ("envelope distance", lambda y: envelope_distance(sound[:, 0], y, rate)),
            ("modulation distance", lambda y: modulation_distance(sound[:, 0], y, rate)),
            ("steadiness distance", lambda y: steadiness_distance(sound[:, 0], y, rate)),
        ):
            gradient += timed(name, lambda f=loss, y=leaf: torch.autograd.grad(f(y), y)[0])

        def backward(sound_out: torch.Tensor, upstream: torch.Tensor, p: Posterior) -> None:
            optimiser.zero_grad(set_to_none=True)
            (0.02 * p.kl().sum(1).mean() + (sound_out[:, 0] * upstream).sum()).backward()

        timed("network backward", lambda o=out, g=gradient, p=posterior: backward(o, g, p))
        timed("optimiser", optimiser.step)

    medians = {name: statistics.median(values[3:]) for name, values in times.items()}
    total = sum(medians.values()) - medians["PQMF analysis"]  # which is part of the encoder
    seconds = arguments.batch * arguments.crop / rate
    print(f"{arguments.preset}: {arguments.batch} x {arguments.crop} samples, {arguments.threads} threads")
    for name, value in medians.items():
        print(f"  {name:20s} {1000 * value:7.1f} ms  {100 * value / total:4.1f} %")
    print(f"  {'step':20s} {1000 * total:7.1f} ms  = {seconds / total:.1f} s of sound a second")


if __name__ == "__main__":
    main()
