"""Sound for a report: clips through a few operating points, cut, level-matched, as FLAC with spectrograms."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from eval import cache, codecs, corpus
from eval.audio import RATE, Audio, columns, resample
from eval.corpus import Clip
from eval.errors import CorpusError, EvalError
from eval.measure import Measurement
from eval.metrics import loudness
from eval.report import image
from eval.report.choice import Pick, Role
from eval.results import Results

SECONDS = 5.0
FADE = 0.01
CEILING_DB = -1.0
MOST_GAIN_DB = 40.0
BUDGET = 16_000_000
"""Bytes of sound; as base64 in a page 21 MB. Where there is more, excerpts are cut shorter."""


@dataclass(frozen=True)
class Version:
    """One clip through one operating point: `gain_db` is what levelling did, None where it could not level.

    `wav` is [n, ch] as played; `kbps` that of this whole clip's file. `flac` and `png` are filled in last.
    """

    label: str
    role: Role
    kbps: float | None
    gain_db: float
    levelled: bool
    metrics: dict[str, float | None]
    wav: Audio
    flac: bytes = b""
    png: bytes = b""


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a clip, `start` to `start + seconds`, in several versions; the original is the first."""

    clip: str
    kind: str
    start: float
    seconds: float
    versions: tuple[Version, ...]


def excerpts(
    results: Results,
    data: str | Path,
    names: Sequence[str],
    picks: Sequence[Pick],
    seconds: float = SECONDS,
    budget: int | None = BUDGET,
) -> list[Excerpt]:
    """The named clips of `data` through the picked points; all codecs see the whole clip and are cut afterwards.

    Versions of an excerpt have the original's loudness (ITU-R BS.1770-4), all lowered together where one
    would exceed −1 dBFS. A codec that fails on a clip has no version of it. Raises CorpusError for a clip
    that is missing or is not the one that was measured, and EvalError for a codec that no longer gives as
    many bytes as it did.
    """
    known = {clip.name: clip for clip in corpus.load(data)}
    made = [_excerpt(results, _clip(results, known, name), picks, seconds) for name in names]
    total = sum(len(version.flac) for each in made for version in each.versions)
    if budget is not None and total > budget:
        made = [_coded(_shortened(each, budget / total)) for each in made]
    return made


def loudest(wav: Audio, seconds: float, rate: int = RATE) -> int:
    """The sample at which the stretch of most energy begins, in steps of a quarter of a second; wav [n, ch]."""
    length, step = round(seconds * rate), rate // 4
    if len(wav) <= length:
        return 0
    energy = np.concatenate([[0.0], np.cumsum(np.sum(wav.astype(np.float64) ** 2, axis=1))])
    starts = np.arange(0, len(wav) - length + 1, step)
    return int(starts[np.argmax(energy[starts + length] - energy[starts])])


def levels(wavs: Sequence[Audio], rate: int = RATE) -> list[tuple[float, bool]]:
    """The gain in dB that gives each sound [n, ch] the loudness of the first, and whether it could be found.

    A sound below the standard's gate, or shorter than its block, is not levelled. All gains are lowered
    alike until no sample exceeds −1 dBFS.
    """
    measured = []
    for wav in wavs:
        usable = len(wav) >= loudness.BLOCK_SECONDS * rate and wav.shape[1] <= loudness.MOST_CHANNELS
        level = loudness.integrated(wav, rate) if usable else loudness.GATE
        measured.append(level if level > loudness.GATE else None)
    reference = measured[0]
    gains = [
        (0.0, False) if level is None or reference is None else (min(reference - level, MOST_GAIN_DB), True)
        for level in measured
    ]
    peaks = [gain + _decibels(float(np.abs(wav).max())) for wav, (gain, _) in zip(wavs, gains, strict=True)]
    lowered = min(0.0, CEILING_DB - max(peaks))
    return [(gain + lowered, levelled) for gain, levelled in gains]


def _clip(results: Results, known: dict[str, Clip], name: str) -> Clip:
    if name not in known:
        raise CorpusError(f"{name}: measured, but not in the corpus given for listening")
    stated = results.about["corpus"]["sha256"].get(name)
    if stated is not None and cache.file_digest(known[name].path) != stated:
        raise CorpusError(f"{known[name].path}: not the sound that was measured under the name {name}")
    return known[name]


def _excerpt(results: Results, clip: Clip, picks: Sequence[Pick], seconds: float) -> Excerpt:
    wav = corpus.read(clip)
    start, length = loudest(wav, seconds), min(round(seconds * RATE), len(wav))
    stretch = slice(start, start + length)
    found = [Version("original", "original", None, 0.0, True, {}, _faded(wav[stretch]))]
    for pick in picks:
        measured = _measured(results, pick, clip)
        if measured is None:
            continue
        codec = codecs.create(pick.codec, pick.settings)
        codec.prepare()
        coded = codec.encode(wav, RATE)
        if codec.rated and len(coded) != measured.bytes:
            raise EvalError(
                f"{pick.label}, {clip.name}: {len(coded)} bytes now, {measured.bytes} when it was measured: "
                "the codec or its model has changed, sweep again"
            )
        decoded, rate = codec.decode(coded)
        decoded = codec.fit(resample(columns(decoded), rate, RATE), len(wav))
        if decoded.shape != wav.shape:
            raise EvalError(f"{pick.label}, {clip.name}: {len(decoded)} samples decoded, {len(wav)} coded")
        kbps = 8 * len(coded) / (len(wav) / RATE) / 1000 if codec.rated else None
        found.append(
            Version(pick.label, pick.role, kbps, 0.0, True, dict(measured.metrics), _faded(decoded[stretch]))
        )
    gains = levels([version.wav for version in found])
    versions = tuple(
        replace(version, wav=version.wav * 10 ** (gain / 20), gain_db=gain, levelled=levelled)
        for version, (gain, levelled) in zip(found, gains, strict=True)
    )
    return _coded(Excerpt(clip.name, clip.kind, start / RATE, length / RATE, versions))


def _measured(results: Results, pick: Pick, clip: Clip) -> Measurement | None:
    """What is on record of a point on a clip; of an anchor that was not measured, nothing; None for a failure."""
    for row in results.rows:
        if (row.codec, row.clip, dict(row.settings)) == (pick.codec, clip.name, dict(pick.settings)):
            return row.measurement if row.measurement.error is None else None
    return Measurement() if pick.role == "anchor" else None


def _coded(excerpt: Excerpt) -> Excerpt:
    pictures = image.spectrograms([version.wav.mean(axis=1) for version in excerpt.versions])
    versions = tuple(
        replace(version, flac=flac(version.wav), png=png)
        for version, png in zip(excerpt.versions, pictures, strict=True)
    )
    return replace(excerpt, versions=versions)


def _shortened(excerpt: Excerpt, share: float) -> Excerpt:
    length = round(share * len(excerpt.versions[0].wav))
    versions = tuple(replace(version, wav=_faded(version.wav[:length])) for version in excerpt.versions)
    return replace(excerpt, versions=versions, seconds=length / RATE)


def flac(wav: Audio, rate: int = RATE) -> bytes:
    """A sound [n, ch] as the bytes of a 16-bit FLAC file."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(wav, -1, 1), rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _faded(wav: Audio) -> Audio:
    """The sound with ends of 10 ms that rise and fall, so that cutting does not click."""
    count = min(round(FADE * RATE), len(wav) // 2)
    envelope = np.ones(len(wav), np.float32)
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 0.5) / max(count, 1))).astype(np.float32)
    envelope[:count] = ramp
    envelope[len(wav) - count :] = ramp[::-1]
    return wav * envelope[:, None]


def _decibels(value: float) -> float:
    return 20 * float(np.log10(max(value, 1e-9)))
