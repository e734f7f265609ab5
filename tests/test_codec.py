"""The codec's promises: same bytes twice, chunked equals whole, exact lengths, nothing wrong passed off as right."""

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tone
from sounds import glide

import bitstream
from bitstream import CorruptError, Header, ModelError, Reader
from ravecodec.basis import fit_basis
from ravecodec.codec import Codec, load
from ravecodec.errors import AudioError, UsageError
from ravecodec.modelfile import load_model, save_model
from ravecodec.network.config import load_preset
from ravecodec.network.phase import SEGMENT, SETTLE
from ravecodec.network.vae import RaveNet
from ravecodec.training.calibrate import fit_tables

HOP = 2048


def save_untrained(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    network = RaveNet(load_preset("tiny")).eval()
    sound = np.stack([glide(seed + i, HOP * 60) for i in range(4)])[:, None]
    network.adapt(torch.from_numpy(sound))
    with torch.inference_mode():
        posterior = network.encode(torch.from_numpy(sound))
    means = posterior.mean.transpose(1, 2).flatten(0, 1).numpy()
    centred = (means - means.mean(0)).astype(np.float64)
    variance = posterior.scale.square().mean((0, 2)).numpy()
    basis = fit_basis(means.mean(0), centred.T @ centred / len(centred), len(centred), variance)
    save_model(path, network, path.stem, basis, fit_tables(basis, means), "untrained")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained(tmp_path_factory.mktemp("models") / "tiny.safetensors", 0)


@pytest.fixture(scope="module")
def codec(model: Path) -> Codec:
    return load(model)


def sound(seconds: float, channels: int = 1, rate: int = 48000) -> np.ndarray:
    return np.stack([glide(c, round(seconds * rate), rate) for c in range(channels)], 1)


def codes_of(data: bytes, codec: Codec) -> np.ndarray:
    packets = list(Reader.from_bytes(data, codec.tables).packets())
    return np.concatenate([p.codes for p in packets if p.codes is not None], 1)


def test_encoding_and_decoding_twice_give_the_same(codec: Codec) -> None:
    audio = sound(4.0, 2)
    data = codec.encode(audio, 48000)
    assert codec.encode(audio, 48000) == data
    assert np.array_equal(codec.decode(data)[0], codec.decode(data)[0])
    assert bitstream.info(io.BytesIO(data), codec.tables).report.exact


@pytest.mark.parametrize("rate", [48000, 44100, 8000, 96000])
@pytest.mark.parametrize("samples", [1, 100, 2047, 2048, 2049, 64 * 2048, 64 * 2048 + 1, 140_000])
def test_lengths_are_exact_at_every_rate(codec: Codec, rate: int, samples: int) -> None:
    audio = np.resize(glide(1, 5000, rate), samples)
    data = codec.encode(audio, rate, components=8)
    decoded, at = codec.decode(data)
    assert (len(decoded), at) == (-(-samples * 48000 // rate), 48000)
    assert codec.decode(data, rate="source")[0].shape == (samples,)
    assert Header.parse(data).samples == samples


def test_chunks_of_any_size_give_the_integers_of_the_whole(codec: Codec) -> None:
    audio = sound(25.0, 2, 44100)  # more than a block
    whole = codec.encode(audio, 44100)
    for size in (1000, 44100, 131_072 + 17):
        out = io.BytesIO()
        pieces = (audio[i : i + size] for i in range(0, len(audio), size))
        codec.encode_stream(pieces, 44100, 2, out, samples=len(audio))
        assert np.array_equal(codes_of(out.getvalue(), codec), codes_of(whole, codec))
        assert out.getvalue() == whole


def test_blocks_equal_one_pass_of_the_network_over_everything(codec: Codec) -> None:
    """Away from the file's ends; there the network's own padding differs from the silence a block sees."""
    audio = glide(3, 600 * HOP)
    data = codec.encode(audio, 48000, components=128, step=-16, rdoq=False)
    header = Header.parse(data)
    steps = codec.basis.steps(-16)[:, None]
    with torch.inference_mode():
        means = codec.network.encode(torch.from_numpy(audio)[None, None]).mean.numpy()
        # Where there is no pitch, each packet has a line of its own in its place.
        size = header.frames_per_packet
        parts = [codec.network.held(means[..., start : start + size]) for start in range(0, 600, size)]
        mean = np.concatenate(parts, 2)[0]
        inner = slice(codec.preroll, 600 - codec.preroll)
        exact = codec.basis.rotate(mean, 128) / steps
        coded = codes_of(data, codec)[0].T
        assert np.abs(exact - coded)[:, inner].max() < 0.501
        latents = codec.basis.restore(coded * steps).astype(np.float32)
        once = codec.network.decode(torch.from_numpy(latents)[None], seed=header.seed, step=header.step)[0, 0].numpy()
    decoded, _ = codec.decode(data)
    span = slice(codec.preroll * HOP, (600 - codec.preroll) * HOP)
    assert np.abs(decoded - once)[span].max() < 1e-4


def test_bits_are_weighed_but_not_of_live_sound(codec: Codec) -> None:
    audio = sound(3.0)
    weighed, rounded = (codec.encode(audio, 48000, rdoq=rdoq) for rdoq in (True, False))
    assert codec.encode(audio, 48000) == weighed and len(weighed) < 0.97 * len(rounded)
    steps = np.abs(codes_of(weighed, codec)[0] - codes_of(rounded, codec)[0])
    assert steps.max() == 1 and 0 < steps.mean() < 0.2

    def live(rdoq: bool | None) -> np.ndarray:
        out = io.BytesIO()
        codec.encode_stream([audio.reshape(-1, 1)], 48000, 1, out, live=True, rdoq=rdoq)
        return codes_of(out.getvalue(), codec)[0]

    assert np.array_equal(live(None), live(False)) and not np.array_equal(live(None), live(True))


def test_a_decoder_that_waits_for_every_byte_hears_the_same(codec: Codec) -> None:
    data = codec.encode(sound(6.0), 48000)

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.rest = data

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            piece, self.rest = self.rest[: min(size, 7)], self.rest[min(size, 7) :]
            return piece

    stream = codec.decode_stream(Pipe())
    assert np.array_equal(np.concatenate(list(stream.blocks))[:, 0], codec.decode(data)[0])
    assert stream.report.exact


def in_packets_of_64(codec: Codec, audio: np.ndarray) -> bytes:
    """As sound of more than 30 s is coded, or sound of unknown length."""
    out = io.BytesIO()
    codec.encode_stream([audio.reshape(len(audio), 1)], 48000, 1, out, samples=len(audio), packet=64)
    return out.getvalue()


def test_short_sound_is_coded_in_longer_packets(codec: Codec) -> None:
    short, long, rate = sound(6.0), np.zeros(31 * 8000, np.float32), 8000
    assert Header.parse(codec.encode(short, 48000)).frames_per_packet == 128
    assert Header.parse(codec.encode(long, rate)).frames_per_packet == 64
    assert Header.parse(codec.encode(long[: 30 * rate], rate)).frames_per_packet == 128


def test_unknown_length_is_known_at_the_end(codec: Codec) -> None:
    audio = sound(3.1)
    out = io.BytesIO()
    header = codec.encode_stream([audio], 48000, 1, out)
    assert header.samples is None
    assert np.array_equal(codec.decode(out.getvalue())[0], codec.decode(in_packets_of_64(codec, audio))[0])

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    blocks = list(codec.decode_stream(Pipe(out.getvalue())).blocks)
    assert sum(len(b) for b in blocks) == len(audio)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_channels_stay_apart_and_in_order(codec: Codec, channels: int) -> None:
    audio = np.zeros((96_000, channels), np.float32)
    audio[:, -1] = glide(2, 96_000)
    decoded, _ = codec.decode(codec.encode(audio, 48000, components=128, step=-16), always_2d=True)
    assert decoded.shape == audio.shape
    power = np.square(decoded).mean(0)
    assert int(power.argmax()) == channels - 1
    for channel in range(channels - 1):
        assert power[channel] < 0.1 * power[-1]


def test_components_beyond_the_fidelity_are_not_in_the_file(codec: Codec) -> None:
    audio = sound(3.0)
    sizes = []
    for components in (4, 16, 64, 128):
        data = codec.encode(audio, 48000, components=components)
        assert codes_of(data, codec).shape[2] == components
        sizes.append(len(data))
    assert sizes == sorted(sizes)
    fidelity = 0.9
    header = Header.parse(codec.encode(audio, 48000, fidelity=fidelity))
    assert header.components == codec.components_for(fidelity)
    assert header.fidelity == fidelity
    squares = Header.parse(codec.encode(audio, 48000, fidelity=fidelity, rule="sigma-squared"))
    assert squares.components == codec.components_for(fidelity, "sigma-squared")


def test_a_coarser_step_costs_fewer_bytes(codec: Codec) -> None:
    audio = sound(5.0)
    sizes = [len(codec.encode(audio, 48000, fidelity=0.99, step=q)) for q in range(-16, 25, 4)]
    assert all(a > b for a, b in pairwise(sizes))


def test_a_lost_packet_is_concealed_reported_and_costs_only_its_surroundings(codec: Codec) -> None:
    data = in_packets_of_64(codec, sound(15.0))
    places = list(Reader.from_bytes(data).walk())
    victim = places[2]
    broken = bytearray(data)
    broken[victim.offset + victim.total_bytes // 2] ^= 0x10
    stream = codec.decode_stream(io.BytesIO(bytes(broken)))
    decoded = np.concatenate(list(stream.blocks))[:, 0]
    assert stream.report.lost == 1 and not stream.report.exact
    good = codec.decode(data)[0]
    assert len(decoded) == len(good)
    reach = codec.preroll * HOP
    # After it the phase of partials is that of the file again where it begins anew.
    first, last = victim.start_frame * HOP - reach, (victim.start_frame + 64 + SEGMENT + SETTLE) * HOP + reach
    assert np.abs(decoded - good)[:first].max() < 1e-4
    assert np.abs(decoded - good)[last:].max() < 1e-4
    assert np.abs(np.diff(decoded)).max() < 3 * np.abs(np.diff(good)).max()  # no click
    with pytest.raises(CorruptError, match="lost"):
        codec.decode(bytes(broken))


def test_another_model_is_refused_with_both_hashes(codec: Codec, tmp_path: Path) -> None:
    other = load(save_untrained(tmp_path / "other.safetensors", 1))
    with pytest.raises(ModelError) as caught:
        codec.decode(other.encode(sound(1.0), 48000))
    assert other.model_id.hex() in str(caught.value)
    assert codec.model_id.hex() in str(caught.value)


def test_another_decoder_of_the_same_encoder_may_stand_in(codec: Codec, model: Path, tmp_path: Path) -> None:
    found = load_model(model)
    with torch.no_grad():
        for name, weight in found.network.named_parameters():
            if name.startswith("decoder."):
                weight.mul_(1.1)
    path = tmp_path / "better.safetensors"
    save_model(path, found.network, "better", found.basis, found.tables, "another decoder")
    data = codec.encode(sound(1.0), 48000)
    with pytest.raises(ModelError, match="coded with model"):
        load(path).decode(data)
    heard, _ = load(path, stands_in=True).decode(data)
    before, _ = codec.decode(data)
    assert heard.shape == before.shape and not np.allclose(heard, before, atol=1e-5)
    with pytest.raises(ModelError, match="entropy tables"):
        load(save_untrained(tmp_path / "other.safetensors", 8), stands_in=True).decode(data)


def test_an_altered_model_file_is_refused(model: Path, tmp_path: Path) -> None:
    data = bytearray(model.read_bytes())
    for place in (len(data) // 3, len(data) - 5):
        altered = bytearray(data)
        altered[place] ^= 1
        path = tmp_path / "altered.safetensors"
        path.write_bytes(altered)
        with pytest.raises(ModelError, match=r"damaged|not a ravecodec"):
            load_model(path)
    path.write_bytes(data[:1000])
    with pytest.raises(ModelError):
        load_model(path)


def test_an_uncalibrated_model_says_so(tmp_path: Path) -> None:
    save_model(tmp_path / "raw.safetensors", RaveNet(load_preset("tiny")), "raw")
    with pytest.raises(ModelError, match="calibrate"):
        load(tmp_path / "raw.safetensors")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"fidelity": 0.5, "components": 3}, UsageError),
        ({"fidelity": 1.5}, UsageError),
        ({"components": 129}, UsageError),
        ({"step": 40}, UsageError),
        ({"fidelity": 0.5, "rule": "cubes"}, UsageError),
    ],
)
def test_contradictory_requests_are_refused(codec: Codec, arguments: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        codec.encode(tone(0.1)[:, 0], 48000, **arguments)


@pytest.mark.parametrize("audio", [np.zeros(0), np.array([0.0, np.nan]), np.array([np.inf]), np.zeros((10, 9))])
def test_sound_that_is_none_is_refused(codec: Codec, audio: np.ndarray) -> None:
    with pytest.raises(AudioError):
        codec.encode(audio, 48000)


def test_silence_costs_almost_nothing_and_stays_silent(codec: Codec) -> None:
    data = codec.encode(np.zeros(48000 * 60, np.float32), 48000)
    assert len(data) * 8 / 60 < 100  # bit/s
    assert np.isfinite(codec.decode(data)[0]).all()
