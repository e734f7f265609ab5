"""A step that a CUDA graph can record: it asks for no number on the way, and all of it lives on one device."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from ravecodec.modelfile import load_model
from ravecodec.network import envelope, gain, lapped, noise, pitch, pqmf, scatter, secondpitch, vae
from ravecodec.training import graph
from ravecodec.training.stages import Adversarial, Representation, Truncation

CROP = 32768


def stages() -> dict[str, Callable[[], tuple[torch.nn.Module, int]]]:
    """Modules of the shipped size, and how many sounds their forward takes."""

    def second() -> Adversarial:
        model = load_model("default")
        assert model.basis is not None
        return Adversarial(model.network, Truncation(model.basis)).train()

    return {
        "stage 1": lambda: (Representation(load_model("default").network), 1),
        "stage 2": lambda: (second(), 1),
        "discriminator": lambda: (second(), 2),
    }


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([v for k, v in losses.items() if k != "sound"]).sum()


@pytest.mark.parametrize("which", stages())
def test_a_step_asks_for_no_number_on_the_way(which: str) -> None:
    """Fake tensors have shapes and no values: whatever needs one raises, and would make a card wait."""
    module, sounds = stages()[which]()
    Representation(load_model("default").network)(torch.zeros(1, 1, CROP))  # tables that are made once
    with FakeTensorMode(allow_non_fake_inputs=True):
        fakes: dict[str, Tensor] = {}
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            fakes[name] = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
            fakes[name].requires_grad_(value.requires_grad)
        x = torch.randn(2, 1, CROP)
        with torch.autocast("cpu", torch.bfloat16):
            loss = total(functional_call(module, fakes, (x,) * sounds))
        loss.backward()
        learned = [f for f in fakes.values() if f.grad is not None]
        assert learned
        torch.nn.utils.clip_grad_norm_(learned, 5.0)


@pytest.mark.parametrize("which", stages())
def test_all_of_a_step_lives_where_the_network_lives(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device that has no memory, a tensor made elsewhere cannot be used."""
    for place in (envelope, gain, lapped, noise, pitch, pqmf, scatter, secondpitch, vae):
        for precision in ("full_precision", "usual_precision"):  # which that device does not know
            monkeypatch.setattr(place, precision, lambda like: nullcontext(), raising=False)
    module, sounds = stages()[which]()
    module.to("meta")
    x = torch.empty(2, 1, CROP, device="meta")
    total(module(*(x,) * sounds)).backward()


class Stream:
    def wait_stream(self, other: object) -> None: ...


class Graph:
    """Stands in for a CUDA graph: its replay does what was recorded."""

    replayed: Callable[[], None]

    def replay(self) -> None:
        self.replayed()


def test_a_recorded_step_warms_up_records_once_and_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of things only: there is no card here."""
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    seen, out = [], torch.zeros(())

    def step(batch: Tensor) -> dict[str, Tensor]:
        seen.append(batch)
        return {"loss": out.copy_(batch.sum())}

    def record(made: Graph) -> nullcontext[None]:
        made.replayed = lambda: step(recorded.batch) and None  # type: ignore[arg-type]
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "graph", record)
    recorded = graph.RecordedStep(step)
    for n in range(graph.WARM_UP + 3):
        assert float(recorded(torch.full((2,), float(n)))["loss"]) == 2 * n
    assert len({id(x) for x in seen[graph.WARM_UP :]}) == 1  # one place for the batch
