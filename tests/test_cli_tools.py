"""verify, repair, tag, thin and info as their users meet them: no network library, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone
from safetensors.numpy import save_file

import ravecodec
from bitstream import Header, Layout, Reader, Tables, Writer, seed_of
from ravecodec.cli import main
from ravecodec.modeldata import load_data
from ravecodec.sourcetags import MAX_TAGS, tags_of

COMPONENTS = 12
SINGULAR = np.linspace(12, 1, COMPONENTS).astype(np.float32)


def integers(frames: int) -> np.ndarray:
    """Codes [2, frames, COMPONENTS]."""
    spread = 8 * np.exp(-np.arange(COMPONENTS) / 3) + 0.2
    return np.round(np.random.default_rng(1).laplace(size=(2, frames, COMPONENTS)) * spread).astype(np.int32)


CODES = integers(700)
TABLES = Tables.fit({0: CODES.reshape(-1, COMPONENTS)})
MODEL_ID = bytes(range(16))


def save_model(folder: Path, name: str, identity: bytes = MODEL_ID, tables: Tables = TABLES) -> Path:
    """A model file with all that the tools read, and no network."""
    arrays = {f"tables.{key}": array for key, array in tables.to_arrays().items()}
    about = {"name": name, "id": identity.hex(), "description": "", "tables": tables.id.hex(), "notes": {}}
    path = folder / f"{name}.safetensors"
    save_file(arrays | {"basis.singular_values": SINGULAR}, path, {"ravecodec": json.dumps(about)})
    return path


@pytest.fixture(autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_model(folder, "m")
    monkeypatch.setenv("RAVECODEC_MODELS", str(folder))
    return folder


def write(path: Path, codes: np.ndarray = CODES, **fields: object) -> bytes:
    known = {"fidelity": None, "samples": 700 * 2048, "model_name": "m", "model_id": MODEL_ID, "tags": {"title": "Ä"}}
    header = Header(
        components=codes.shape[2], channels=2, layout=Layout.JOINT, tables_id=TABLES.id, seed=seed_of(codes[:, :64]),
        **known | fields,  # type: ignore[arg-type]
    )  # fmt: skip
    with path.open("wb") as file, Writer(file, header, TABLES) as writer:
        for start in range(0, codes.shape[1], 64):
            writer.write(codes[:, start : start + 64])
    return path.read_bytes()


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    path = tmp_path / "a.rvc"
    write(path)
    return path


def damage(path: Path, place: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    path.write_bytes(data)


def test_verify_says_what_is_whole_and_what_is_not(
    coded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["verify", str(coded)]) == 0
    assert capsys.readouterr().out == f"{coded}: whole, hash holds; 29.87 s, 11 packets\n"
    (coded.parent / "deep").mkdir()
    bad = coded.parent / "deep" / "bad.rvc"
    bad.write_bytes(coded.read_bytes())
    damage(bad)
    assert main(["verify", str(coded.parent)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"ravecodec: {bad}: 1 packet(s) lost")
    assert captured.out.splitlines()[1].startswith("1 whole, 1 not; ")
    assert main(["verify", str(coded.parent), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [entry["whole"] for entry in found] == [True, False] and found[1]["problems"]
    monkeypatch.setenv("RAVECODEC_MODELS", "")
    assert main(["verify", str(coded)]) == 1
    assert "could not be checked: needs the model 'm'" in capsys.readouterr().err
    assert main(["verify", str(coded), "--no-hash", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"something else", None])
def test_verify_reports_what_is_no_file_and_goes_on(
    coded: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    other = coded.parent / "b.rvc"
    if content is not None:
        other.write_bytes(content)
    assert main(["verify", str(other), str(coded)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"ravecodec: {other}: ") and captured.err.count(str(other)) == 1
    assert f"{coded}: whole" in captured.out


def test_verify_finds_lengths_and_indices_that_cannot_be(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(coded, samples=700 * 2048 + 1)
    assert main(["verify", str(coded)]) == 1
    assert "700 frames are too few for its 1433601 samples" in capsys.readouterr().err


def test_a_wrong_or_altered_model_is_refused_with_both_hashes(
    coded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = save_model(tmp_path, "other", b"\x07" * 16)
    for command in (["verify", str(coded)], ["thin", str(coded), str(tmp_path / "t.rvc"), "--components", "2"]):
        assert main([*command, "--model", str(other)]) == 1
        said = capsys.readouterr().err
        assert MODEL_ID.hex() in said and ("07" * 16) in said
    retrained = save_model(tmp_path, "m", MODEL_ID, Tables.fit({0: CODES[0, :50]}))
    assert main(["verify", str(coded), "--model", str(retrained)]) == 1
    said = capsys.readouterr().err
    assert TABLES.id.hex() in said and load_data(retrained).tables.id.hex() in said
    data = bytearray(retrained.read_bytes())
    counts = bytes(load_data(retrained).tables.to_arrays()["counts"].astype("<u2").tobytes())
    place = data.index(counts)
    data[place], data[place + 2] = data[place] ^ 1, data[place + 2] ^ 1
    retrained.write_bytes(data)
    assert main(["verify", str(coded), "--model", str(retrained)]) == 1
    assert "damaged" in capsys.readouterr().err


def test_repair_keeps_what_is_whole_and_names_what_is_lost(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original, out = coded.read_bytes(), coded.with_name("b.rvc")
    assert main(["repair", str(coded), str(out), "-q"]) == 0
    assert out.read_bytes() == original
    assert main(["repair", str(coded), str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    damage(coded)
    assert main(["repair", str(coded), str(out), "--force"]) == 3
    assert f"{out}: 10 packets kept, 1 lost (5)" in capsys.readouterr().out
    assert main(["verify", str(out)]) == 1
    assert capsys.readouterr().err == f"ravecodec: {out}: 1 packet(s) lost\n"
    assert main(["info", str(out)]) == 3
    coded.write_bytes(original[:-50])
    assert main(["repair", str(coded), str(out), "--force"]) == 3
    assert "10 packets kept, 1 lost (10)" in capsys.readouterr().out
    assert main(["repair", str(out), str(out)]) == 1
    coded.write_bytes(b"x" + original)
    before = sorted(os.listdir(coded.parent))
    assert main(["repair", str(coded), str(coded.with_name("c.rvc"))]) == 1
    assert sorted(os.listdir(coded.parent)) == before


def test_tags_are_read_and_written_in_place(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = coded.read_bytes()
    coded.chmod(0o640)
    assert main(["tag", str(coded)]) == 0
    assert capsys.readouterr().out == "title=Ä\n"
    assert main(["tag", str(coded), "--set", "artist=B=C", "--remove", "title"]) == 0
    assert main(["tag", str(coded), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"artist": "B=C"}
    assert coded.stat().st_mode & 0o777 == 0o640
    assert main(["verify", str(coded), "-q"]) == 0
    assert main(["tag", str(coded), "--clear", "--set", "title=Ä"]) == 0
    assert coded.read_bytes() == original
    assert main(["tag", str(coded), "--remove", "nothing"]) == 2
    assert main(["tag", str(coded), "--set", f"a={'x' * 70000}"]) == 1
    assert coded.read_bytes() == original and os.listdir(coded.parent) == [coded.name]


@pytest.mark.parametrize("rule", ["sigma", "sigma-squared"])
def test_thinning_equals_encoding_with_as_many(coded: Path, rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, other = coded.with_name("b.rvc"), coded.with_name("c.rvc")
    assert main(["thin", str(coded), str(out), "--components", "5", "-q"]) == 0
    assert out.read_bytes() == write(other, CODES[..., :5])
    assert main(["thin", str(coded), str(out), "--fidelity", "0.6", "--rule", rule, "--force"]) == 0
    sums = SINGULAR.astype(float) ** (2 if rule == "sigma-squared" else 1)
    count = int(np.searchsorted(np.cumsum(sums) / sums.sum(), 0.6)) + 1
    assert f"{count} of 12 components" in capsys.readouterr().out
    header = Header.parse(out.read_bytes())
    assert (header.components, header.fidelity, header.fidelity_rule) == (count, 0.6, rule == "sigma-squared")
    assert main(["thin", str(out), str(other), "--components", "12", "--force"]) == 2
    assert f"the file has {count} components" in capsys.readouterr().err


def test_thinning_to_a_bitrate_keeps_as_many_as_it_allows(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = coded.with_name("b.rvc")
    seconds = 700 * 2048 / 48000
    for kbps in (0.5, 1.0, 1.4):
        assert main(["thin", str(coded), str(out), "--bitrate", str(kbps), "--force", "-q"]) == 0
        count = Header.parse(out.read_bytes()).components
        more = len(write(coded.with_name("c.rvc"), CODES[..., : count + 1]))
        assert len(out.read_bytes()) * 8 <= kbps * 1000 * seconds < more * 8
    assert main(["thin", str(coded), str(out), "--bitrate", "0.01", "--force"]) == 2
    assert "not enough" in capsys.readouterr().err


def test_info_shows_where_the_bits_go(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = coded.with_name("bits.png")
    assert main(["info", str(coded), "--bits", "--json", "--plot", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["component_bits"]) == COMPONENTS and len(found["packet_bits"]) == found["packets"] == 11
    assert found["model_bits"] == pytest.approx(sum(found["component_bits"]), abs=0.1)
    assert found["model_bits"] == pytest.approx(sum(p["model_bits"] for p in found["packet_bits"]), abs=0.1)
    assert 0 <= found["payload_bytes"] - found["model_bits"] / 8 < 0.01 * found["payload_bytes"] + 3 * 11
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["info", str(coded), "--bits"]) == 0
    assert "up to it" in capsys.readouterr().out
    assert main(["info", str(coded), "--plot", str(picture)]) == 1  # there already
    assert main(["info", str(coded), "--plot", "x.gif"]) == 2


def test_the_tools_need_no_network_library(coded: Path) -> None:
    commands = (
        ["verify", coded],
        ["tag", coded, "--set", "a=b"],
        ["thin", coded, coded.with_name("t.rvc"), "--components", "3"],
        ["repair", coded, coded.with_name("r.rvc")],
        ["info", coded, "--bits"],
    )
    code = f"""
import sys
from ravecodec.cli import main
for command in {[[str(a) for a in arguments] for arguments in commands]!r}:
    assert main(command) == 0
print(*sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert not {"torch", "scipy", "matplotlib", "joblib", "soundfile", "tqdm"} & loaded


def test_a_sound_file_s_own_tags_are_carried_over(tmp_path: Path) -> None:
    import mutagen
    from mutagen.id3 import ID3, TIT2, TPE1
    from mutagen.wave import WAVE

    for name in ("a.flac", "a.ogg", "a.mp3"):
        soundfile.write(tmp_path / name, tone(0.5), 48000)
        file = mutagen.File(tmp_path / name, easy=True)
        if file.tags is None:
            file.add_tags()
        file["title"], file["artist"] = ["Ä\nb"], ["X", "Y"]
        file["genre"] = ["z" * 300]
        file.save()
        assert tags_of(tmp_path / name) == {"title": "Ä b", "artist": "X, Y"}
    soundfile.write(tmp_path / "a.wav", tone(0.5), 48000)
    wave = WAVE(tmp_path / "a.wav")
    wave.add_tags()
    assert isinstance(wave.tags, ID3)
    wave.tags.add(TIT2(text="T"))
    wave.tags.add(TPE1(text="A"))
    wave.save()
    assert tags_of(tmp_path / "a.wav") == {"title": "T", "artist": "A"}
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    assert tags_of(tmp_path / "b.wav") == {} == tags_of(tmp_path / "missing")


def test_without_mutagen_the_tags_that_libsndfile_knows_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 48000, 1) as file:
        file.title, file.artist = "T", "A"
        file.write(tone(0.1))
    monkeypatch.setitem(sys.modules, "mutagen", None)
    assert tags_of(tmp_path / "a.wav") == {"title": "T", "artist": "A"}


def test_tags_have_a_bound(tmp_path: Path) -> None:
    import mutagen

    soundfile.write(tmp_path / "a.flac", tone(0.1), 48000)
    file = mutagen.File(tmp_path / "a.flac")
    for key in ("title", "artist", "album", "composer", "genre", "comment"):
        file[key] = key[0] * 250
    file["cover"] = "x" * 100_000
    file.save()
    found = tags_of(tmp_path / "a.flac")
    assert list(found) == ["title", "artist", "album", "composer"]
    assert sum(map(len, found.values())) <= MAX_TAGS


def test_a_reader_of_bytes_and_urls_gives_the_same_figures(coded: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://a.rvc", "wb") as file:
        file.write(coded.read_bytes())
    assert main(["verify", "memory://a.rvc", "-q"]) == 0
    with coded.open("rb") as opened:
        assert ravecodec.info(opened).file_bytes == ravecodec.info(coded).file_bytes
    assert ravecodec.info("memory://a.rvc").file_bytes == coded.stat().st_size
    assert Reader.from_bytes(coded.read_bytes()).index_fits()
