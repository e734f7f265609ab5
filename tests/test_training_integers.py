"""Stage 1 on integers: a prior that is a distribution, gradients through the quantiser, steps that are kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sounds import glide
from trainings import glides, options

import ravecodec
from ravecodec.basis import reordered
from ravecodec.modelfile import load_model
from ravecodec.training import checkpoint
from ravecodec.training.calibrate import calibrate
from ravecodec.training.integers import Quantised, StepPrior
from ravecodec.training.run import Trainer
from ravecodec.training.stages import Truncation


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return glides(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def model(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    Trainer(options(store, folder / "run")).run()
    calibrate(str(folder / "run"), store, folder / "model.safetensors", name="m")
    return folder / "model.safetensors"


def test_the_shares_of_all_integers_sum_to_one() -> None:
    torch.manual_seed(0)
    prior = StepPrior(3)
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    sent = torch.randint(-4, 5, (1, 3, 2)).float()
    q = torch.tensor([[3]])
    values = torch.arange(-400, 401).float()
    everywhere = sent.expand(len(values), -1, -1).clone()
    everywhere[..., 1] = values[:, None]
    nats = prior(everywhere, sent.expand(len(values), -1, -1), q.expand(len(values), -1))
    assert nats.shape == (len(values), 3, 1)
    sums = torch.exp(-nats.double()).sum(0)
    torch.testing.assert_close(sums, torch.ones_like(sums), atol=1e-3, rtol=0)


def test_gradients_pass_the_quantiser_and_the_prior_learns(store: Path, model: Path) -> None:
    torch.manual_seed(0)
    loaded = load_model(model)
    assert loaded.basis is not None
    module = Quantised(loaded.network.train(), Truncation(loaded.basis))
    x = torch.from_numpy(np.stack([glide(seed, 8192) for seed in range(8)]))[:, None]
    head = module.net.encoder.head.weight.detach().clone()
    with torch.no_grad():
        before = np.mean([float(module(x)["nats"]) for _ in range(8)])
    module.learn_prior(x, updates=200, batch=4)
    assert torch.equal(head, module.net.encoder.head.weight)
    with torch.no_grad():
        after = np.mean([float(module(x)["nats"]) for _ in range(8)])
    assert 0 < after < before
    losses = module(x)
    weight = module.net.encoder.head.weight
    for name in ("spectral", "kl"):
        (gradient,) = torch.autograd.grad(losses[name], weight, retain_graph=True)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0


def test_a_run_on_integers_keeps_its_steps_and_goes_on(store: Path, model: Path, tmp_path: Path) -> None:
    start = options(store, tmp_path / "run", init_from=str(model), latents="integers", steps=2)
    first = Trainer(start)
    encoder = first.net.encoder.head.weight.detach().clone()
    assert "nats" in first.run()
    assert not torch.equal(encoder, first.net.encoder.head.weight)
    # The basis is in the checkpoint, so nothing but the folder is asked for.
    again = Trainer(options(store, tmp_path / "run", latents="integers", steps=4))
    assert again.step == 2
    again.run()
    with pytest.raises(ValueError, match="its own folder"):
        Trainer(options(store, tmp_path / "run", steps=5))

    output = tmp_path / "after.safetensors"
    calibrate(str(tmp_path / "run"), store, output, name="m")
    before, after = load_model(model).basis, load_model(output).basis
    assert before is not None and after is not None
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal(before.unit, after.unit)
    assert sorted(before.noise) == sorted(after.noise)
    assert (np.diff(after.singular_values) <= 0).all()
    sound = glide(1, 24000)
    decoded, rate = ravecodec.load(output).decode(ravecodec.load(output).encode(sound, 48000))
    assert (len(decoded), rate) == (len(sound), 48000)
    with pytest.raises(ValueError, match="no rotation but kept"):
        calibrate(str(tmp_path / "run"), store, output, name="m", rotation="none")

    # What goes on from it has the same encoder, so the steps hold there, too.
    Trainer(options(store, tmp_path / "two", stage=2, init_from=str(output), steps=2)).run()
    calibrate(str(tmp_path / "two"), store, tmp_path / "two.safetensors", name="m")
    last = load_model(tmp_path / "two.safetensors").basis
    assert last is not None
    assert np.array_equal(last.noise, after.noise)


def test_integers_are_those_of_a_calibrated_model(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--init-from"):
        Trainer(options(store, tmp_path / "run", latents="integers"))


def test_a_basis_in_another_order_says_the_same(model: Path) -> None:
    basis = load_model(model).basis
    assert basis is not None
    dice = np.random.default_rng(0)
    means = dice.standard_normal((200, len(basis.mean))).astype(np.float32)
    other = reordered(basis, means)
    assert (np.diff(other.singular_values) <= 0).all()
    whole = len(basis.mean)
    latents = means.T
    np.testing.assert_allclose(
        other.restore(other.rotate(latents, whole)), basis.restore(basis.rotate(latents, whole)), atol=1e-3
    )
    values = other.rotate(latents, whole)
    np.testing.assert_allclose(
        np.sqrt(np.square(values - values.mean(1, keepdims=True)).sum(1)), other.singular_values, rtol=1e-3
    )
    kept = checkpoint.basis({"basis": checkpoint.tensors(basis)})
    assert kept is not None
    assert np.array_equal(kept.vectors, basis.vectors)
    assert np.array_equal(kept.noise, basis.noise)
