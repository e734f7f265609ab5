"""Neural codecs of others: plain words where weights or packages are missing, bytes that hold exactly the codes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eval import codecs, sweep
from eval.audio import RATE
from eval.codecs import neural
from eval.errors import CodecError, EvalError, Unavailable
from eval.points import Point, parse


class Rounded(neural.Neural):
    """A stand-in with two code books: the upper and the lower 10 bits of a sample, a hop of 4."""

    name, title, hub = "rounded", "Rounded", "nobody/rounded"
    rate, hop = RATE, 4

    def lengths(self, frames: int, count: int) -> list[int]:
        return [frames * self.hop] * count

    def build(self) -> torch.nn.Module:
        if self.weights == "nobody/rounded":
            raise OSError("no such place")
        return torch.nn.Linear(2, 2)

    def codes(self, model: Any, x: Any) -> list[neural.Codes]:
        numbers = ((x[:, 0].double() + 1) * 2**19).round().long().numpy()
        return [numbers >> 10, numbers & 1023]

    def sound(self, model: Any, books: Sequence[Any]) -> Any:
        return (books[0] * 1024 + books[1]) / 2**19 - 1


@pytest.mark.parametrize("bits", [1, 7, 10, 12])
def test_codes_take_exactly_their_bits(bits: int) -> None:
    numbers = np.random.default_rng(bits).integers(0, 2**bits, 1001)
    packed = neural.pack(numbers, bits)
    assert len(packed) == -(-1001 * bits // 8)
    np.testing.assert_array_equal(neural.unpack(packed, bits, 1001), numbers)
    with pytest.raises(CodecError, match="cut short"):
        neural.unpack(packed[:-1], bits, 1001)


def test_a_file_holds_every_channel_and_its_length() -> None:
    wav = 0.5 * np.random.default_rng(0).uniform(-1, 1, (1001, 3))
    codec = Rounded(random_weights=True)
    data = codec.encode(wav, RATE)
    assert len(data) == 10 + 3 * 2 * 1004 * 10 // 8
    decoded, rate = codec.decode(data)
    assert rate == RATE and decoded.shape == wav.shape
    np.testing.assert_allclose(decoded, wav, atol=2**-19)


@pytest.mark.parametrize(("name", "title"), [("encodec", "EnCodec"), ("dac", "DAC"), ("snac", "SNAC")])
def test_what_is_missing_is_said_plainly(name: str, title: str, tmp_path: Path) -> None:
    """The package or the weights: never a traceback of a hub."""
    with pytest.raises(Unavailable, match=r"is not installed: pip install|weights are missing, there is neither"):
        codecs.create(name, {"weights": str(tmp_path / "nowhere")}).identity()
    random = parse(f"{name}:random_weights=true")
    assert random.create().label.startswith(title) and random.create().label.endswith("(random weights)")


def test_missing_weights_name_where_to_get_them() -> None:
    with pytest.raises(Unavailable, match=r"its weights are missing.*`hf download nobody/rounded`"):
        Rounded().identity()
    torch.manual_seed(0)
    mine = Rounded(weights="mine").identity()["weights"]
    assert len(mine) == 32 and mine == Rounded(weights="mine").identity()["weights"]


def test_random_weights_never_enter_a_table(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(100), RATE)
    for name in ("encodec", "dac", "snac"):
        with pytest.raises(EvalError, match="weights are random; that is for measuring speed"):
            sweep.run(tmp_path, tmp_path / "out", [Point(name, {"random_weights": True})])
    assert not (tmp_path / "out").exists()
