"""Ablations: plainer codings of the same integers, the table of what each saves, the one command that makes it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from records import points, quality, record
from sounds import glide

import ravecodec
from bitstream import coder
from bitstream.tables import ROW_SUM, Tables
from eval import ablation, curves, plots
from eval.errors import EvalError
from eval.results import Results
from ravecodec.ablation import fixed_row, integers, write_models
from ravecodec.cli import main

STEPS = [-8, 8]
RATES = (1.0, 2.0, 4.0, 8.0, 16.0)


@pytest.fixture(scope="module")
def codec() -> ravecodec.Codec:
    return ravecodec.load()


def sounds() -> Iterator[tuple[np.ndarray, int]]:
    yield glide(1), 48000
    yield np.stack([glide(2), glide(3)], axis=1), 44100


def test_a_fixed_row_costs_whole_bits_whatever_the_integer() -> None:
    random = np.random.default_rng(0)
    for spread, bits in ((1, 2), (3, 3), (4, 4), (100, 8)):
        values = np.r_[-spread, spread, random.integers(-spread, spread + 1, 500)]
        low, counts = fixed_row(values)
        assert low == -spread and set(counts) == {ROW_SUM >> bits} and sum(counts) == ROW_SUM
        tables = Tables.from_rows({0: [(low, counts)]})
        assert tables.bits(values[None, :, None], 0) == bits * len(values)
        assert len(coder.encode(values[None, :, None], tables, 0)) == pytest.approx(bits * len(values) / 8, abs=1)
    still = Tables.from_rows({0: [fixed_row(np.full(1000, 7))]})
    assert still.bits(np.full((1, 1000, 1), 7), 0) < 0.1  # what never changes is not spelt out
    wide = np.array([[[-400_000], [12], [400_000]]])  # beyond what a row can hold: escapes
    tables = Tables.from_rows({0: [fixed_row(np.array([-30_000, 30_000]))]})
    assert np.array_equal(coder.decode(coder.encode(wide, tables, 0), tables, 0, wide.shape), wide)


def test_the_integers_are_those_of_a_file(codec: ravecodec.Codec) -> None:
    from bitstream import Reader

    panned = np.stack([glide(1), 0.3 * glide(1)], 1)
    found = integers(codec, [(glide(1), 48000), (panned, 48000)], STEPS)
    coded = []
    for audio in (glide(1), panned):
        data = codec.encode(audio, 48000, components=codec.latents, step=8, rdoq=False)
        packets = Reader.from_bytes(data, codec.tables).packets()
        coded += [channel for packet in packets if packet.codes is not None for channel in packet.codes]
    assert np.array_equal(found[8], np.concatenate(coded))


def test_plainer_codings_keep_the_sound_and_cost_more(codec: ravecodec.Codec, tmp_path: Path) -> None:
    paths = write_models(codec, tmp_path, sounds(), STEPS, ("fixed-length", "static-tables", "contexts"))
    sizes, heard = [], []
    for path in paths.values():
        model = ravecodec.load(path)
        assert model.model_id == codec.model_id
        data = model.encode(glide(1), 48000, fidelity=0.99, step=8, rdoq=False)
        sizes.append(len(data))
        heard.append(model.decode(data)[0])
    assert sizes[0] > sizes[1] and sizes[0] > sizes[2]
    assert all(np.array_equal(heard[0], each) for each in heard[1:])
    assert ravecodec.load(paths["contexts"]).tables_id == codec.tables_id
    with pytest.raises(ravecodec.UsageError, match="no sound to fit"):
        write_models(codec, tmp_path, [], STEPS, ("static-tables",))
    plain = ravecodec.load(paths["static-tables"])
    with pytest.raises(ravecodec.UsageError, match="no context network"):
        write_models(plain, tmp_path, sounds(), STEPS, ("contexts",))


def shifted(name: str, share: float) -> list:
    """A system that needs only this share of the rate."""
    return points([share * rate for rate in RATES], value=lambda rate: quality(rate / share), settings={"part": name})


def test_each_stage_is_compared_with_the_one_before_and_the_first() -> None:
    results = record(shifted("a", 1.0), shifted("b", 0.8), shifted("c", 0.4), metrics=("fine_structure",))
    found = [stage for stage in ablation.stages(results, resamples=20) if stage.kind == "overall"]
    assert [stage.system for stage in found] == ["ravecodec part=b", "ravecodec part=c"]
    assert [stage.before.rate.value for stage in found] == pytest.approx([-20, -50], abs=0.1)
    assert [stage.first.rate.value for stage in found] == pytest.approx([-20, -60], abs=0.1)
    assert found[1].to_json()["against_before"]["system"] == "ravecodec part=b"
    shown = ablation.text(found, results)
    assert "fine_structure ↑ overall, 6 clips" in shown and "-50.0 (-50.0 to -50.0)" in shown
    with pytest.raises(EvalError, match="an ablation needs two"):
        ablation.stages(record(points(RATES)))


def test_one_command_measures_all_stages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("music", "speech"):
        (tmp_path / "clips" / kind).mkdir(parents=True)
        soundfile.write(tmp_path / "clips" / kind / "a.wav", glide(4), 48000)
    (tmp_path / "clips" / "broken.wav").write_bytes(b"RIFF")
    out = tmp_path / "out"
    arguments = ["ablate", "--data", str(tmp_path / "clips"), "--out", str(out), "--limit", "0", "--resamples", "10"]
    options = ["--metrics", "spectral_distance", "--step", "-8", "-4", "0", "4", "8"]
    assert main([*arguments, *options]) == 1  # one clip is broken, and said to be
    said = capsys.readouterr()
    assert "left out of the fit" in said.err and "broken.wav: failed" in said.err
    results = Results.read(out / "results.json")
    stages = ("fixed-length no rdoq", "static-tables no rdoq", "contexts no rdoq", "contexts rdoq")
    names = [f"ravecodec {stage}" for stage in stages]
    assert list(curves.systems(results)) == names
    assert "noise vocoder, 40 bands" in {row.label for row in results.rows}  # anchors stand in this table too
    stages = json.loads((out / "ablation.json").read_text())
    assert [stage["system"] for stage in stages if stage["kind"] == "overall"] == names[1:]
    overall = [line for line in results.lines if line.kind == "overall"]
    rates = [
        [line.file_kbps for line in overall if line.label.startswith(f"ravecodec {coding} f")]
        for coding in ("fixed-length", "static-tables")
    ]
    assert len(rates[0]) == 5 and all(fixed > static for fixed, static in zip(*rates, strict=True))
    # One fidelity: the points of a system are one curve along the steps.
    assert list(plots.curves(overall)) == names
    assert main([*arguments[:5], "--stages", "rdoq"]) == 2
    assert "two are needed" in capsys.readouterr().err
