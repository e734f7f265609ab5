"""Hulls, BD-rates, equivalent rates and sentences: each on curves whose answer is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from records import anchor, points, quality, record
from scipy.interpolate import Akima1DInterpolator

from eval import analysis, bd, compare, curves, equivalent, findings
from eval.errors import EvalError
from eval.results import Results
from ravecodec.cli import main

RATES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


def cloud(results: Results, metric: str = "fine_structure", kind: str = "overall") -> curves.Cloud:
    return curves.cloud(results, next(iter(curves.systems(results).values())), metric, kind)


def test_the_hull_is_what_no_mixture_beats(rng: np.random.Generator) -> None:
    rates, quality_ = rng.uniform(1, 10, 60), rng.uniform(0, 1, 60)
    hull = curves.hull(rates, quality_)
    assert set(hull) <= set(curves.front(rates, quality_))
    assert np.all(np.diff(rates[hull]) > 0) and np.all(np.diff(quality_[hull]) > 0)
    slopes = np.diff(quality_[hull]) / np.diff(rates[hull])
    assert np.all(np.diff(slopes) < 0)
    inside = (rates >= rates[hull[0]]) & (rates <= rates[hull[-1]])
    mixture = np.interp(rates[inside], rates[hull], quality_[hull])
    assert np.all(quality_[inside] <= mixture + 1e-12)


def test_the_front_leaves_out_what_costs_more_and_is_no_better() -> None:
    rates, quality_ = np.array([4.0, 1, 2, 3, 5]), np.array([0.4, 0.1, 0.3, 0.2, 0.4 + 1e-9])
    assert curves.front(rates, quality_) == [1, 2, 0]  # the last is better by rounding only


def test_a_lower_metric_is_turned_into_a_quality() -> None:
    results = record(points(RATES))
    for metric in ("fine_structure", "spectral_distance"):
        rates, quality_ = cloud(results, metric).means()
        assert rates == pytest.approx(RATES)
        assert np.all(np.diff(quality_) > 0)


def test_a_clip_that_lacks_a_value_at_one_point_is_left_out_of_all() -> None:
    rows = points(RATES)
    broken = dataclasses.replace(rows[0].measurement, metrics={"fine_structure": None})
    results = record([dataclasses.replace(rows[0], measurement=broken), *rows[1:]])
    assert "s1" not in cloud(results).clips and len(cloud(results).clips) == 5


def test_systems_are_told_apart_by_what_does_not_choose_the_rate() -> None:
    results = record(
        points(RATES), points(RATES, settings={"model": "there/b.safetensors"}), points((6, 12), "opus"),
        anchor("silence", "silence", {"fine_structure": 0.0}),
    )  # fmt: skip
    assert {name: len(s.points) for name, s in curves.systems(results).items()} == {
        "ravecodec": 6, "ravecodec b": 6, "Opus": 2,
    }  # fmt: skip


def test_four_fifths_of_the_rate_is_minus_twenty_percent() -> None:
    old = record(points(RATES))
    new = record(points([0.8 * rate for rate in RATES], value=lambda rate: quality(rate / 0.8)))
    delta = bd.delta(cloud(old), cloud(new), resamples=50)
    assert (delta.rate.value, delta.rate.low, delta.rate.high) == pytest.approx((-20, -20, -20), abs=0.01)
    # The curve gains 0.1 an octave.
    assert delta.quality.value == pytest.approx(0.1 * np.log2(1 / 0.8), abs=1e-4)
    back = bd.delta(cloud(new), cloud(old), resamples=0)
    assert back.rate.value == pytest.approx(25, abs=0.01) and back.rate.low is None
    same = bd.delta(cloud(old), cloud(old), resamples=20)
    assert (same.rate.value, same.rate.low, same.rate.high) == (0, 0, 0)


def test_the_delta_is_the_integral_between_akima_splines(rng: np.random.Generator) -> None:
    rates = np.array([np.sort(rng.uniform(1, 30, 7)) for _ in range(2)])
    values = np.array([np.sort(rng.uniform(0, 1, 7)) for _ in range(2)])
    values[:, [0, -1]] = [[0.1, 0.95], [0.05, 0.9]]
    clouds = [
        curves.Cloud(
            name, "m", "higher", tuple("abcdefg"), ("x",), bits=1000 * r[:, None], values=v[:, None], seconds=np.ones(1)
        )
        for name, r, v in zip("ab", rates, values, strict=True)
    ]
    low, high = 0.1, 0.9
    area = [Akima1DInterpolator(v, np.log10(r)).integrate(low, high) for r, v in zip(rates, values, strict=True)]
    expected = 100 * (10 ** (float(area[1] - area[0]) / (high - low)) - 1)
    assert bd.delta(*clouds).rate.value == pytest.approx(expected, rel=1e-9)


def test_what_cannot_be_compared_is_refused_with_a_reason() -> None:
    old = record(points(RATES))
    few = bd.delta(cloud(old), cloud(record(points(RATES[:4]))))
    assert few.rate.value is None and "4 points" in str(few.rate.reason)
    flat = bd.delta(cloud(old), cloud(record(points(RATES, value=lambda rate: 0.5))))
    assert "1 points that rise" in str(flat.rate.reason)
    far = bd.delta(cloud(old), cloud(record(points([10 * rate for rate in RATES], value=quality))))
    assert far.rate.value is None and "share" in str(far.rate.reason) and far.quality.value is None
    others = record(points(RATES, clips={"z": "music"}))
    assert bd.delta(cloud(old), cloud(others)).clips == 0
    with pytest.raises(EvalError, match="cannot be compared"):
        bd.delta(cloud(old), cloud(old, "spectral_distance"))


def test_a_sparser_sweep_of_one_codec_is_not_better_than_its_grid() -> None:
    """Worse fidelities between two steps lie on the monotone part of a grid, and no one would choose them."""
    chosen = points(RATES, settings={"step": 0})
    detours = points([1.8 * rate for rate in RATES[:-1]], value=lambda rate: quality(rate / 1.7), settings={"step": 8})
    grid, sparse = cloud(record([*chosen, *detours])), cloud(record(chosen))
    assert grid.grid and not sparse.grid
    assert len(curves.front(*grid.means())) == 11 and len(curves.hull(*grid.means())) == 6
    assert bd.delta(grid, sparse, resamples=0).rate.value == pytest.approx(0, abs=1e-6)


def test_the_interval_depends_on_the_seed_only_and_covers_the_value(rng: np.random.Generator) -> None:
    offset = dict(zip("s1 s2 s3 m1 m2 m3".split(), rng.normal(0.02, 0.02, 6), strict=True))
    rows = [
        dataclasses.replace(
            row,
            measurement=dataclasses.replace(
                row.measurement,
                metrics={"fine_structure": float(row.measurement.metrics["fine_structure"] or 0) + offset[row.clip]},
            ),
        )
        for row in points(RATES)
    ]
    old, new = cloud(record(points(RATES))), cloud(record(rows))
    first, again, other = (bd.delta(old, new, seed=seed, resamples=100).rate for seed in (1, 1, 2))
    assert first == again != other
    assert first.low and first.high and first.value and first.low < first.value < first.high < 0


def test_a_codec_s_own_points_are_equivalent_to_themselves() -> None:
    opus = cloud(record(points((6, 8, 12, 16, 24, 32), "opus")))
    own = equivalent.equivalents(opus, opus)
    assert [own[label].kbps for label in opus.labels] == pytest.approx([6, 8, 12, 16, 24, 32])
    ours = equivalent.equivalents(opus, cloud(record(points((1, 9, 60)))))
    assert [str(each) for each in ours.values()] == ["below 6.0", "9.0", "above 32.0"]
    assert equivalent.equivalents(cloud(record(points((6,), "opus"))), opus) == {}
    # Where the metric stops rising, "above" means above all that was measured, not above the last rise.
    flat = cloud(record(points((6, 12, 24), "opus", value=lambda rate: quality(min(rate, 12)))))
    assert str(equivalent.equivalents(flat, cloud(record(points((20,)))))["ravecodec f=0.5"]) == "above 24.0"


def test_anchors_above_codecs_are_said_in_words() -> None:
    vocoder = anchor("noise-vocoder", "noise vocoder", {"fine_structure": 0.05, "spectral_distance": 5.0})
    results = record(points(RATES), points((6, 12, 24), "opus"), vocoder)
    (sentence,) = findings.anchors(results, "overall")
    assert sentence == (
        "Noise vocoder, which has no pitch, ranks above every point of ravecodec by multiscale spectral distance; "
        "above every point of Opus by multiscale spectral distance."
    )
    said = findings.against(results, "speech")
    assert said is not None and said.startswith("On speech, ravecodec f=0.95 at 32.0 kbit/s against Opus 6 at 6.0")
    assert all(name in said for name in ("spectral distance", "fine-structure", "ESTOI", "PESQ"))
    assert said.endswith("These are 3 clips: too few for a claim.")
    assert findings.missing(results) == []
    (warning, *_) = findings.missing(record(points(RATES), metrics=["spectral_distance"]))
    assert "lacks fine structure" in warning


def test_the_analysis_of_a_record_is_written(tmp_path: Path) -> None:
    vocoder = anchor("noise-vocoder", "noise vocoder", {"fine_structure": 0.5, "spectral_distance": 5.0})
    results = record(points(RATES), points((6, 8, 12, 16, 24), "opus"), vocoder)
    written = analysis.write(results, tmp_path, resamples=20)
    content = json.loads((tmp_path / "analysis.json").read_text())
    assert content == json.loads(json.dumps(written))
    assert content["hull"]["ravecodec"]["fine_structure"]["overall"][0] == "ravecodec f=0.5"
    table = (tmp_path / "analysis.md").read_text()
    overall = table.partition("kbit/s: overall**")[2]
    assert "below 6.0" in overall and "fine_structure" in overall and "estoi, speech" in overall
    # An anchor stands in this table too: it has no rate, but a value that Opus reaches at some rate.
    equal = content["equivalent_opus_kbps"]["noise vocoder"]
    assert equal["spectral_distance"]["overall"] == "above 24.0" and "estoi" not in equal
    assert float(equal["fine_structure"]["overall"]) == pytest.approx(8, rel=0.1)  # quality(8) is 0.5
    assert "- overall: Noise vocoder, which has no pitch, ranks above" in table


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, results: Results) -> str:
        results.write(tmp_path / name)
        return str(tmp_path / name / "results.json")

    return write


def test_the_gate(written: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    old = written("old", record(points(RATES)))
    worse = written("worse", record(points([1.1 * rate for rate in RATES], value=lambda rate: quality(rate / 1.1))))
    options = ["--resamples", "20"]
    assert main(["compare", old, old, *options]) == 0
    capsys.readouterr()
    assert main(["compare", old, worse, *options, "--json", str(tmp_path / "out.json")]) == 1
    printed = capsys.readouterr()
    assert "+10.0" in printed.out and "worse beyond the interval" in printed.err
    found = json.loads((tmp_path / "out.json").read_text())
    assert {each["verdict"] for each in found} == {"worse"} and found[0]["delta"]["rate"]["value"] > 9.9
    assert main(["compare", worse, old, *options]) == 0  # better is no reason to stop
    assert main(["compare", old, worse, *options, "--tolerance", "15"]) == 0
    assert main(["compare", old, str(tmp_path / "old"), *options]) == 0  # a folder
    capsys.readouterr()
    assert main(["compare", old, str(tmp_path / "nothing.json")]) == 1
    assert "nothing.json" in capsys.readouterr().err
    assert main(["compare", old]) == 1
    with pytest.raises(SystemExit) as stopped:
        main(["compare"])
    assert stopped.value.code == 2


def test_the_gate_sees_failures_and_other_clips(
    written: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = points(RATES)
    failed = dataclasses.replace(rows[0], measurement=dataclasses.replace(rows[0].measurement, error="broke"))
    old, new = written("old", record(rows)), written("new", record([failed, *rows[1:]]))
    assert main(["compare", old, new, "--resamples", "20"]) == 1
    assert "fails on clips" in capsys.readouterr().err
    other = written("other", record(points(RATES, clips={"z": "music", "y": "music"})))
    assert main(["compare", old, other]) == 1
    assert "no clip of the same name and content" in capsys.readouterr().err
    few = written("few", record(points(RATES[:3])))
    assert main(["compare", old, few, "--resamples", "20"]) == 1
    assert "nothing could be decided" in capsys.readouterr().err


def test_several_systems_of_one_record_are_an_ablation() -> None:
    rows = points(RATES, settings={"tables": "static"})
    better = points([0.9 * r for r in RATES], value=lambda rate: quality(rate / 0.9), settings={"tables": "contexts"})
    found = compare.compare({"run": record(rows, better)}, metrics=["fine_structure"], resamples=20)
    assert [each.kind for each in found] == ["speech", "music", "overall"]
    assert {each.label for each in found} == {"run: ravecodec tables=contexts"}
    assert all(each.delta.rate.value == pytest.approx(-10, abs=0.05) for each in found)
    assert {each.verdict for each in found} == {"better"}
    by_model = compare.compare(
        {"run": record(rows, better)}, metrics=["fine_structure"], resamples=20, bits="model"
    )
    assert by_model[0].delta.rate.value == pytest.approx(-10, abs=0.05)
