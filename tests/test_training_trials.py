"""The arms of the trials in benchmarks/: each can be asked for."""

import sys
from dataclasses import fields
from pathlib import Path

import pytest

from ravecodec.network.config import NetworkConfig, load_preset
from ravecodec.training.options import TrainOptions

FOLDER = Path(__file__).parent.parent / "benchmarks"


def test_every_arm_is_a_network_and_survives_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import arms

    bases = []
    for name, arm in arms.ARMS.items():
        config = arms.changed(load_preset(arm.preset), arm.network)
        file = tmp_path / f"{name}.toml"
        file.write_text(arms.as_toml(config.to_dict()))
        assert load_preset(str(file)) == config, name
        bases.append(config.to_dict())
    assert NetworkConfig.from_dict(bases[0]) == load_preset("default")
    sys.modules.pop("arms")


def test_every_arm_of_the_decoders_has_options_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import decoders

    known = {field.name for field in fields(TrainOptions)}
    for arm in decoders.ARMS.values():
        assert {*decoders.ALONE, *decoders.USUAL, *arm.options} <= known
        assert not arm.code or arm.code in decoders.CODE
    for name in ("decoders", "trials", "arms"):
        sys.modules.pop(name)
