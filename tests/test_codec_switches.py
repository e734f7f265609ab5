"""What is switched on by another: pitches of the shipped model, which are sent only where something is voiced."""

from __future__ import annotations

import numpy as np
import pytest
from sounds import glide

from bitstream import Header, Reader
from ravecodec.codec import Codec, load
from ravecodec.synthesis import Synthesis

HOP = 2048


@pytest.fixture(scope="module")
def codec() -> Codec:
    return load("default")


@pytest.fixture(scope="module")
def switches(codec: Codec) -> np.ndarray:
    return codec.basis.switches(codec.network.switches)


def test_tables_know_what_switches_what(codec: Codec, switches: np.ndarray) -> None:
    context = codec.tables.context
    assert context is not None
    known = np.full(codec.latents, -1)
    ruled = context.switches >= 0
    known[context.components[ruled]] = context.components[context.switches[ruled]]
    assert np.array_equal(known, switches) and (switches >= 0).sum() == (codec.network.switches >= 0).sum() > 0


@pytest.mark.parametrize("rdoq", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_where_nothing_is_voiced_no_pitch_is_sent(
    codec: Codec, switches: np.ndarray, rdoq: bool, channels: int
) -> None:
    dice = np.random.default_rng(0)
    noise = (0.05 * dice.normal(size=HOP * 40)).astype(np.float32)
    mono = np.concatenate([noise, glide(0, HOP * 40), noise])
    audio = mono if channels == 1 else np.stack([mono, 0.5 * mono], 1)
    reader = Reader.from_bytes(codec.encode(audio, 48000, rdoq=rdoq, fidelity=0.99, step=0), codec.tables)
    codes = np.concatenate([packet.codes for packet in reader.packets() if packet.codes is not None], 1)
    sent = 0
    for component in np.flatnonzero(switches >= 0):
        on = codes[:1, :, switches[component]] > 0
        assert not codes[..., component][~np.broadcast_to(on, codes.shape[:2])].any()
        assert not on[:, 4:36].all() and not on[:, -36:-4].all()
        sent += np.count_nonzero(codes[..., component])
    assert sent


def test_a_voicing_is_not_heard_without_its_pitch(codec: Codec, switches: np.ndarray) -> None:
    basis, first = codec.basis, np.flatnonzero(switches >= 0)[0]
    ruling = sorted(set(switches[switches >= 0].tolist()))
    for count in (1, first, first + 1, len(switches)):
        header = Header(components=int(count), latents=codec.latents)
        found = Synthesis(codec.network, basis, header).components(np.ones((1, 3, count), np.int32))
        for component in range(int(count)):
            of = np.flatnonzero(switches == component)
            heard = component not in ruling or (of < count).any()
            assert bool(found[..., component].all()) == bool(found[..., component].any()) == heard
