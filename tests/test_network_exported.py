"""RAVE models of a user's own, exported as TorchScript: stand-ins with that interface, on the whole road."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from exports import HOP, export
from sounds import glide
from torch import nn

from ravecodec.cli import main
from ravecodec.codec import Codec, load
from ravecodec.modelfile import load_model, save_model
from ravecodec.network.exported import ExportedConfig, ExportedNet
from ravecodec.network.noise import seeded_noise
from ravecodec.network.probe import delay, reach
from ravecodec.training.calibrate import calibrate
from ravecodec.training.prepare import prepare

RATE = 44100


def low(seconds: float, seed: int = 0) -> np.ndarray:
    """Sound that the stand-ins code: partials below 400 Hz that come and go."""
    t = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(seed)
    parts = [np.sin(2 * np.pi * f * t) * (np.sin(2 * np.pi * t * rng.uniform(1, 3)) > 0) for f in (97, 161, 233, 389)]
    return (0.1 * np.sum(parts, 0)).astype(np.float32)


def kept(name: str) -> dict[str, bool]:
    return dict.fromkeys(name.split(), True)


@pytest.mark.parametrize(
    ("kind", "reach_of_both", "lag"),
    [("", (1, 1), 0), ("exact", (1, 1), 0), ("streaming", (2, 2), 2288), ("streaming warm", (2, 2), 2288),
     ("streaming batch", (2, 2), 2288)],
)
def test_what_an_export_sees_and_how_late_it_is_is_found(
    tmp_path: Path, kind: str, reach_of_both: tuple[int, int], lag: int
) -> None:
    net = reach(ExportedNet.read(export(tmp_path / "my.ts", **kept(kind))))
    net = delay(net, [low(3.0)])
    assert (net.config.rate, net.config.hop, net.config.latents) == (RATE, HOP, 48)
    assert (net.encoder_preroll, net.preroll) == reach_of_both
    assert net.delay == lag


def test_windows_do_not_know_of_each_other(tmp_path: Path) -> None:
    net = ExportedNet.read(export(tmp_path / "my.ts", streaming=True, warm=True))
    x, y = (torch.from_numpy(low(64 * HOP / RATE, seed))[None, None, : 60 * HOP] for seed in (0, 1))
    alone = net.encode(x).mean
    after, _ = net.encode(y), torch.randn(3)
    assert torch.equal(net.encode(x).mean, alone)
    assert torch.equal(net.encode(torch.cat([y, x])).mean, torch.cat([after.mean, alone]))
    noise = torch.stack([seeded_noise(seed, 1, 5, 60) for seed in (1, 2)])
    one = net.render(alone, noise[:1])[0]
    before = torch.get_rng_state()
    net.render(after.mean, noise[1:])
    assert torch.equal(torch.get_rng_state(), before)  # whoever draws from torch's generator draws what it would
    assert torch.equal(net.render(alone, noise[:1])[0], one)
    assert not torch.equal(net.render(alone, noise[1:])[0], one)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for i in range(12):
        soundfile.write(folder / f"{i}.wav", low(2.0, i), RATE)
    prepare(folder, folder.parent / "store", RATE)
    return folder.parent / "store"


@pytest.fixture(scope="module")
def codec(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    folder = tmp_path_factory.mktemp("models")
    made = export(folder / "mine.ts", streaming=True, warm=True)
    calibrate(str(made), store, folder / "mine.safetensors", "mine")
    return load(folder / "mine.safetensors")


def test_an_export_codes_files_that_keep_every_promise(codec: Codec) -> None:
    audio = np.stack([low(4.0, 20), low(4.0, 21)], 1)
    data = codec.encode(audio, RATE, fidelity=1.0, step=-8)
    assert codec.encode(audio, RATE, fidelity=1.0, step=-8) == data
    decoded, rate = codec.decode(data)
    assert (rate, decoded.shape) == (RATE, audio.shape)
    assert np.array_equal(codec.decode(data)[0], decoded)
    # Each channel is where and what it was: the delay is made up for to the sample.
    error = 10 * np.log10(np.square(audio).sum(0) / np.square(audio - decoded).sum(0))
    assert error.min() > 15
    assert len(codec.encode(audio, RATE, fidelity=1.0, step=8)) < len(data)


def test_blocks_of_an_export_meet_without_a_seam(codec: Codec) -> None:
    audio = low(14.0, 22)
    data = codec.encode(audio, RATE, step=0)
    whole, _ = codec.decode(data)
    pieces = np.concatenate(list(codec.decode_stream(io.BytesIO(data), block=8).blocks))[:, 0]
    assert np.abs(pieces - whole).max() < 0.01  # the noise of a block is its own; a seam would be as loud as the sound
    span = np.concatenate(list(codec.decode_stream(io.BytesIO(data), start=100_000, end=150_000).blocks))[:, 0]
    assert np.abs(span - whole[100_000:150_000]).max() < 0.01


def test_threads_do_not_change_what_an_export_decodes(codec: Codec) -> None:
    audio = low(14.0, 23)
    data = codec.encode(audio, RATE)
    alone = codec.decode(data)[0]
    torch.set_num_threads(2)
    try:
        assert codec.encode(audio, RATE) == data
        assert np.array_equal(codec.decode(data)[0], alone)
    finally:
        torch.set_num_threads(1)


def test_a_model_file_of_an_export_is_whole_or_refused(codec: Codec, tmp_path: Path) -> None:
    model = codec.model
    again = save_model(tmp_path / "b.safetensors", model.network, "b", model.basis, model.tables)
    assert again == codec.model_id
    found = load_model(tmp_path / "b.safetensors")
    assert found.network.config == model.network.config
    assert found.network.stored()["torchscript"].tobytes() == model.network.stored()["torchscript"].tobytes()


@pytest.mark.parametrize("wrong", [{"hop": 0}, {"hop": "2048"}, {"delay": -1}, {"colour": 1}, {"rate": None}])
def test_impossible_numbers_of_an_export_are_refused(codec: Codec, wrong: dict[str, object]) -> None:
    config = codec.network.config
    assert ExportedConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match="it says"):
        ExportedConfig.from_dict({"torchscript": config.to_dict()["torchscript"] | wrong})


class Other(nn.Module):
    """TorchScript that is no RAVE model; `part`, it has some of what one has."""

    def __init__(self, part: bool) -> None:
        super().__init__()
        if part:
            self.register_buffer("latent_pca", torch.eye(4))
        self.sr = RATE
        self.pqmf = nn.Conv1d(1, 16, 16, stride=16)
        self.encoder = nn.Conv1d(16, 5, 128, stride=128)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encoder(self.pqmf(x))


def test_what_is_no_export_is_told_in_one_line(
    store: Path, codec: Codec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.ts").write_text("const x: number = 1\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for part in (False, True):
            torch.jit.save(torch.jit.script(Other(part)), str(tmp_path / f"{part}.ts"))
    (tmp_path / "cut.ts").write_bytes(export(tmp_path / "whole.ts").read_bytes()[:50_000])
    elsewhere = tmp_path / "sounds"
    elsewhere.mkdir()
    soundfile.write(elsewhere / "a.wav", glide(0, 48000), 48000)
    prepare(elsewhere, tmp_path / "store48")
    mine = tmp_path / "mine.safetensors"
    save_model(mine, codec.model.network, "mine", codec.basis, codec.tables)
    out = str(tmp_path / "out.safetensors")
    export(tmp_path / "hidden.ts", hidden=True)
    export(tmp_path / "nan.ts", change=lambda module: module.decoder.weight.fill_(torch.nan))
    for arguments, told in (
        (["calibrate", str(tmp_path / "hidden.ts"), str(store), out], "not among its buffers"),
        (["calibrate", str(tmp_path / "nan.ts"), str(store), out], "what is not a number"),
        (["calibrate", str(tmp_path / "whole.ts"), str(store), str(tmp_path / "no" / "a")], "no such folder"),
        (["encode", str(elsewhere / "a.wav"), "--model", str(tmp_path / "whole.ts")], "makes a model file of it"),
        (["calibrate", str(tmp_path / "text.ts"), str(store), out], "no TorchScript file"),
        (["calibrate", str(tmp_path / "cut.ts"), str(store), out], "no TorchScript file"),
        (["calibrate", str(tmp_path / "missing.ts"), str(store), out], "No such file"),
        (["calibrate", str(tmp_path / "False.ts"), str(store), out], "it has no latent_pca"),
        (["calibrate", str(tmp_path / "True.ts"), str(store), out], "its encoder gives [1, 5, 60], not [1, 4 or 8"),
        (["calibrate", str(tmp_path / "whole.ts"), str(tmp_path / "store48"), out], "prepare --rate 44100"),
        (["calibrate", "default", str(tmp_path / "store48"), out, "--blend", str(mine)], "can code, but not learn"),
        (["train", "--store", str(tmp_path / "store48"), "--out", str(tmp_path / "run"), "--init-from", str(mine),
          "--steps", "1"], "can code, but not learn"),
    ):  # fmt: skip
        assert main(arguments) == 1, arguments
        lines = capsys.readouterr().err.strip().splitlines()
        assert told in lines[-1], lines
        assert "Traceback" not in "".join(lines)
    assert not Path(out).exists()


def test_an_export_that_says_nothing_is_warned_of(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = export(tmp_path / "silent.ts", change=lambda module: module.encoder.weight.zero_())
    assert main(["calibrate", str(silent), str(store), str(tmp_path / "silent.safetensors")]) == 0
    told = capsys.readouterr().err
    assert "its delay cannot be told" in told and "its latents say little" in told
