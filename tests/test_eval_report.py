"""The report: a page that is whole, sounds that are levelled and as long as they should be, a formal test."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from pages import CLIPS, SECONDS, Rounded, clips, swept
from PIL import Image
from records import anchor, points, record

from eval import analysis, codecs, report, webmushra
from eval.audio import RATE
from eval.errors import CorpusError, EvalError
from eval.metrics import loudness
from eval.report import choice, image, listen
from eval.report.__main__ import main as draw_again
from eval.results import Results
from ravecodec.cli import main

VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """Collects a page's elements and complains where they are not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path, str]:
    folder = tmp_path_factory.mktemp("report")
    results, data = swept(folder)
    path = report.write(results, folder / "out", data, 2)
    return results, data, path.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_whole(written: tuple[Results, Path, str]) -> None:
    page = Page(written[2])
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = "summary curves chart legend listen abx abx-clip abx-tally figures fidelity method data tip"
    assert set(wanted.split()) <= set(ids)
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "for"):
            assert name not in attributes or attributes[name] in ids
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
    assert all(element in ids for element in re.findall(r'getElementById\("([a-z-]+)"\)', written[2]))
    assert "{{" not in written[2].replace("${{", "")


def test_the_page_needs_no_network(written: tuple[Results, Path, str]) -> None:
    assert re.findall(r"https?:|//[a-z]+\.", written[2]) == []
    page = Page(written[2])
    for tag in ("img", "audio", "script", "link", "a"):
        for attributes in page.named(tag):
            for name in ("src", "href"):
                assert attributes.get(name, "#").startswith(("data:", "#"))
    assert "default-src 'none'" in written[2]


def test_every_control_has_a_name(written: tuple[Results, Path, str]) -> None:
    page = Page(written[2])
    for tag, attributes in page.elements:
        if tag == "audio" or attributes.get("role") in ("region", "radiogroup", "group"):
            assert attributes.get("aria-labelledby") or attributes.get("aria-label"), (tag, attributes)
    assert page.named("html")[0]["lang"] == "en"


def test_the_sounds_in_the_page_are_those_of_the_clips(written: tuple[Results, Path, str]) -> None:
    page = Page(written[2])
    players = page.named("audio")
    assert len(players) == len(CLIPS) * (1 + 3 + 1)  # the original, three points, the vocoder
    for attributes in players:
        head, _, data = attributes["src"].partition(",")
        wav, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), always_2d=True)
        assert head == "data:audio/flac;base64" and rate == RATE
        assert len(wav) == round(SECONDS * RATE) and np.abs(wav).max() > 0.01
    data = json.loads(written[2].partition('id="data">')[2].partition("</script>")[0])
    assert {each["clip"] for each in data["clips"]} == set(CLIPS)
    assert all(each["versions"][0] == "original" for each in data["clips"])
    pictures = [attributes["src"].partition(",")[2] for attributes in page.named("img")]
    assert {Image.open(io.BytesIO(base64.b64decode(each))).size for each in pictures} == {(image.WIDTH, image.HEIGHT)}


def test_versions_have_one_loudness_and_do_not_clip(written: tuple[Results, Path, str]) -> None:
    results, data, _ = written
    for excerpt in listen.excerpts(results, data, list(CLIPS), choice.points(results)):
        levels = [loudness.integrated(version.wav.astype(np.float64)) for version in excerpt.versions]
        assert levels == pytest.approx([levels[0]] * len(levels), abs=0.05)
        assert max(np.abs(version.wav).max() for version in excerpt.versions) <= 10 ** (-1 / 20) + 1e-6
        assert all(version.levelled for version in excerpt.versions)


def test_a_sound_that_would_clip_lowers_all() -> None:
    tone = np.sin(np.arange(RATE) / 20)[:, None]
    spiky = 0.1 * tone.copy()
    spiky[RATE // 2] = 0.9
    gains = listen.levels([0.5 * tone, spiky, 0 * tone])
    assert gains[0][0] == pytest.approx(-1 - (20 * np.log10(0.9) + 14), abs=0.2)  # the spike rises by 14 dB
    assert gains[1][0] - gains[0][0] == pytest.approx(14, abs=0.2)
    assert gains[2] == (gains[0][0], False)  # silence has no loudness


def test_the_excerpt_is_the_stretch_of_most_energy() -> None:
    wav = np.full((10 * RATE, 1), 0.01, np.float32)
    wav[6 * RATE : 8 * RATE] = 0.5
    assert listen.loudest(wav, 2.0) == 6 * RATE
    assert listen.loudest(wav[:RATE], 2.0) == 0


def test_a_large_page_gets_shorter_excerpts(written: tuple[Results, Path, str]) -> None:
    results, data, _ = written
    picks, names = choice.points(results), list(CLIPS)[:1]
    (whole,) = listen.excerpts(results, data, names, picks)
    size = sum(len(version.flac) for version in whole.versions)
    (cut,) = listen.excerpts(results, data, names, picks, budget=int(0.8 * size))
    assert cut.seconds == pytest.approx(0.8 * SECONDS, rel=0.02)
    assert sum(len(version.flac) for version in cut.versions) <= 0.9 * size


def test_other_sounds_than_those_measured_are_refused(written: tuple[Results, Path, str], tmp_path: Path) -> None:
    results, _, _ = written
    (tmp_path / "speech").mkdir()
    soundfile.write(tmp_path / "speech" / "a.wav", np.ones(100), RATE)
    with pytest.raises(CorpusError, match="not the sound that was measured"):
        listen.excerpts(results, tmp_path, ["speech/a.wav"], [])
    with pytest.raises(CorpusError, match=r"b\.wav: measured, but not"):
        listen.excerpts(results, tmp_path, ["speech/b.wav"], [])


def test_a_codec_that_changed_since_is_refused(
    written: tuple[Results, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results, data, _ = written
    picks = [pick for pick in choice.points(results) if pick.codec == "rounded"]
    monkeypatch.setattr("pages.Rounded.encode", lambda self, wav, rate: b"1")
    with pytest.raises(EvalError, match=r"1 bytes now, .* sweep again"):
        listen.excerpts(results, data, list(CLIPS)[:1], picks)


def test_points_and_clips_are_spread_evenly() -> None:
    results = record(
        points((1, 2, 4, 8, 16)), points((6, 8, 12, 16, 24, 32), "opus"),
        anchor("noise-vocoder", "noise vocoder", {"fine_structure": 0.1}), anchor("silence", "silence", {}),
    )  # fmt: skip
    assert [pick.label for pick in choice.points(results)] == [
        "ravecodec f=0.5", "ravecodec f=0.7", "ravecodec f=0.9", "Opus 6", "Opus 12", "Opus 32", "noise vocoder",
    ]  # fmt: skip
    chosen = choice.clips(results, 1)
    assert len(chosen) == 2  # one of each kind, the middle one of three
    value = {clip: 0.02 * np.sin(3 * index) for index, clip in enumerate(("s1", "s2", "s3", "m1", "m2", "m3"))}
    assert chosen == [sorted(names, key=value.__getitem__)[1] for names in (["s1", "s2", "s3"], ["m1", "m2", "m3"])]


def test_a_page_without_sound_says_so_and_quotes_no_metric_alone(tmp_path: Path) -> None:
    results = record(points((1, 2, 4, 8, 16)), points((6, 8, 12, 16, 24, 32), "opus"))
    text = report.page(results, analysis.analyse(results, resamples=0))
    page = Page(text)
    assert "written without sound" in text and page.named("audio") == []
    for table in re.findall(r"<table.*?</table>", text, re.S):
        if "Multiscale" in table:
            assert "Fine-structure" in table
    speech = text.partition('<p class="caption" id="points-speech">')[2].partition("</table>")[0]
    assert all(name in speech for name in ("Fine-structure", "ESTOI", "PESQ", "<th scope=\"col\">payload</th>"))
    warned = report.page(
        record(points((1, 2, 4, 8, 16)), metrics=["spectral_distance"]),
        {"hull": {}, "equivalent_opus_kbps": {}, "bd": []},
    )
    assert "lacks fine structure" in warned


def test_names_cannot_break_the_page() -> None:
    hostile = "</script><b>&\"'"
    results = record(points((1, 2, 4), clips={hostile: "speech", "x": hostile}))
    Page(report.page(results, analysis.analyse(results, resamples=0)))


def test_a_listening_test_for_webmushra(written: tuple[Results, Path, str], tmp_path: Path) -> None:
    results, data, _ = written
    picks = webmushra.picks(choice.points(results))
    sounds = listen.excerpts(results, data, list(CLIPS), picks, webmushra.LONGEST, budget=None)
    config = yaml.safe_load(webmushra.write(sounds, tmp_path).read_text(encoding="utf-8"))
    kind, *trials = next(page for page in config["pages"] if isinstance(page, list))
    assert kind == "random" and len(trials) == len(CLIPS)
    named = set()
    for trial in trials:
        assert trial["type"] == "mushra" and not trial["createAnchor35"] and not trial["createAnchor70"]
        assert {"low-pass-3.5-kHz", "low-pass-7-kHz"} <= set(trial["stimuli"]) and len(trial["stimuli"]) == 5
        files = [trial["reference"], *trial["stimuli"].values()]
        assert all(file.startswith("configs/") for file in files)
        infos = [soundfile.info(tmp_path / file.removeprefix("configs/")) for file in files]
        assert {(info.samplerate, info.subtype) for info in infos} == {(RATE, "PCM_16")}
        assert len({info.frames for info in infos}) == len({info.channels for info in infos}) == 1
        named |= set(files)
    assert len(named) == len(list((tmp_path / "resources").iterdir())) == len(CLIPS) * 6
    assert config["pages"][0]["type"] == "generic" and config["pages"][-1]["type"] == "finish"


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codecs.register(Rounded.name, Rounded)
    out, formal = tmp_path / "out", tmp_path / "formal"
    given = ["--data", str(clips(tmp_path / "clips")), "--out", str(out), "--metrics", "fine_structure"]
    given += ["--fidelity", "--codec", "rounded:bits=4", "rounded:bits=9", "--no-anchors"]
    assert main(["sweep", *given, "--report", "--listen", "1", "--webmushra", str(formal)]) == 0
    printed = capsys.readouterr().err
    assert str(out / "report.html") in printed and str(formal / "ravecodec.yaml") in printed
    assert len(Page((out / "report.html").read_text(encoding="utf-8")).named("audio")) == 2 * 3
    assert json.loads((out / "analysis.json").read_text())["hull"]["Rounded"]["fine_structure"]["speech"]
    assert not list(out.glob("*.part"))


def test_a_record_is_drawn_again_from_its_file(
    written: tuple[Results, Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, _, _ = written
    results.write(tmp_path / "record")
    again = tmp_path / "again"
    assert draw_again([str(tmp_path / "record" / "results.json"), "--out", str(again)]) == 0
    assert capsys.readouterr().out == f"{again / 'report.html'}\n"
    names = "report.html analysis.json analysis.md table.md rate.png rate.svg".split()
    assert all((again / name).stat().st_size > 0 for name in names)
    # The figures that the page offers are the record's, wherever it is drawn.
    (link,) = [each for each in Page((again / "report.html").read_text("utf-8")).named("a") if "download" in each]
    assert base64.b64decode(link["href"].partition("base64,")[2]) == (tmp_path / "record/results.csv").read_bytes()
    assert draw_again([str(tmp_path / "nothing.json")]) == 1
    assert "nothing.json" in capsys.readouterr().err
