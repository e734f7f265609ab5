"""The arms of the trials in benchmarks/: each is a network that can be built, and its file says the same."""

import sys
from pathlib import Path

import pytest

from ravecodec.network.config import NetworkConfig, load_preset

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
