"""The metrics against their definitions, other implementations, published values and physics."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from eval.audio import RATE
from eval.errors import MetricError, Unavailable
from eval.metrics import (
    METRICS,
    fine_structure,
    left_out,
    log_mel,
    loudness,
    repetition,
    select,
    si_sdr,
    spectral_distance,
)
from eval.metrics.bandwidth import bandwidth
from eval.metrics.stft import magnitudes

Array = NDArray[np.float64]


def noise(seconds: float = 1.0, level: float = 0.1, seed: int = 0) -> Array:
    return level * np.random.default_rng(seed).standard_normal(int(seconds * RATE))


def voice(seconds: float = 3.0) -> Array:
    """Syllables: a gliding harmonic complex in bursts, with pauses. Enough like speech for ESTOI and PESQ."""
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    formants = [
        (k, 1 / (1 + ((k * 120 - centre) / 200) ** 2)) for centre in (600, 1500) for k in range(1, 30)
    ]
    sound = sum(weight * np.sin(k * pitch) for k, weight in formants)
    bursts = np.clip(np.sin(2 * np.pi * 3 * time), 0, None) * (np.sin(2 * np.pi * 0.5 * time) > -0.5)
    scaled: Array = 0.1 * sound * bursts
    return scaled


def reference_magnitudes(x: Array, window: int, hop: int) -> torch.Tensor:
    taper = torch.hann_window(window, periodic=True, dtype=torch.float64)
    return torch.stft(
        torch.from_numpy(x), window, hop, window=taper, center=True, pad_mode="reflect", return_complex=True
    ).abs()


BEST_PESQ = 0.999 + 4 / (1 + math.exp(-1.3669 * 4.5 + 3.8224))
"""P.862.2 maps the raw score, 4.5 at best, to its scale by this."""

IDENTICAL = {
    "spectral_distance": 0, "log_mel": 0, "fine_structure": 1, "visqol": 4.732, "zimtohrli": 5, "estoi": 1,
    "pesq": BEST_PESQ, "f0": 0, "gross_pitch": 0, "voicing": 0, "si_sdr": 100, "loudness": 0, "bandwidth": 0,
    "repetition": 0,
}  # fmt: skip
"""ViSQOL's is what the original program publishes for its conformance case castanets_identity."""

ELSEWHERE = ("visqol", "gross_pitch", "voicing")
"""What noise does to these is in test_eval_perceptual.py: on real music, or in jumps."""

PRESENT = [name for name, metric in METRICS.items() if not metric.missing]


@pytest.mark.parametrize("name", PRESENT)
def test_identity(name: str) -> None:
    clean = voice(1.2 if name == "visqol" else 3.0)  # it is slow
    assert METRICS[name](clean, clean) == pytest.approx(IDENTICAL[name], abs=1e-3)


@pytest.mark.parametrize(
    "name", [name for name in PRESENT if name not in ("bandwidth", "loudness", *ELSEWHERE)]
)
def test_more_noise_is_never_better(name: str) -> None:
    clean = voice()
    measured = [METRICS[name](clean, clean + noise(3.0, level)) for level in (1e-3, 1e-2, 1e-1)]
    values = [value for value in measured if value is not None]
    worse = values if METRICS[name].better == "lower" else [-value for value in values]
    assert worse == sorted(worse) and len(set(worse)) == 3


@pytest.mark.parametrize("name", PRESENT)
@pytest.mark.parametrize("channels", [1, 2])
def test_silence_never_gives_nan(name: str, channels: int) -> None:
    """Every value is finite; what is not defined for silence is None, not a number that looks like one."""
    silence = np.zeros((RATE * 2, channels))
    sound = np.tile(voice(2.0)[:, None], channels)
    for original, decoded in ((silence, silence), (silence, sound), (sound, silence)):
        value = METRICS[name](original, decoded)
        assert value is None or math.isfinite(value)
    assert METRICS["spectral_distance"](silence, silence) == 0
    assert METRICS[name](silence, sound) is None or name in ("spectral_distance", "log_mel")


def test_a_value_is_the_same_every_time() -> None:
    """pystoi adds a little noise of its own, which is all that silence scores by."""
    scores = {METRICS["estoi"](voice(), np.zeros(3 * RATE)) for _ in range(2)}
    assert len(scores) == 1
    before = np.random.get_state()[1].sum()
    METRICS["estoi"](voice(), voice())
    assert np.random.get_state()[1].sum() == before


@pytest.mark.parametrize("name", PRESENT)
@pytest.mark.parametrize("samples", [1, 2, 700])
def test_the_shortest_sounds_are_measured_or_refused(name: str, samples: int) -> None:
    value = METRICS[name](noise()[:samples], noise(seed=1)[:samples])
    assert value is None or math.isfinite(value)


def test_other_lengths_and_bad_samples_are_refused() -> None:
    metric = METRICS["spectral_distance"]
    with pytest.raises(MetricError, match="100 samples in 1 channels, the decoded sound 99"):
        metric(np.ones(100), np.ones(99))
    with pytest.raises(MetricError, match="in 2"):
        metric(np.ones((100, 1)), np.ones((100, 2)))
    with pytest.raises(MetricError, match="no samples"):
        metric(np.ones(0), np.ones(0))
    with pytest.raises(MetricError, match="decoded sound has samples that are not finite"):
        metric(np.ones(100), np.full(100, np.inf))


@pytest.mark.parametrize("name", ["spectral_distance", "log_mel", "fine_structure", "si_sdr", "bandwidth"])
def test_channels_are_averaged(name: str) -> None:
    original = np.stack([noise(seed=1), noise(seed=2)], axis=1)
    decoded = np.stack([noise(seed=3), voice(1.0)], axis=1)
    each = [METRICS[name](original[:, c], decoded[:, c]) for c in range(2)]
    assert METRICS[name](original, decoded) == pytest.approx(np.mean(np.array(each, float)))


def test_a_metric_of_unknown_name_is_named() -> None:
    assert [metric.name for metric in select(["pesq", "log_mel"])] == ["pesq", "log_mel"]
    with pytest.raises(MetricError, match="no metric peaq"):
        select(["peaq"])


def test_what_is_measured_when_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick metrics that are installed; a missing one stops only a sweep that asks for it by name."""
    assert [metric.name for metric in select()] == [name for name in PRESENT if METRICS[name].default]
    assert "visqol" not in [metric.name for metric in select()]
    assert [metric.name for metric in select(["all"])] == PRESENT
    assert next(metric.name for metric in select(["si_sdr", "default"])) == "si_sdr"
    absent = replace(METRICS["zimtohrli"], packages=("numpy", "a_package_that_is_nowhere"))
    monkeypatch.setitem(METRICS, "zimtohrli", absent)
    assert "zimtohrli" not in [metric.name for metric in select()]
    assert left_out()["zimtohrli"] == "pip install 'ravecodec[perceptual]'"
    assert left_out(["si_sdr"]) == {}
    with pytest.raises(Unavailable, match=r"zimtohrli needs a_package_that_is_nowhere.*pip install 'ravecodec"):
        select(["zimtohrli"])


def test_speech_metrics_apply_to_speech_only() -> None:
    pitched = ["f0", "gross_pitch", "voicing"]
    speech = ["estoi", "pesq"]
    assert [name for name, metric in METRICS.items() if not metric.applies("music")] == [*speech, *pitched]
    assert [name for name, metric in METRICS.items() if not metric.applies("solo")] == speech
    assert all(metric.applies("speech") for metric in METRICS.values())


# ---- the transform


@pytest.mark.parametrize("window", spectral_distance.WINDOWS)
def test_magnitudes_are_those_of_torch(window: int) -> None:
    x = noise(0.3)[:14_321]
    ours = np.concatenate(list(magnitudes(x, window, window // 4)))
    theirs = reference_magnitudes(x, window, window // 4).numpy().T
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


# ---- multiscale spectral distance


def test_spectral_distance_against_torch() -> None:
    """The formula written a second time, with torch's transform and norms."""
    x, y = voice(1.0), 0.7 * voice(1.0) + noise(1.0, 0.01)
    total = 0.0
    for window in (2048, 1024, 512, 256, 128):
        a, b = (reference_magnitudes(signal, window, window // 4) for signal in (x, y))
        linear = torch.linalg.norm(a - b) / torch.linalg.norm(a)
        logarithmic = (a.clamp(min=1e-5).log() - b.clamp(min=1e-5).log()).abs().mean()
        total += float(linear + logarithmic)
    assert spectral_distance.spectral_distance(x, y) == pytest.approx(total, rel=1e-9)


def test_spectral_distance_against_auraloss() -> None:
    """The package's terms, which it averages over scales; its floor is another, but noise is far above both."""
    from auraloss.freq import MultiResolutionSTFTLoss

    x, y = noise(1.0), noise(1.0) + noise(1.0, 0.05, seed=1)
    windows = list(spectral_distance.WINDOWS)
    loss = MultiResolutionSTFTLoss(windows, [window // 4 for window in windows], windows)
    theirs = 5 * float(loss(*(torch.from_numpy(each)[None, None] for each in (y, x))))
    assert spectral_distance.spectral_distance(x, y) == pytest.approx(theirs, rel=1e-4)


def test_spectral_distance_of_a_gain() -> None:
    """|Y| = g|X|: each scale costs |1 - g| and |ln g|."""
    x = noise(2.0)
    assert spectral_distance.spectral_distance(x, x / 2) == pytest.approx(5 * (0.5 + math.log(2)), rel=1e-3)


def test_spectral_distance_where_there_was_silence() -> None:
    """Any sound in place of silence costs 1 a scale in the linear term: no division by almost nothing."""
    silence, sound = np.zeros(RATE), noise(1.0)
    heights = [reference_magnitudes(sound, window, window // 4) for window in spectral_distance.WINDOWS]
    expected = sum(1 + (height.clamp(min=1e-5) / 1e-5).log().mean() for height in heights)
    assert spectral_distance.spectral_distance(silence, sound) == pytest.approx(float(expected), rel=1e-6)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = noise(0.5), noise(0.5, seed=1)
    whole = spectral_distance.spectral_distance(x, y)
    monkeypatch.setattr("eval.metrics.stft.BLOCK_SAMPLES", 4096)
    assert spectral_distance.spectral_distance(x, y) == pytest.approx(whole, rel=1e-12)


# ---- log-mel


@pytest.mark.parametrize("decibels", [-20, 6])
def test_log_mel_of_a_gain(decibels: float) -> None:
    x = noise(1.0)
    assert log_mel.log_mel_distance(x, x * 10 ** (decibels / 20)) == pytest.approx(
        abs(decibels) / 20, rel=1e-9
    )


def test_log_mel_against_its_definition() -> None:
    """Band by band, with torch's transform: no matrix and no blocks."""
    x, y = voice(0.5), 0.5 * voice(0.5) + noise(0.5, 0.01)
    a, b = (reference_magnitudes(signal, 2048, 512).numpy() for signal in (x, y))
    corners = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 24_000 / 700), 82) / 2595) - 1)
    total = []
    for low, centre, high in zip(corners, corners[1:], corners[2:], strict=False):
        bands = [np.zeros(a.shape[1]), np.zeros(a.shape[1])]
        for k in range(1025):
            weight = max(0.0, min((k * RATE / 2048 - low) / (centre - low), (high - k * RATE / 2048) / (high - centre)))
            bands = [band + weight * each[k] for band, each in zip(bands, (a, b), strict=True)]
        total.append(np.abs(np.log10(np.maximum(bands[0], 1e-5)) - np.log10(np.maximum(bands[1], 1e-5))))
    assert log_mel.log_mel_distance(x, y) == pytest.approx(np.mean(total), rel=1e-9)


def test_mel_filters_tile_the_spectrum() -> None:
    bank = log_mel.filterbank(RATE)
    assert bank.shape == (80, 1025)
    assert (bank > 0).any(axis=1).all()  # no band without a bin, down to the lowest
    corners = log_mel.hertz(np.linspace(0, float(log_mel.mel(24_000)), 82))
    inside = slice(math.ceil(corners[1] * 2048 / RATE), math.floor(corners[-2] * 2048 / RATE) + 1)
    np.testing.assert_allclose(bank.sum(axis=0)[inside], 1)  # neighbouring triangles add up to one
    assert float(log_mel.mel(1000)) == pytest.approx(1000, abs=0.1)  # what makes it the mel scale


# ---- fine structure


def slow_fine_structure(x: Array, y: Array) -> float:
    """The definition, bin by bin."""
    a, b = (reference_magnitudes(signal, 4096, 1024).numpy().T for signal in (x, y))
    bins = [k for k in range(2049) if 60 <= k * RATE / 4096 <= 8000]
    total = weights = 0.0
    energies = (a**2).sum(axis=1)
    for t in range(len(a)):
        if energies[t] < 1e-5 * energies.max():
            continue
        rows = []
        for magnitude in (a[t], b[t]):
            level = np.log(np.maximum(magnitude, 1e-5))
            rows.append([level[k] - level[max(k - 20, 0) : k + 21].mean() for k in bins])
        total += energies[t] ** 0.3 * float(np.corrcoef(rows)[0, 1])
        weights += energies[t] ** 0.3
    return total / weights


def test_fine_structure_against_its_definition() -> None:
    x = np.concatenate([voice(0.6), noise(0.2, 1e-6)])  # the quiet end must not count
    y = x + noise(0.8, 0.02)[: len(x)]
    assert fine_structure.fine_structure(x, y) == pytest.approx(slow_fine_structure(x, y), abs=1e-9)


def test_fine_structure_sees_harmonics_and_forgives_the_envelope() -> None:
    original = voice()
    tilted = np.convolve(original, [1, 0.9])[: len(original)] * 0.3  # other envelope, same harmonics
    independent = noise(3.0) * np.abs(np.convolve(np.abs(original), np.ones(500) / 500, "same"))
    assert fine_structure.fine_structure(original, tilted) == pytest.approx(1, abs=0.02)
    assert fine_structure.fine_structure(original, independent) == pytest.approx(0, abs=0.1)
    assert fine_structure.fine_structure(original, np.zeros_like(original)) == 0


# ---- repetition


def test_repetition_hears_a_loop_that_envelopes_forgive() -> None:
    original, loop = noise(3.0), np.tile(noise(3.0)[:2048], 71)[: 3 * RATE]
    other = noise(3.0, seed=1)
    heard = repetition.repetition(original, loop)
    assert heard is not None and heard > 0.7
    assert repetition.repetition(original, other) == pytest.approx(0, abs=0.05)
    # And the other way round: a voice that became noise repeats too little.
    lost = repetition.repetition(voice(), noise(3.0))
    assert lost is not None and lost > 0.2
    assert repetition.repetition(voice(), -0.3 * voice()) == pytest.approx(0, abs=1e-9)
    assert repetition.repetition(voice()[:10000], voice()[:10000]) is None


# ---- waveform, loudness, bandwidth


@pytest.mark.parametrize("decibels", [-10.0, 0.0, 25.0])
def test_si_sdr_of_orthogonal_noise_is_the_ratio(decibels: float) -> None:
    x, n = noise(seed=1), noise(seed=2)
    n -= np.vdot(n, x) / np.vdot(x, x) * x
    n *= np.linalg.norm(x) / np.linalg.norm(n) * 10 ** (-decibels / 20)
    assert si_sdr.si_sdr(x, x + n) == pytest.approx(decibels, abs=1e-6)
    assert si_sdr.si_sdr(x, 0.01 * (x + n)) == pytest.approx(decibels, abs=1e-6)  # scale invariant


@pytest.mark.parametrize(
    ("level", "channels", "lufs"),
    [(0.0, 1, -3.01), (-23.0, 2, -23.0), (-33.0, 2, -33.0)],
)
def test_loudness_of_the_standards_test_tones(level: float, channels: int, lufs: float) -> None:
    """ITU-R BS.1770: 997 Hz at full scale in one channel is -3.01; EBU Tech 3341, cases 1 and 2."""
    tone = 10 ** (level / 20) * np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)
    assert loudness.integrated(np.tile(tone[:, None], channels)) == pytest.approx(lufs, abs=0.1)


def test_loudness_difference_of_a_gain() -> None:
    x = noise(2.0)
    assert METRICS["loudness"](x, x * 10 ** (-6 / 20)) == pytest.approx(6, abs=1e-6)


@pytest.mark.parametrize("cutoff", [3500, 8000, 15_000])
def test_bandwidth_finds_a_cut(cutoff: int) -> None:
    spectrum = np.fft.rfft(noise(2.0))
    spectrum[2 * cutoff :] = 0  # two seconds: half-hertz bins
    cut = np.fft.irfft(spectrum)
    assert bandwidth(cut) == pytest.approx(cutoff, abs=400)  # a Hann window falls by 80 dB in 300 Hz
    assert METRICS["bandwidth"](noise(2.0), cut) == pytest.approx((24_000 - cutoff) / 1000, abs=0.4)
