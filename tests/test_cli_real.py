"""The command line with a real, tiny, untrained model: the whole road, and what becomes of damaged files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

import ravecodec
from ravecodec import batch
from ravecodec.cli import main


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a calibrated model "default": a network as initialised, for noise."""
    import torch

    from ravecodec.basis import fit_basis
    from ravecodec.modelfile import save_model
    from ravecodec.network.config import load_preset
    from ravecodec.network.vae import RaveNet
    from ravecodec.training.calibrate import fit_tables

    torch.manual_seed(0)
    network = RaveNet(load_preset("tiny")).eval()
    with torch.inference_mode():
        posterior = network.encode(0.1 * torch.randn(1, 1, network.config.hop * 100))
    means = posterior.mean[0].T.numpy()
    centred = (means - means.mean(0)).astype(np.float64)
    variance = posterior.scale[0].square().mean(1).numpy()
    basis = fit_basis(means.mean(0), centred.T @ centred / len(centred), len(centred), variance)
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "default.safetensors", network, "default", basis, fit_tables(basis, means), "untrained")
    return folder


@pytest.fixture(autouse=True)
def at_hand(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVECODEC_MODELS", str(models))


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    """A little over a packet of stereo sound at 44.1 kHz, coded."""
    source = tmp_path / "a.wav"
    soundfile.write(source, tone(3.0, 44100, 2), 44100)
    assert main(["encode", str(source), "-q"]) == 0
    return source.with_suffix(".rvc")


def test_the_whole_road(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again, back = coded.with_name("again.rvc"), coded.with_name("back.flac")
    assert main(["encode", str(coded.with_suffix(".wav")), str(again), "-q"]) == 0
    assert again.read_bytes() == coded.read_bytes()
    assert main(["decode", str(coded), str(back), "--rate", "source", "-q"]) == 0
    assert main(["decode", str(coded), "--force", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert soundfile.info(back).frames == 3 * 44100
    whole = soundfile.info(coded.with_suffix(".wav"))
    assert (whole.frames, whole.samplerate, whole.channels) == (3 * 48000, 48000, 2)
    audio, rate = ravecodec.read(coded)
    decoded, _ = soundfile.read(coded.with_suffix(".wav"))
    assert rate == 48000
    assert np.abs(audio.clip(-1, 1) - decoded).max() < 2**-22


@pytest.mark.parametrize("jobs", [1, 2])
def test_networks_may_run_in_bf16(tmp_path: Path, jobs: int) -> None:
    """On one file, and on a folder by workers: nearly the same sound; the integers are decoded as ever."""
    sounds, coded = tmp_path / "sounds", tmp_path / "coded"
    sounds.mkdir()
    for name in ("a", "b"):
        soundfile.write(sounds / f"{name}.wav", tone(3.0, 48000, 1), 48000)
    options = ["--jobs", str(jobs), "-q"]
    assert main(["encode", str(sounds), str(coded), "--dtype", "bf16", *options]) == 0
    audio = {}
    for dtype in ("fp32", "bf16"):
        assert main(["decode", str(coded), str(tmp_path / dtype), "--dtype", dtype, *options]) == 0
        assert main(["decode", str(coded / "a.rvc"), str(tmp_path / f"{dtype}.wav"), "--dtype", dtype, "-q"]) == 0
        audio[dtype], _ = soundfile.read(tmp_path / f"{dtype}.wav")
        for name in ("a", "b"):
            np.testing.assert_array_equal(soundfile.read(tmp_path / dtype / f"{name}.wav")[0], audio[dtype])
    difference = np.mean((audio["fp32"] - audio["bf16"]) ** 2) / np.mean(audio["fp32"] ** 2)
    assert 0 < difference < 1e-3


def test_live_sound_is_one_thread_s_work(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would wait for each other at every layer."""
    asked: list[int | None] = []
    monkeypatch.setattr("ravecodec.batch.prepare_process", asked.append)
    sound, live = str(coded.with_suffix(".wav")), str(coded.with_name("live.rvc"))
    for more in ([], ["--live"], ["--live", "--threads", "2"]):
        assert main(["encode", sound, live, "--force", "-q", *more]) == 0
    for more in ([], ["--follow"], ["--follow", "--threads", "2"]):
        assert main(["decode", live, str(coded.with_name("back.wav")), "--force", "-q", *more]) == 0
    assert asked == [None, 1, 2] * 2


@pytest.mark.parametrize("policy", [None, "ACTIVE"])
def test_threads_that_wait_give_their_processor_away(policy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # to be put back
        monkeypatch.delenv(name)
    if policy:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    batch.prepare_process(None)
    assert os.environ.get("GOMP_SPINCOUNT") == (None if policy else "1000")


def test_write_and_read_like_soundfile(tmp_path: Path) -> None:
    path = tmp_path / "x.rvc"
    ravecodec.write(path, tone(0.2, 22050)[:, 0], 22050, components=16, step=8, tags={"title": "tone"})
    audio, rate = ravecodec.read(path, rate="source")
    assert (audio.shape, rate) == ((4410,), 22050)
    assert ravecodec.read(path, always_2d=True)[0].shape == (9600, 1)
    header = ravecodec.info(path).header
    assert (header.components, header.step, header.fidelity, dict(header.tags)) == (16, 8, None, {"title": "tone"})


def test_two_workers_make_what_one_makes(tmp_path: Path) -> None:
    for name in ("a.wav", "sub/b.wav", "c.wav"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / name, tone(0.2, channels=1 + (name == "c.wav")), 48000)
    for out, jobs in (("one", "1"), ("two", "2")):
        assert main(["encode", str(tmp_path / "in"), str(tmp_path / out), "--jobs", jobs, "-q"]) == 0
    for name in ("a.rvc", "sub/b.rvc", "c.rvc"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_missing_model_is_named_with_its_hash(
    coded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], models: Path
) -> None:
    identity = ravecodec.info(coded).header.model_id.hex()
    monkeypatch.setenv("RAVECODEC_MODELS", "")
    out = coded.with_name("x.wav")
    assert main(["decode", str(coded), str(out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ravecodec: {coded}: needs the model 'default' with id {identity}")
    assert not out.exists()
    assert main(["decode", str(coded), str(out), "--model", str(models / "default.safetensors"), "-q"]) == 0


def test_a_decoder_of_other_entropy_tables_cannot_stand_in(
    coded: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, shipped = models / "default.safetensors", Path(ravecodec.__file__).parent / "models" / "default.safetensors"
    out = tmp_path / "out.wav"
    assert main(["decode", str(coded), str(out), "--decoder", str(own), "-q"]) == 0
    assert main(["decode", str(coded), str(tmp_path / "no.wav"), "--decoder", str(shipped), "-q"]) == 1
    assert "entropy tables" in capsys.readouterr().err and not (tmp_path / "no.wav").exists()
    folder = tmp_path / "folder"
    assert main(["decode", str(coded.parent), str(folder), "--decoder", str(own), "--jobs", "1", "-q"]) == 0
    assert (folder / "a.wav").read_bytes() == out.read_bytes()
    with pytest.raises(SystemExit):
        main(["decode", str(coded), "--decoder", str(own), "--model", str(own)])



def test_a_flipped_bit_is_never_passed_over(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = coded.read_bytes()
    damaged, out = coded.with_name("damaged.rvc"), coded.with_name("damaged.wav")
    statuses = set()
    for place in np.linspace(0, len(data) - 1, 12).astype(int):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        damaged.write_bytes(flipped)
        status = main(["decode", str(damaged), str(out), "--force", "-q"])
        statuses.add(status)
        assert status in (1, 3), place
        assert capsys.readouterr().err.startswith(f"ravecodec: {damaged}: ")
        assert out.exists() == (status == 3)
        out.unlink(missing_ok=True)
    assert statuses == {1, 3}


def test_a_file_cut_short_says_so(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = coded.read_bytes()
    coded.write_bytes(data[: len(data) * 2 // 3])
    out = coded.with_name("x.wav")
    assert main(["decode", str(coded), str(out), "-q"]) == 3
    assert "cut short" in capsys.readouterr().err
    coded.write_bytes(data[:20])
    out.unlink()
    assert main(["decode", str(coded), str(out), "-q"]) == 1
    assert not out.exists()


@pytest.mark.parametrize("seconds", [1 / 48000, 0.01])
@pytest.mark.parametrize("channels", [1, 8])
def test_very_short_and_many_channelled_sound(tmp_path: Path, seconds: float, channels: int) -> None:
    source = tmp_path / "s.wav"
    soundfile.write(source, tone(seconds, channels=channels), 48000)
    assert main(["encode", str(source), "-q"]) == 0
    assert main(["decode", str(tmp_path / "s.rvc"), str(tmp_path / "d.wav"), "-q"]) == 0
    about = soundfile.info(tmp_path / "d.wav")
    assert (about.frames, about.channels) == (round(seconds * 48000), channels)


def test_high_and_low_rates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rate, status in ((1, 1), (1000, 0), (768_000, 0)):
        source = tmp_path / f"{rate}.wav"
        soundfile.write(source, tone(0.1, max(rate, 1000)), rate)
        assert main(["encode", str(source), "-q"]) == status
        if status == 0:
            coded = source.with_suffix(".rvc")
            assert main(["decode", str(coded), str(tmp_path / f"{rate}.flac"), "-q"]) == 0
            assert soundfile.info(tmp_path / f"{rate}.flac").frames == 4800
    assert "1 Hz is outside 1000 to 768000 Hz" in capsys.readouterr().err
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]
