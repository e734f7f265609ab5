"""The codecs that a sweep compares: anchors do the damage they name, Opus is in time and exactly as long."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from eval import codecs
from eval.audio import RATE, Audio
from eval.codecs.process import run
from eval.errors import CodecError, Unavailable
from eval.metrics.fine_structure import fine_structure
from eval.metrics.log_mel import log_mel_distance
from eval.points import Point
from eval.results import Results

Array = NDArray[np.float64]


def through(name: str, wav: Audio, **settings: Any) -> Audio:
    codec = codecs.create(name, settings)
    decoded, rate = codec.decode(codec.encode(wav, RATE))
    assert rate == RATE
    return decoded


def tones(*frequencies: float, seconds: float = 1.0) -> Array:
    time = np.arange(int(seconds * RATE)) / RATE
    sines: Array = sum((np.sin(2 * np.pi * f * time) for f in frequencies), np.zeros_like(time))
    return 0.1 * sines[:, None]


def chord(seconds: float = 2.0) -> Array:
    """Decaying harmonic notes in two different channels, over a little noise."""
    time = np.arange(int(seconds * RATE)) / RATE
    notes = [sum(np.sin(2 * np.pi * f * k * time) / k for k in range(1, 40)) for f in (196.0, 247.0)]
    wav = 0.1 * np.stack(notes, axis=1) * np.exp(-3 * (time % 0.5))[:, None]
    noisy: Array = wav + 1e-3 * np.random.default_rng(0).standard_normal(wav.shape)
    return noisy


@pytest.mark.parametrize(("name", "settings"), codecs.anchors())
@pytest.mark.parametrize("shape", [(1, 1), (10, 2), (1000, 1), (48_001, 3)])
def test_anchors_keep_the_shape_and_repeat_exactly(
    name: str, settings: dict[str, Any], shape: tuple[int, int]
) -> None:
    wav = 0.1 * np.random.default_rng(0).standard_normal(shape)
    first, second = through(name, wav, **settings), through(name, wav, **settings)
    assert first.shape == shape
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)


def test_identity_and_silence() -> None:
    wav = chord().astype(np.float32)
    np.testing.assert_array_equal(through("identity", wav), wav)
    assert not through("silence", wav).any()


@pytest.mark.parametrize("cutoff", [3500.0, 7000.0])
def test_the_low_pass_has_no_delay_and_the_ripple_of_mushra(cutoff: float) -> None:
    inner = slice(RATE // 4, -RATE // 4)
    passed = tones(100, 1000, cutoff)
    np.testing.assert_allclose(
        through("lowpass", passed, cutoff=cutoff)[inner], passed[inner], atol=0.1 * 0.0115
    )
    stopped = through("lowpass", tones(cutoff + 500, 2 * cutoff), cutoff=cutoff)[inner]
    assert np.abs(stopped).max() < 0.2 * 10 ** (-75 / 20)


def test_the_noise_vocoder_keeps_the_envelope_and_nothing_else() -> None:
    wav = chord()
    vocoded = through("noise-vocoder", wav, bands=40, seed=0)
    for c in range(2):
        structure = fine_structure(wav[:, c], vocoded[:, c])
        assert structure is not None and structure < 0.15
        assert log_mel_distance(wav[:, c], vocoded[:, c]) < 0.5
    level = 20 * np.log10(np.std(vocoded) / np.std(wav))
    assert abs(level) < 1
    assert abs(np.corrcoef(vocoded.T)[0, 1]) < 0.1  # each channel has its own noise
    assert not np.array_equal(vocoded, through("noise-vocoder", wav, bands=40, seed=1))


def test_labels_are_what_tables_print() -> None:
    labels = [codecs.create(name, settings).label for name, settings in codecs.anchors()]
    assert labels == ["identity", "low-pass 7 kHz", "low-pass 3.5 kHz", "noise vocoder, 40 bands", "silence"]
    assert codecs.create("opus", {"bitrate": 12}).label == "Opus 12"


@pytest.mark.parametrize("bitrate", [6, 24, 96])
def test_opus_is_in_time_and_as_long_as_the_original(bitrate: float) -> None:
    """Where opus-tools is missing, the codec must say which package brings it."""
    if shutil.which("opusenc") is None or shutil.which("opusdec") is None:
        with pytest.raises(Unavailable, match="apt-get install opus-tools"):
            codecs.create("opus", {"bitrate": bitrate}).identity()
        return
    wav = chord()[:77_777]
    codec = codecs.create("opus", {"bitrate": bitrate})
    assert "opus-tools" in codec.identity()["opus"]
    data = codec.encode(wav, RATE)
    assert data == codec.encode(wav, RATE)
    decoded, rate = codec.decode(data)
    assert (decoded.shape, rate) == (wav.shape, RATE)
    # The delay, by cross-correlation of the left channel: ±3 samples is what SILK's resamplers leave.
    padded = [np.fft.rfft(x, 1 << 18) for x in (decoded[:, 0], wav[:, 0])]
    correlation = np.fft.irfft(padded[0] * np.conj(padded[1]))
    lag = (int(correlation.argmax()) + (1 << 17)) % (1 << 18) - (1 << 17)
    assert abs(lag) <= (3 if bitrate < 24 else 0)
    assert 0.5 < 8 * len(data) / (len(wav) / RATE) / 1000 / bitrate < 2


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="opusdec is not installed: apt-get install opus-tools"):
        codecs.create("opus", {"bitrate": 12}).identity()


def test_programs_that_fail_or_hang_are_errors() -> None:
    with pytest.raises(CodecError, match="status 3: so it goes"):
        run(["sh", "-c", "echo so it goes >&2; exit 3"])
    with pytest.raises(CodecError, match="stopped after"):
        run(["sleep", "10"], seconds=0.1)


def test_a_user_adds_a_codec_in_a_few_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of CONTRIBUTING.md, as it stands there but for its model, which is not what is tested."""
    text = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    example = text.partition("```python\n")[2].partition("```")[0]
    assert len(example.splitlines()) < 20
    (tmp_path / "clips").mkdir()
    for channels in (1, 2):
        soundfile.write(tmp_path / "clips" / f"{channels}.wav", chord(0.6)[:, :channels], RATE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("eval.sweep.points", lambda **_: [Point("identity")])
    exec(compile(example, "CONTRIBUTING.md", "exec"), {})
    rows = [row for row in Results.read(tmp_path / "out" / "results.json").rows if row.codec == "8-bit"]
    assert len(rows) == 2 and all(row.measurement.error is None for row in rows)
    assert [row.measurement.bytes for row in rows] == [1 + 28_800, 1 + 2 * 28_800]
    wav = chord()
    assert np.abs(through("8-bit", wav) - wav).max() <= 0.5 / 127
    with pytest.raises(Unavailable, match=r"no codec 'flac': there are .*8-bit"):
        codecs.create("flac")
