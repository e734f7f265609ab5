"""`ravecodec train`: one loop for both stages, resumable at any moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..basis import Basis
from ..memory import keep_freed_memory
from ..network.config import NetworkConfig, load_preset
from ..network.exported import learned_here
from ..network.vae import RaveNet
from . import checkpoint
from .graph import RecordedStep
from .integers import Quantised
from .options import TrainOptions
from .stages import Adversarial, Representation, Truncation, with_refiner
from .store import Sampler, Store

log = logging.getLogger("ravecodec.train")
BITS_PER_NAT = 1.4426950408889634
LEARNED_FROM = 512  # crops from which the entropy model of integers begins
CLOCK_EVERY = 8  # steps between two looks at the clock that processes share: a look waits for the device


class Trainer:
    """The state of a run: network, optimisers, moving average, beta, step."""

    def __init__(self, options: TrainOptions) -> None:
        from lightning_fabric import Fabric

        keep_freed_memory()
        # Before any thread starts, so that all inherit it: numbers near 1e-40 cost a hundred times the usual.
        torch.set_flush_denormal(True)
        if options.threads:
            torch.set_num_threads(options.threads)
        self.options = options
        precision: Any = {"plugins": [mixed_precision(options)]} if "mixed" in options.precision else {
            "precision": options.precision
        }
        if options.devices > 1:
            from lightning_fabric.strategies import DDPStrategy

            # The second stage's two passes use different parameters.
            precision["strategy"] = DDPStrategy(find_unused_parameters=options.stage == 2)
        self.fabric = Fabric(accelerator=options.accelerator, devices=options.devices, **precision)
        self.fabric.launch()
        # What stays in float32 does so for its last bits (filter banks); the choice of kernels is made once per shape.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        if options.batch % self.fabric.world_size:
            raise ValueError(f"a batch of {options.batch} cannot be shared by {self.fabric.world_size} processes")
        torch.manual_seed(options.seed + 7919 * self.fabric.global_rank)
        saved = checkpoint.load(options.out)
        if saved is not None and saved["stage"] != options.stage:
            raise ValueError(
                f"{options.out}: holds stage {saved['stage']}; "
                f"give stage {options.stage} a folder of its own"
            )
        if saved is not None and saved.get("latents", "samples") != options.latents:
            raise ValueError(f"{options.out}: holds no run on {options.latents}; give that one its own folder")
        if saved is not None and saved.get("learns", "decoder") != options.learns:
            raise ValueError(f"{options.out}: there it was not the {options.learns} that learned; take another folder")
        if options.learns == "refiner" and options.stage == 1:
            raise ValueError("only stage 2 can let the refiner learn alone: give --stage 2")
        net, self.basis = self._network(saved)
        truncation = None if self.basis is None else Truncation(self.basis)
        self.config: NetworkConfig = net.config
        if self.fabric.device.type == "cuda":
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        store = Store(options.store)
        # Every process draws the whole batch and takes its share: the sound is the same however many there are.
        self.sampler = Sampler(store, options.weights, self.fabric.device, options.seed, options.speed)
        if saved is None and options.init_from is None:
            dice = Sampler(store, options.weights, torch.device("cpu"), options.seed)  # the same on every process
            net.adapt(dice.batch(10**8, 64, options.crop))
        self.average = {k: v.detach().clone().to(self.fabric.device) for k, v in net.state_dict().items()}
        self.step, self.seen, self.trained = 0, 0.0, 0.0
        self.beta = torch.tensor(options.beta or options.beta_start, device=self.fabric.device)
        if options.stage == 1:
            self.module: Any = Representation(net)
            if options.latents == "integers":
                if truncation is None:
                    raise ValueError("integers are those of a calibrated model: name it with --init-from")
                self.module = Quantised(net, truncation)
                if saved is None:
                    dice = Sampler(store, options.weights, torch.device("cpu"), options.seed)
                    self.module.learn_prior(dice.batch(10**8, LEARNED_FROM, options.crop))
            groups = [list(self.module.parameters())]
        else:
            self.module = Adversarial(net, truncation, options.judged, options.learns == "refiner")
            groups = [[p for p in net.parameters() if p.requires_grad], list(self.module.discriminator.parameters())]
        betas = (0.8, 0.99) if options.stage == 1 else (0.5, 0.9)
        rates = [options.learning_rate, options.learning_rate / 2]
        optimisers = [
            torch.optim.AdamW(g, lr=r, betas=betas, weight_decay=1e-3, fused=True)
            for g, r in zip(groups, rates, strict=False)
        ]
        self.rates = rates[: len(optimisers)]
        self.net = net
        self.groups = groups
        self.module, *self.optimisers = self.fabric.setup(self.module, *optimisers)
        if saved is not None:
            self._restore(saved)
        # On one card the step is recorded, so whatever changes between steps has to be a tensor there.
        recorded = self.fabric.device.type == "cuda" and self.fabric.world_size == 1 and options.graph == "on"
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["capturable"] = recorded
                group["lr"] = torch.tensor(float(group["lr"]), device=self.fabric.device)
        current = net.state_dict()
        floats = [k for k, v in current.items() if v.is_floating_point()]
        self._averaged = [self.average[k] for k in floats], [current[k] for k in floats]
        step = self._stage_one if options.stage == 1 else self._stage_two
        self._take = RecordedStep(step) if recorded else step
        log.info(
            "%s: %.2f h of sound; network %s, %.2f M parameters; stage %d from step %d",
            options.store, store.seconds / 3600, self.config.name, net.parameter_count() / 1e6, options.stage,
            self.step,
        )

    def _network(self, saved: dict[str, Any] | None) -> tuple[RaveNet, Basis | None]:
        from ..modelfile import load_model

        basis = checkpoint.basis(saved) if saved is not None else None
        self.notes: dict[str, Any] = saved.get("notes", {}) if saved is not None else {}
        if self.options.init_from is not None:
            model = load_model(self.options.init_from)
            self.notes = self.notes or model.notes
            basis = basis or model.basis
            net = learned_here(model.network, self.options.init_from)
            if self.options.learns == "refiner":
                began = None if saved is None else NetworkConfig.from_dict(saved["config"])
                net = with_refiner(net, began or load_preset(self.options.preset))
        elif saved is not None:
            net = RaveNet(NetworkConfig.from_dict(saved["config"]))
        else:
            net = RaveNet(load_preset(self.options.preset))
        if self.options.stage == 2 and basis is None:
            log.warning("stage 2 without a calibrated --init-from: the decoder will not see quantised latents")
        return net, basis

    def run(self, progress: Callable[[int, dict[str, float]], None] | None = None) -> dict[str, float]:
        """Train until --steps or --minutes is reached; returns the last smoothed losses."""
        o = self.options
        writer = self._writer()
        began, saved_at = time.monotonic(), 0.0
        start_step = self.step
        smooth: dict[str, float] = {}
        elapsed = 0.0
        while True:
            if self.fabric.world_size == 1 or (self.step - start_step) % CLOCK_EVERY == 0:
                elapsed = self._clock(began)
            share = max(
                self.step / o.steps if o.steps else 0.0,
                elapsed / (60 * o.minutes) if o.minutes else 0.0,
            )
            if share >= 1:
                break
            factor = min(1.0, (self.step + 1) / o.warmup, (1 - share) / o.decay if o.decay else 1.0)
            for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
                for group in optimiser.param_groups:
                    group["lr"].fill_(rate * factor)
            x = self.sampler.batch(self.step, o.batch, o.crop)[self.fabric.global_rank :: self.fabric.world_size]
            losses = self._take(x)
            self.step += 1
            self.seen += o.batch * o.crop / self.config.rate
            self._update_average()
            if self.step % o.log_every == 0:
                values = {k: self._mean(v) for k, v in losses.items()}
                if not all(abs(v) < float("inf") for v in values.values()):
                    raise FloatingPointError(
                        f"step {self.step}: a loss is not finite: {values}; the last checkpoint is whole"
                    )
                for k, v in values.items():
                    smooth[k] = v if k not in smooth else 0.9 * smooth[k] + 0.1 * v
                drawn = (self.step - start_step) * o.batch * o.crop / self.config.rate
                smooth["seconds_per_second"] = drawn / (time.monotonic() - began)
                if writer is not None:
                    for k, v in values.items():
                        writer.add_scalar(f"stage{o.stage}/{k}", v, self.step)
                if progress is not None:
                    progress(self.step, smooth)
            if writer is not None and self.step % o.audio_every == 0:
                self._write_audio(writer)
            if elapsed - saved_at > o.checkpoint_seconds:
                self.save(elapsed)
                saved_at = elapsed
        self.save(elapsed)
        return smooth

    def _clock(self, began: float) -> float:
        """Seconds since the start, by the first process's clock: all have to learn, save and end in the same step."""
        seconds = time.monotonic() - began
        if self.fabric.world_size == 1:
            return seconds
        shared = torch.tensor(seconds, dtype=torch.float64, device=self.fabric.device)
        torch.distributed.broadcast(shared, 0)
        return float(shared)

    def _mean(self, value: Tensor) -> float:
        """A figure averaged over all processes."""
        return float(self.fabric.all_reduce(value))  # type: ignore[arg-type]

    def _stage_one(self, x: Tensor) -> dict[str, Tensor]:
        o = self.options
        losses = self.module(x)
        loss = self._fidelity(losses) + self.beta * losses["kl"]
        self._descend(loss, 0)
        kilobits = losses.get("nats", losses["kl"]).detach() * BITS_PER_NAT * self.config.rate / self.config.hop / 1000
        if self.fabric.world_size > 1:
            kilobits = torch.as_tensor(self.fabric.all_reduce(kilobits))
        if o.beta is None:
            # Steer beta by a slow integral controller: the rate is what a codec is asked for, beta is not.
            ratio = (kilobits / o.rate - 1).nan_to_num(0.0).clamp(-1, 1)
            self.beta.mul_(torch.exp(0.01 * ratio)).clamp_(1e-5, 1.0)
        return {**_detached(losses), "kilobits": kilobits, "beta": self.beta}

    def _fidelity(self, losses: dict[str, Tensor]) -> Tensor:
        o = self.options
        return (
            losses["spectral"]
            + o.waveform_weight * losses["waveform"]
            + o.structure_weight * losses["structure"]
            + o.envelope_weight * losses["envelope"]
            + o.modulation_weight * losses["modulation"]
            + o.steadiness_weight * losses["steadiness"]
        )

    def _stage_two(self, x: Tensor) -> dict[str, Tensor]:
        o = self.options
        if not o.judged:
            losses = self.module(x)
            self._descend(self._fidelity(losses), 0)
            return _detached(losses)
        discriminator = list(self.module.discriminator.parameters())
        for p in discriminator:
            p.requires_grad_(False)
        losses = self.module(x)
        sound = losses.pop("sound").detach()
        loss = (
            self._fidelity(losses)
            + o.adversarial_weight * losses["adversarial"]
            + o.matching_weight * losses["matching"]
        )
        self._descend(loss, 0)
        for p in discriminator:
            p.requires_grad_(True)
        judged = self.module(x, sound)
        self._descend(judged["discriminator"], 1)
        return _detached({**losses, **judged})

    def _descend(self, loss: Tensor, which: int) -> None:
        optimiser = self.optimisers[which]
        optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.groups[which], 5.0)
        # One bad batch is dropped, by the fused step itself; a run of them ends the training at the next log.
        optimiser.optimizer.found_inf = (~torch.isfinite(norm)).float()
        optimiser.step()

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(*self._averaged, 1 - decay)

    def averaged_network(self) -> RaveNet:
        """A copy of the network with the moving average of its weights, in evaluation mode."""
        net = RaveNet(self.config)
        net.load_state_dict(self.average)
        return net.eval()

    def save(self, elapsed: float = 0.0) -> None:
        """Write the checkpoint (on the first process)."""
        if self.fabric.global_rank == 0:
            state = {
                "stage": self.options.stage,
                "step": self.step,
                "seen": self.seen,
                "trained": self.trained + elapsed,
                "beta": float(self.beta),
                "config": self.config.to_dict(),
                "notes": self.notes,
                "latents": self.options.latents,
                "learns": self.options.learns,
                "basis": checkpoint.tensors(self.basis),
                "average": self.average,
                "module": self.module.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            }
            checkpoint.save(self.options.out, state)
        self.fabric.barrier()

    def _restore(self, saved: dict[str, Any]) -> None:
        self.module.load_state_dict(saved["module"])
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.average = {k: v.to(self.fabric.device) for k, v in saved["average"].items()}
        self.step, self.seen, self.trained = saved["step"], saved["seen"], saved["trained"]
        self.beta.fill_(saved["beta"])

    def _writer(self) -> Any:
        if self.fabric.global_rank != 0:
            return None
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.options.out / "tensorboard"))

    @torch.no_grad()
    def _write_audio(self, writer: Any) -> None:
        x = self.sampler.batch(10**9, 2, 4 * self.config.rate // self.config.hop * self.config.hop)
        net = self.averaged_network().to(self.fabric.device)
        y = net.decode(net.encode(x).mean).cpu().clamp(-1, 1)
        for i in range(len(x)):
            writer.add_audio(f"original/{i}", x[i].cpu(), self.step, self.config.rate)
            writer.add_audio(f"decoded/{i}", y[i], self.step, self.config.rate)


def _detached(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach() for k, v in losses.items()}


def mixed_precision(options: TrainOptions) -> Any:
    """Fabric's mixed precision, but sound goes in as it is: rounded to bfloat16 it would carry noise at -50 dB."""
    from lightning_fabric.plugins import MixedPrecision

    class SoundPrecision(MixedPrecision):
        def convert_input(self, data: Any) -> Any:
            return data

    device = "cuda" if options.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available() else "cpu"
    return SoundPrecision(options.precision, device)  # type: ignore[arg-type]


def train(options: TrainOptions, progress: Callable[[int, dict[str, float]], None] | None = None) -> Trainer:
    """Run a training and return it; raises FileNotFoundError or ValueError naming the file that is wrong."""
    trainer = Trainer(options)
    trainer.run(progress)
    return trainer
