"""What the measurement asks of ravecodec, shown with a stand-in: a sweep over f and q, plots, the demo."""

import json
import sys
import types
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import soundfile
from records import points, record

from eval import codecs, demo, plots, spectrogram, sweep
from eval.audio import RATE, Audio, columns, resample
from eval.codecs import rave
from eval.errors import CorpusError, Unavailable
from eval.points import usual
from eval.results import Results

FRAME = 256


class StandIn:
    """A codec with ravecodec's interface: the first r of 128 cosine coefficients of a frame, rounded."""

    name = "stand-in"
    model_id = bytes(range(16))
    tables_id = b"tables!!"

    def components_for(self, fidelity: float) -> int:
        return round(128 * (1 - (1 - fidelity) ** 0.4))

    def encode(
        self,
        audio: Audio,
        rate: int,
        *,
        fidelity: float | None = None,
        components: int | None = None,
        step: int | None = None,
    ) -> bytes:
        wav = resample(columns(audio), rate, RATE)
        kept = components or self.components_for(fidelity or 0.9)
        frames = np.pad(wav, ((0, -len(wav) % FRAME), (0, 0))).T.reshape(wav.shape[1], -1, FRAME)
        delta = 0.01 * 2 ** ((step or 0) / 8)
        codes = np.round(scipy.fft.dct(frames, norm="ortho")[:, :, :kept] / delta).astype(np.int16)
        header = json.dumps({"components": kept, "delta": delta, "shape": codes.shape, "samples": len(wav)})
        return header.encode() + b"\n" + zlib.compress(codes.tobytes())

    def decode(self, data: bytes, *, rate: int | None = None) -> tuple[Audio, int]:
        head, _, payload = data.partition(b"\n")
        header = json.loads(head)
        codes = np.frombuffer(zlib.decompress(payload), np.int16).reshape(header["shape"])
        frames = scipy.fft.idct(codes * header["delta"], n=FRAME, norm="ortho")
        wav = frames.reshape(len(frames), -1).T[: header["samples"]].astype(np.float32)
        return (wav[:, 0] if wav.shape[1] == 1 else wav), RATE  # as the real one: [n] for mono


def info(data: bytes, tables: Any = None) -> types.SimpleNamespace:
    """As bitstream.info, which knows model bits only when it is given tables."""
    head, _, payload = data.partition(b"\n")
    header = types.SimpleNamespace(components=json.loads(head)["components"])
    return types.SimpleNamespace(header=header, payload_bytes=len(payload), model_bits=None)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the stand-in where the packages are imported from."""
    ravecodec, bitstream = types.ModuleType("ravecodec"), types.ModuleType("bitstream")

    class Missing(Exception):
        pass

    def load(model: str = "default") -> StandIn:
        if model != "default":
            raise Missing(f"there is no model {model!r}")
        return StandIn()

    ravecodec.__dict__.update(load=load, RaveCodecError=Missing, __file__=__file__)
    bitstream.__dict__.update(info=info, RvcError=Missing, __file__=__file__)
    monkeypatch.setitem(sys.modules, "ravecodec", ravecodec)
    monkeypatch.setitem(sys.modules, "bitstream", bitstream)
    monkeypatch.setattr(rave, "_code_digest", lambda: "of this test")
    rave._load.cache_clear()


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Half a second of decaying harmonics, in mono and stereo."""
    folder = tmp_path / "clips"
    time = np.arange(RATE // 2) / RATE
    for kind, pitch in (("speech", 150.0), ("music", 220.0)):
        tone = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 60)) * np.exp(-4 * time)
        wav = np.stack([tone, tone[::-1]], axis=1) if kind == "music" else tone
        (folder / kind).mkdir(parents=True)
        soundfile.write(folder / kind / "clip.flac", 0.2 * wav, RATE)
    return folder


def test_the_adapter_codes_counts_and_names() -> None:
    codec = codecs.create("ravecodec", {"fidelity": 0.9, "step": 8})
    wav = 0.1 * np.random.default_rng(0).standard_normal((5000, 1)).astype(np.float32)
    data = codec.encode(wav, RATE)
    decoded, rate = codec.decode(data)
    assert (decoded.shape, rate) == (wav.shape, RATE)
    assert codec.label == "ravecodec f=0.9 q=8"
    assert codec.settings == {"model": "default", "fidelity": 0.9, "step": 8}
    assert codec.identity()["model_id"] == "000102030405060708090a0b0c0d0e0f"
    facts = codec.facts(data)
    assert facts["components"] == StandIn().components_for(0.9)
    assert 0 < facts["payload_bits"] < 8 * len(data)
    assert "model_bits" not in facts


def test_labels_say_what_was_asked_for() -> None:
    labels = {
        "ravecodec mine 3 kbit/s": {"model": "there/mine.safetensors", "bitrate": 3.0},
        "ravecodec r=16 q=-4 rdoq": {"components": 16, "step": -4, "rdoq": True},
        "ravecodec q=4 no rdoq": {"step": 4, "rdoq": False},
        "ravecodec f=0.9 rule=sigma-squared": {"fidelity": 0.9, "rule": "sigma-squared"},
    }
    assert [codecs.create("ravecodec", settings).label for settings in labels.values()] == list(labels)


def test_what_a_curve_runs_along() -> None:
    """The fidelities of each step; the steps of one fidelity; target bitrates by themselves."""
    grid = record([*points((1, 2), settings={"step": 0}), *points((3, 4), settings={"step": 8})])
    assert list(plots.curves(grid.lines)) == ["ravecodec q=0", "ravecodec q=8"]
    rows = [row for step in (0, 8) for row in points((1 + step,), settings={"step": step})]
    targets = [replace(row, settings={"bitrate": 2.0}) for row in points((2,))]
    names = plots.curves(record(rows, targets, points((6, 12), "mp3")).lines)
    assert list(names) == ["ravecodec", "ravecodec at target bitrates", "MP3"]


def test_a_model_that_is_not_there_stops_before_any_work(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="model rave-3: there is no model 'rave-3'"):
        sweep.run(clips, tmp_path / "out", usual("rave-3"))
    assert not (tmp_path / "out").exists()


def test_a_sweep_over_fidelity_and_step(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    chosen = usual(fidelities=(0.5, 0.9, 0.99), steps=(-8, 8))
    results = sweep.run(clips, out, chosen, ["spectral_distance", "fine_structure", "pesq"], progress=False)
    assert not results.failures
    overall = {line.label: line for line in results.lines if line.kind == "overall"}
    low, high = overall["ravecodec f=0.5 q=8"], overall["ravecodec f=0.99 q=-8"]
    assert low.file_kbps and high.file_kbps and low.file_kbps < high.file_kbps
    assert low.payload_kbps and low.payload_kbps < low.file_kbps
    assert (low.components, high.components) == (31, 108)
    distances = [line.metrics["spectral_distance"] for line in (low, high, overall["identity"])]
    means = [estimate.mean for estimate in distances if estimate is not None]
    assert means == sorted(means, reverse=True) and means[-1] == 0
    for name in ("rate.png", "rate.svg", "fidelity.png", "fidelity.svg"):
        assert (out / name).stat().st_size > 5000
    curves = plots.curves([line for line in results.lines if line.kind == "overall"])
    assert [(name, len(lines)) for name, lines in curves.items()] == [
        ("ravecodec q=-8", 3),
        ("ravecodec q=8", 3),
    ]
    drawn = (out / "rate.svg").read_bytes()
    plots.draw(Results.read(out / "results.json"), out)  # the record alone is enough to draw it again
    assert (out / "rate.svg").read_bytes() == drawn


def test_the_demo_prints_what_it_did(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert demo.main([str(clips / "music" / "clip.flac"), str(out)]) == 0
    printed = capsys.readouterr().out
    coded = (out / "clip.rvc").stat().st_size
    ratio = (RATE // 2) * 2 * 2 / coded
    assert f"{coded:,} bytes" in printed and f"{8 * coded / 0.5 / 1000:.2f} kbit/s" in printed
    assert f"{ratio:.0f} : 1" in printed and "16-bit PCM, 48000 Hz, 2 channels" in printed
    for word in ("spectral distance", "encoding", "decoding", "× real time", "start-up"):
        assert word in printed
    decoded, rate = soundfile.read(out / "clip.decoded.wav")
    assert (decoded.shape, rate) == ((RATE // 2, 2), RATE)
    assert (out / "clip.png").read_bytes().startswith(b"\x89PNG")
    assert all(str(out / name) in printed for name in ("clip.rvc", "clip.decoded.wav", "clip.png"))


def test_the_demo_names_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main([str(tmp_path / "missing.wav"), str(tmp_path)]) == 1
    assert "missing.wav: not readable" in capsys.readouterr().err
    with pytest.raises(CorpusError, match="no samples"):
        soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), RATE)
        demo.demonstrate(tmp_path / "empty.wav", tmp_path)


def test_spectrograms_of_long_sounds_stay_small() -> None:
    level = spectrogram.decibels(np.zeros(20 * RATE), RATE)
    assert level.shape[0] <= 1601 and level.shape[1] == 1025
    tone = np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE)
    assert spectrogram.decibels(tone)[20].argmax() == 128  # 3 kHz over 23.4 Hz a bin
