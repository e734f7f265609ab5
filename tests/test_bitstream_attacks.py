"""Damage of every kind, and files that once were too much for the reader."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pytest

from bitstream import Reader, RvcError, info, repair

ROOT = Path(__file__).parent.parent
ATTACKS = sorted(p for p in (Path(__file__).parent / "attacks").iterdir() if p.suffix == ".rvc")


def test_the_table_of_outcomes_holds_no_surprise() -> None:
    """A sample of what benchmarks/damage.py tries in full."""
    spec = importlib.util.spec_from_file_location("damage", ROOT / "benchmarks" / "damage.py")
    assert spec is not None and spec.loader is not None
    damage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(damage)
    data, tables = damage.sample()
    found = damage.table(data, tables, every=5)
    assert not [text for outcomes in found.values() for text in outcomes if "rong" in text or "nothing" in text]
    lost = {"1 packet(s) lost, reported; the rest decodes"}
    assert set(found["bit flipped in a packet"]) == set(found["one packet removed"]) == lost
    refused = {"refused: the header does not hold"}
    assert set(found["bit flipped in the header"]) == set(found["cut inside the header"]) == refused
    for harmless in ("bit flipped in the end record", "one packet doubled", "neighbours exchanged"):
        assert all(text.startswith("all integers right; reported") for text in found[harmless])


@pytest.mark.parametrize("file", ATTACKS, ids=lambda path: path.stem)
def test_what_was_too_much_once_is_an_error_or_a_report(file: Path) -> None:
    data = file.read_bytes()
    for action in (
        lambda: list(Reader.from_bytes(data).walk()),
        lambda: info(data),
        lambda: repair(io.BytesIO(data), io.BytesIO()),
    ):
        try:
            action()
        except RvcError:
            continue
