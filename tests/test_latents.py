"""Latents as arrays: what a file holds of them, and the sound of them, are those of the codec."""

from pathlib import Path

import numpy as np
import pytest
from sounds import glide
from test_codec import save_untrained

from bitstream import CorruptError, Layout, ModelError
from ravecodec import latents
from ravecodec.codec import Codec, load
from ravecodec.errors import UsageError


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return load(save_untrained(tmp_path_factory.mktemp("models") / "tiny.safetensors", 0))


def sound(channels: int = 1) -> np.ndarray:
    return np.stack([glide(c, 300_000, 48000) for c in range(channels)], 1)


@pytest.mark.parametrize(("channels", "stereo"), [(1, "auto"), (2, "joint"), (2, "separate"), (3, "auto")])
def test_latents_of_a_file_sound_as_the_file(codec: Codec, channels: int, stereo: str) -> None:
    data = codec.encode(sound(channels), 48000, step=2, stereo=stereo)
    z, header = latents.read(codec, data)
    assert z.shape == (channels, codec.latents, -(-300_000 // codec.hop)) and z.dtype == np.float32
    assert (header.layout == Layout.JOINT) == (stereo == "joint")
    audio, rate = latents.decode(codec, z, header)
    whole, _ = codec.decode(data)
    assert rate == codec.rate and audio.ndim == whole.ndim and len(audio) == z.shape[2] * codec.hop
    assert np.abs(audio[: len(whole)] - whole).max() < 1e-4


def test_latents_of_a_sound_are_those_that_a_coder_rounds(codec: Codec) -> None:
    z = latents.encode(codec, sound()[:, 0], 48000)
    q = -16
    rounded, _ = latents.read(codec, codec.encode(sound(), 48000, step=q, components=codec.latents, rdoq=False))
    assert z.shape == rounded.shape
    error = codec.basis.rotate(z[0], codec.latents) - codec.basis.rotate(rounded[0], codec.latents)
    # Nearest integers, but for what is at the end of its scale.
    assert (np.abs(error) <= 0.5001 * codec.basis.steps(q)[:, None] + 1e-5).mean() > 0.99
    audio, rate = latents.decode(codec, z)
    assert rate == 48000 and audio.shape == (z.shape[2] * codec.hop,) and np.isfinite(audio).all()


def test_what_cannot_be_latents_is_refused(codec: Codec, tmp_path: Path) -> None:
    data = codec.encode(sound(), 48000)
    z, header = latents.read(codec, data)
    for wrong in (z[0], z[:, :-1], z[..., :0], np.full_like(z, np.nan)):
        with pytest.raises(UsageError, match="finite numbers"):
            latents.decode(codec, wrong)
    with pytest.raises(UsageError, match="2 channel"):
        latents.decode(codec, z, latents.read(codec, codec.encode(sound(2), 48000))[1])
    broken = bytearray(data)
    broken[len(data) // 2] ^= 1
    with pytest.raises(CorruptError):
        latents.read(codec, bytes(broken))
    other = load(save_untrained(tmp_path / "other.safetensors", 1))
    with pytest.raises(ModelError):
        latents.read(other, data)
    with pytest.raises(ModelError):
        latents.decode(other, z, header)
