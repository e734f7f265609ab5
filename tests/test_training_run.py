"""Training: it fits, it resumes, it leaves the encoder alone in stage 2."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sounds import glide
from trainings import glides, options

import ravecodec
from ravecodec.modelfile import load_model
from ravecodec.network.config import NetworkConfig, load_preset
from ravecodec.network.vae import RaveNet
from ravecodec.training import checkpoint
from ravecodec.training.calibrate import blend, calibrate
from ravecodec.training.run import Trainer
from ravecodec.training.stages import Representation, encoder_parameters


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return glides(tmp_path_factory.mktemp("sounds"))


@pytest.mark.parametrize("paths", ["all", "the paper's"])
def test_four_clips_are_fitted_in_300_steps(paths: str) -> None:
    """Signal propagation: the error of the two lowest bands, 0.78 with PyTorch's initialisation, falls below 0.15."""
    torch.manual_seed(0)
    config = load_preset("tiny")
    if paths != "all":
        plain = {"gain_shape": False, "lapped": False, "harmonics": False, "pitch": False, "tones": 0}
        plain |= {"second_pitch": False, "scatter_unvoiced": 0}
        plain |= {"envelope": 0, "envelope_detail": 0, "envelope_refiner": 0, "envelope_rise": False}
        config = NetworkConfig.from_dict(config.to_dict() | plain)
    net = RaveNet(config)
    x = torch.from_numpy(np.stack([glide(seed, 16384) for seed in range(4)]))[:, None]
    net.adapt(x)
    bands = net.pqmf(x)
    noise = torch.zeros_like(bands)
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    low = bands[:, :2].square().sum((1, 2))
    for _ in range(300):
        decoded, _ = net.decode_bands(net.encode(x).mean, noise)
        error = ((decoded - bands)[:, :2].square().sum((1, 2)) / low).mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    assert float(error.detach()) < 0.15


def test_stage_one_learns_and_its_model_can_be_calibrated(store: Path, tmp_path: Path) -> None:
    seen = []
    trainer = Trainer(options(store, tmp_path / "run", steps=30, learning_rate=2e-3, warmup=5))
    trainer.run(lambda step, values: seen.append(values["spectral"]))
    assert np.mean(seen[-5:]) < 0.9 * seen[0]
    output = tmp_path / "m.safetensors"
    identity = calibrate(str(tmp_path / "run"), store, output, name="m")
    model = load_model(output)
    assert (model.id, model.name) == (identity, "m")
    assert model.notes["stage1"]["steps"] == 30
    assert model.notes["entropy_frames"] > 2 * model.notes["calibration_frames"]  # training sound has a say, too
    assert model.basis is not None and model.tables is not None
    assert (np.diff(model.basis.singular_values) <= 0).all()
    assert (model.basis.noise > 0).all()
    # The same network calibrated again is the same model.
    assert calibrate(str(tmp_path / "run"), store, tmp_path / "again.safetensors", name="m") == identity
    assert (tmp_path / "again.safetensors").read_bytes() == output.read_bytes()


def test_stage_two_leaves_the_encoder_bit_for_bit_as_it_was(store: Path, tmp_path: Path) -> None:
    Trainer(options(store, tmp_path / "one", steps=2)).run()
    model = tmp_path / "one.safetensors"
    calibrate(str(tmp_path / "one"), store, model, name="one")
    before = load_model(model)
    trainer = Trainer(options(store, tmp_path / "two", stage=2, init_from=str(model), steps=3))
    assert trainer.module.truncation is not None
    trainer.run()
    frozen = [p.detach().clone() for p in encoder_parameters(before.network)]
    assert len(frozen) > 10
    for net in (trainer.net, trainer.averaged_network()):
        assert all(torch.equal(a, b) for a, b in zip(frozen, encoder_parameters(net), strict=True))
    assert not torch.equal(before.network.decoder.heads.weight, trainer.net.decoder.heads.weight)
    # So its basis, steps and tables are the same too: files differ only in the sound made of them.
    calibrate(str(tmp_path / "two"), store, tmp_path / "two.safetensors", name="two")
    after = load_model(tmp_path / "two.safetensors")
    assert after.tables is not None and before.tables is not None
    assert after.tables.id == before.tables.id
    assert after.id != before.id


def test_the_refiner_learns_alone_and_a_model_without_one_gets_it(store: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.toml"
    preset = resources.files("ravecodec") / "presets" / "tiny.toml"
    plain.write_text(preset.read_text().replace("envelope_refiner = 4\nenvelope_rise = true\n", ""))
    Trainer(options(store, tmp_path / "one", preset=str(plain), steps=2)).run()
    model = tmp_path / "one.safetensors"
    calibrate(str(tmp_path / "one"), store, model, name="one")
    before = load_model(model).network
    assert before.envelope is not None and before.envelope.refiner is None
    trainer = Trainer(options(store, tmp_path / "two", stage=2, init_from=str(model), learns="refiner", steps=3))
    trainer.run()
    after = trainer.averaged_network().state_dict()
    for name, value in before.state_dict().items():
        assert torch.equal(after.pop(name), value), name
    assert len(after) > 3 and all(".refiner." in name for name in after)
    assert after["envelope.refiner.found.weight"].any()
    # It goes on with the refiner that it has, whatever the preset says by now.
    again = {"stage": 2, "init_from": str(model), "learns": "refiner", "preset": str(plain), "steps": 4}
    Trainer(options(store, tmp_path / "two", **again)).run()
    output = tmp_path / "two.safetensors"
    calibrate(str(tmp_path / "two"), store, output, name="two", before=str(model), share=0.5)
    assert load_model(output).network.config.envelope_refiner == 4
    with pytest.raises(ValueError, match="take another folder"):
        Trainer(options(store, tmp_path / "two", stage=2, init_from=str(model)))
    with pytest.raises(ValueError, match="--stage 2"):
        Trainer(options(store, tmp_path / "three", learns="refiner"))
    with pytest.raises(ValueError, match="no refiner"):
        Trainer(options(store, tmp_path / "four", stage=2, init_from=str(model), preset="rave", learns="refiner"))


def test_without_weight_the_discriminator_is_not_asked(store: Path, tmp_path: Path) -> None:
    Trainer(options(store, tmp_path / "one", steps=2)).run()
    silent = {"adversarial_weight": 0.0, "matching_weight": 0.0}
    trainer = Trainer(options(store, tmp_path / "two", stage=2, init_from=None, steps=2, **silent))
    before = [p.detach().clone() for p in trainer.module.discriminator.parameters()]
    head = trainer.net.decoder.heads.weight.detach().clone()
    asked = []
    trainer.module.discriminator.register_forward_hook(lambda *_: asked.append(1))
    last = trainer.run()
    assert not asked
    assert not {"adversarial", "matching", "discriminator"} & set(last)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.module.discriminator.parameters(), strict=True))
    assert not torch.equal(head, trainer.net.decoder.heads.weight)


def test_a_blend_has_the_basis_and_the_tables_of_what_stage_two_began_with(store: Path, tmp_path: Path) -> None:
    """The second stage changes no integer, so nothing need be measured again."""
    Trainer(options(store, tmp_path / "one", steps=2)).run()
    first, second, again = (tmp_path / f"{name}.safetensors" for name in ("first", "second", "again"))
    calibrate(str(tmp_path / "one"), store, first, name="m")
    Trainer(options(store, tmp_path / "two", stage=2, init_from=str(first), steps=2)).run()
    nowhere = tmp_path / "nowhere"  # no sound is asked for
    calibrate(str(tmp_path / "two"), nowhere, second, name="m", before=str(first), share=0.5)
    calibrate(str(tmp_path / "two"), store, again, name="m", before=str(first), share=0.5, rotation="all")
    before, after = ravecodec.load(first), ravecodec.load(second)
    assert before.tables.id == after.tables.id
    assert np.array_equal(before.basis.vectors, after.basis.vectors)
    assert load_model(second).notes["blend"] == 0.5
    assert load_model(second).notes["calibration_frames"] == load_model(first).notes["calibration_frames"]
    assert after.model.id != before.model.id
    assert load_model(again).notes["rotation"] == "all"
    asked: dict[str, Any]
    for asked in ({"stereo": tmp_path}, {"entropy_from": str(first)}, {"weights": {"music": 2.0}}):
        with pytest.raises(ValueError, match="which hold"):
            calibrate(str(tmp_path / "two"), nowhere, tmp_path / "none", name="m", before=str(first), **asked)


def test_a_basis_can_be_kept_while_tables_are_fitted_to_other_sound(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(store, other)
    lines = (store / "index.jsonl").read_text().splitlines(keepends=True)
    (other / "index.jsonl").write_text("".join(lines[len(lines) // 2 :]))
    Trainer(options(store, tmp_path / "run", steps=2)).run()
    first, kept, anew = (tmp_path / f"{name}.safetensors" for name in ("first", "kept", "anew"))
    calibrate(str(tmp_path / "run"), store, first, name="m")
    calibrate(str(first), other, kept, name="m", rotation="kept")
    calibrate(str(first), other, anew, name="m")
    before, same, changed = ravecodec.load(first), ravecodec.load(kept), ravecodec.load(anew)
    assert np.array_equal(before.basis.mean, same.basis.mean)
    assert np.array_equal(before.basis.vectors, same.basis.vectors)
    assert not np.array_equal(before.basis.mean, changed.basis.mean)
    assert before.tables.id != same.tables.id
    assert load_model(kept).notes["rotation"] == load_model(first).notes["rotation"]
    with pytest.raises(ValueError, match="no basis to keep"):
        calibrate(str(tmp_path / "run"), store, tmp_path / "none.safetensors", name="m", rotation="kept")
    for nothing in (tmp_path / "run", first):  # not calibrated; of so little sound that there is no network
        with pytest.raises(ValueError, match="to go on from"):
            calibrate(str(first), other, tmp_path / "none.safetensors", name="m", entropy_from=str(nothing))
    assert not (tmp_path / "none.safetensors").exists()


def test_a_run_goes_on_where_it_stopped(store: Path, tmp_path: Path) -> None:
    Trainer(options(store, tmp_path / "run", steps=2)).run()
    saved = checkpoint.load(tmp_path / "run")
    assert saved is not None
    trainer = Trainer(options(store, tmp_path / "run", steps=4))
    assert (trainer.step, trainer.seen, trainer.beta) == (2, saved["seen"], saved["beta"])
    assert all(torch.equal(v, saved["average"][k]) for k, v in trainer.average.items())
    trainer.run()
    again = checkpoint.load(tmp_path / "run")
    assert again is not None and again["step"] == 4 and again["seen"] == 2 * saved["seen"]
    with pytest.raises(ValueError, match="stage 1"):
        Trainer(options(store, tmp_path / "run", stage=2))


def test_kill_9_leaves_a_checkpoint_that_resumes(store: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ravecodec.training.options import TrainOptions;"
        "from ravecodec.training.run import train;"
        "train(TrainOptions(Path(sys.argv[1]), Path(sys.argv[2]), preset='tiny', batch=1, crop=8192, minutes=5,"
        "accelerator='cpu', threads=1, checkpoint_seconds=0))"
    )
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, str(store), str(tmp_path / "run")])
    try:
        limit = time.monotonic() + 120
        while not (tmp_path / "run" / checkpoint.NAME).exists() and time.monotonic() < limit:
            time.sleep(0.2)
        time.sleep(1.0)  # somewhere in the middle of a later step or of writing
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    saved = checkpoint.load(tmp_path / "run")
    assert saved is not None and saved["step"] > 0
    trainer = Trainer(options(store, tmp_path / "run", steps=saved["step"] + 1, batch=1))
    assert trainer.step == saved["step"]
    trainer.run()


def test_minutes_end_a_run_cleanly(store: Path, tmp_path: Path) -> None:
    trainer = Trainer(options(store, tmp_path / "run", steps=None, minutes=0.02))
    trainer.run()
    saved = checkpoint.load(tmp_path / "run")
    assert saved is not None and saved["step"] == trainer.step > 0


def test_a_damaged_checkpoint_and_a_missing_store_are_named(store: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / checkpoint.NAME).write_bytes(b"half a checkpoint")
    with pytest.raises(ValueError, match=r"checkpoint\.pt: cannot be read"):
        Trainer(options(store, tmp_path / "run"))
    with pytest.raises(FileNotFoundError, match="training store"):
        Trainer(options(tmp_path / "nothing", tmp_path / "other"))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(store: Path, tmp_path: Path) -> None:
    Trainer(options(store, tmp_path / "run", steps=2)).run()
    trainer = Trainer(options(store, tmp_path / "run", steps=9))
    with torch.no_grad():
        trainer.net.decoder.heads.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        trainer.run()
    saved = checkpoint.load(tmp_path / "run")
    assert saved is not None and saved["step"] == 2


def test_one_bad_batch_changes_nothing(store: Path, tmp_path: Path) -> None:
    trainer = Trainer(options(store, tmp_path / "run", steps=2))
    trainer.run()
    before = [p.detach().clone() for p in trainer.net.parameters()]
    bad = trainer.sampler.batch(0, 2, 8192) * float("nan")
    trainer._stage_one(bad)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.net.parameters(), strict=True))
    trainer._stage_one(trainer.sampler.batch(0, 2, 8192))
    assert all(torch.isfinite(p).all() for p in trainer.net.parameters())
    assert not all(torch.equal(a, b) for a, b in zip(before, trainer.net.parameters(), strict=True))


def test_mixed_precision_hears_the_same_sound(store: Path, tmp_path: Path) -> None:
    """bfloat16 carries sound at -50 dB of noise: the filter bank and what it is fed stay in full precision."""
    losses: dict[str, dict[str, float]] = {}
    for precision in ("32-true", "bf16-mixed"):
        trainer = Trainer(options(store, tmp_path / precision, steps=1, precision=precision))
        trainer.run(lambda step, values, name=precision: losses.update({name: dict(values)}))
    for name in ("spectral", "waveform", "envelope", "structure", "modulation", "kl"):
        assert losses["bf16-mixed"][name] == pytest.approx(losses["32-true"][name], rel=0.03), name


def test_two_processes_train_like_one(store: Path, tmp_path: Path) -> None:
    """Each takes its share of the same batch: as much sound is seen, and the losses fall alike."""
    seen = {}
    for processes in (1, 2):
        out = tmp_path / str(processes)
        arguments = f"train --store {store} --out {out} --preset tiny --steps 8 --batch 4 --crop 8192 --warmup 2 -q"
        arguments += f" --accelerator cpu --devices {processes} --threads 1 --log-every 1 --learning-rate 3e-4"
        subprocess.run([sys.executable, "-m", "ravecodec", *arguments.split()], check=True, timeout=240)
        saved = checkpoint.load(out)
        assert saved is not None
        seen[processes] = saved["step"], saved["seen"], spectral_after(saved)
    assert seen[1][:2] == seen[2][:2]
    assert seen[2][2] == pytest.approx(seen[1][2], rel=0.05)


def test_two_processes_end_and_save_in_the_same_step(store: Path, tmp_path: Path) -> None:
    """Their clocks differ; one that stops, or saves, while the other learns on would wait for it for ever."""
    arguments = f"train --store {store} --out {tmp_path} --preset tiny --minutes 0.1 --checkpoint-seconds 0.2 --batch 2"
    arguments += " --crop 8192 -q --accelerator cpu --devices 2 --threads 1"
    subprocess.run([sys.executable, "-m", "ravecodec", *arguments.split()], check=True, timeout=120)
    saved = checkpoint.load(tmp_path)
    assert saved is not None
    assert saved["step"] > 8
    assert 6 <= saved["trained"] < 30


def spectral_after(saved: dict) -> float:
    """Spectral distance of the averaged network of a checkpoint on a fixed sound, its mean over samples and noises.

    So young a network differs by a tenth from one of them to the next.
    """
    net = RaveNet(NetworkConfig.from_dict(saved["config"]))
    net.load_state_dict(saved["average"])
    x = torch.from_numpy(np.stack([glide(seed, 16384) for seed in range(4)]))[:, None]
    found = []
    with torch.inference_mode():
        for seed in range(8):
            torch.manual_seed(seed)
            found.append(float(Representation(net.eval())(x)["spectral"]))
    return float(np.mean(found))


def test_a_blend_goes_a_part_of_the_way_between_the_two_stages() -> None:
    torch.manual_seed(0)
    before, after, other = (RaveNet(load_preset("tiny")) for _ in range(3))
    for name, weight in after.state_dict().items():
        if name.startswith("encoder."):
            weight.copy_(before.state_dict()[name])
    start = before.state_dict()["decoder.heads.weight"].clone()
    end = after.state_dict()["decoder.heads.weight"].clone()
    mixed = blend(before, after, 0.25).state_dict()["decoder.heads.weight"]
    torch.testing.assert_close(mixed, 0.75 * start + 0.25 * end, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="other encoders"):
        blend(before, other, 0.25)
    with pytest.raises(ValueError, match="share"):
        blend(before, after, 1.5)
