"""The presets' networks: sizes, shapes, causality, repeatable noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ravecodec.network.config import NetworkConfig, load_preset, preset_names
from ravecodec.network.noise import lowbias32, seeded_noise
from ravecodec.network.reach import decoder_reach, encoder_reach
from ravecodec.network.vae import RaveNet


def millions(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def test_the_rave_preset_has_the_papers_size() -> None:
    net = RaveNet(load_preset("rave"))
    assert net.parameter_count() / 1e6 == pytest.approx(17.6, rel=0.05)
    assert millions(net.encoder) == pytest.approx(4.8, rel=0.05)
    assert millions(net.decoder) == pytest.approx(12.8, rel=0.05)


def test_the_shipped_preset_fits_16_megabytes_in_half_precision() -> None:
    assert RaveNet(load_preset("default")).parameter_count() * 2 < 15.7e6


@pytest.mark.parametrize("name", preset_names())
def test_2048_samples_become_128_means_and_positive_scales_and_come_back(name: str) -> None:
    net = RaveNet(load_preset(name)).eval()
    assert (net.config.hop, net.config.latents, net.config.rate) == (2048, 128, 48000)
    with torch.inference_mode():
        posterior = net.encode(0.1 * torch.randn(2, 1, 2048 * 4))
        assert posterior.mean.shape == posterior.scale.shape == (2, 128, 4)
        assert (posterior.scale > 0).all()
        sound = net.decode(posterior.mean, seed=3)
    assert sound.shape == (2, 1, 2048 * 4)
    assert torch.isfinite(sound).all()


def test_silence_and_full_scale_give_finite_latents_and_sound() -> None:
    net = RaveNet(load_preset("tiny")).eval()
    for level in (0.0, 1e-9, 1.0, 100.0):
        with torch.inference_mode():
            mean = net.encode(level * torch.sign(torch.randn(1, 1, 2048 * 4))).mean
            assert torch.isfinite(mean).all()
            assert torch.isfinite(net.decode(mean)).all()


def test_other_ratios_and_widths_are_only_configuration() -> None:
    data = load_preset("tiny").to_dict() | {"ratios": [4, 4, 2], "latents": 32, "rate": 44100}
    for side in ("encoder", "decoder"):
        data[side] = data[side] | {"channels": [8, 16, 32, 32], "units": [0, 1, 1, 0]}
    net = RaveNet(NetworkConfig.from_dict(data)).eval()
    assert net.config.hop == 512
    with torch.inference_mode():
        mean = net.encode(torch.randn(1, 1, 512 * 6)).mean
        assert mean.shape == (1, 32, 6)
        assert net.decode(mean).shape == (1, 1, 512 * 6)


def causal_network() -> RaveNet:
    data = load_preset("tiny").to_dict()
    data |= {"padding": "causal", "gain_shape": False, "lapped": False, "harmonics": False}
    data |= {"envelope": 0, "envelope_detail": 0, "envelope_refiner": 0, "envelope_rise": False}
    data |= {"pitch": False, "second_pitch": False, "tones": 0}
    data |= {"scatter_unvoiced": 0}
    return RaveNet(NetworkConfig.from_dict(data)).eval()


def test_a_causal_network_does_not_look_ahead() -> None:
    net = causal_network()
    x = torch.randn(1, 1, 2048 * 12)
    cut = x.clone()
    cut[..., 2048 * 6 :] = 0
    with torch.inference_mode():
        a, b = net.encode(x).mean, net.encode(cut).mean
        assert torch.allclose(a[..., :6], b[..., :6], atol=1e-6)
        assert not torch.allclose(a[..., 6:], b[..., 6:], atol=1e-6)
        changed = a.clone()
        changed[..., 6:] = 0
        assert torch.allclose(net.decode(a)[..., : 6 * 2048], net.decode(changed)[..., : 6 * 2048], atol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "default", "rave"])
def test_nothing_reaches_farther_than_the_preroll(name: str) -> None:
    torch.manual_seed(0)
    net = RaveNet(load_preset(name)).eval()
    if net.envelope is not None and net.envelope.refiner is not None:
        nn.init.normal_(net.envelope.refiner.found.weight, std=0.1)  # untrained it is nothing
    most = max(net.preroll, net.encoder_preroll)
    frames, spot = 2 * most + 9, most + 4
    x = 0.1 * torch.randn(1, 1, frames * 2048)
    other = x.clone()
    other[..., spot * 2048 : (spot + 1) * 2048] *= -0.5
    with torch.inference_mode():
        difference = (net.encode(x).mean - net.encode(other).mean).abs().amax((0, 1))
        distance = torch.arange(frames).sub(spot).abs()
        assert difference[distance > net.encoder_preroll].max() < 1e-5 < difference[spot]
        # What is not a number shows all that depends on it. A phase goes on for ever: it has a history of its own.
        z = net.encode(x).mean
        source = z[:, net.source].clone()
        z[..., spot] = torch.nan
        noise = seeded_noise(0, net.config.bands, 0, frames * net.config.decimation)[None]
        spoilt = net.render(z, noise, source, 0, 0, 8.0)[0].isnan().view(frames, 2048).any(1)
        assert spoilt[spot] and not spoilt[distance > net.preroll].any()
    assert net.preroll * net.config.decimation >= decoder_reach(net.config)
    assert net.encoder_preroll * net.config.decimation >= encoder_reach(net.config)


def test_unknown_keys_and_impossible_shapes_are_refused() -> None:
    good = load_preset("tiny").to_dict()
    with pytest.raises(ValueError, match="colour"):
        NetworkConfig.from_dict(good | {"colour": 1})
    with pytest.raises(ValueError, match="padding"):
        NetworkConfig.from_dict(good | {"padding": "left"})
    with pytest.raises(ValueError, match="ratios"):
        NetworkConfig.from_dict(good | {"ratios": [4, 4]})
    with pytest.raises(ValueError, match="no preset"):
        load_preset("huge")
    with pytest.raises(ValueError, match="0 to 63"):
        replace(load_preset("default"), lapped_coefficients=66)
    with pytest.raises(ValueError, match="need lapped"):
        replace(load_preset("default"), lapped=False, lapped_coefficients=40)
    with pytest.raises(ValueError, match="needs pitch"):
        replace(load_preset("default"), pitch=False, scatter_unvoiced=0)


def test_so_many_latents_start_as_coefficients_of_the_lowest_frequencies() -> None:
    """Of band 0, 1.5 kHz in 128 coefficients: 40 of them code a tone at 300 Hz and none at 900 Hz."""
    net = RaveNet(replace(load_preset("default"), lapped_coefficients=40))
    assert net.lapped is not None and net.config.carried == 40
    used = net.lapped.analysis.abs().sum((1, 2)) > 0
    assert used.tolist() == [True] * 40 + [False] * 88
    time = torch.arange(128 * 40) / 3000
    for hertz, kept in ((300, 1.0), (900, 0.0)):
        tone = torch.sin(2 * torch.pi * hertz * time)[None, None]
        back = net.lapped.inverse(net.lapped(tone))[..., 128:-128]
        assert float(back.square().mean() / tone[..., 128:-128].square().mean()) == pytest.approx(kept, abs=0.01)
    assert "lapped_coefficients" not in load_preset("rave").to_dict()


def test_the_noise_is_the_specified_integer_sequence() -> None:
    inputs = np.array([0, 1, 2, 0xFFFFFFFF], np.uint32)
    assert lowbias32(inputs).tolist() == [reference_hash(int(v)) for v in inputs]
    noise = seeded_noise(7, 3, 0, 1000)
    mixed = reference_hash(5 ^ reference_hash((7 + 2 * 0x9E3779B9) & 0xFFFFFFFF))
    assert float(noise[2, 5]) == pytest.approx(mixed / 2**31 - 1, abs=1e-6)
    assert torch.equal(seeded_noise(7, 3, 400, 100), noise[:, 400:500])
    assert torch.equal(seeded_noise(7, 3, -50, 100)[:, 50:], noise[:, :50])
    assert not torch.equal(seeded_noise(8, 3, 0, 1000), noise)
    assert float(noise.abs().max()) <= 1
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert float(noise.square().mean()) == pytest.approx(1 / 3, abs=0.03)


def reference_hash(x: int) -> int:
    x ^= x >> 16
    x = x * 0x7FEB352D & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


def test_fields_that_came_later_do_not_change_what_older_models_say_of_themselves() -> None:
    plain = NetworkConfig.from_dict(load_preset("rave").to_dict())
    assert "pitch" not in plain.to_dict()
    for name in ("default", "tiny", "rave"):
        config = load_preset(name)
        assert NetworkConfig.from_dict(config.to_dict()) == config
    assert load_preset("default").to_dict()["pitch"] is True
    assert "scatter" not in plain.to_dict() and load_preset("default").to_dict()["scatter_unvoiced"] == 1


def steady_bands(voicing: float | None, **scatter: float) -> torch.Tensor:
    """Sub-bands [1, bands, time] made of the same latents in every frame, the waveform alone; 32 frames."""
    latents = 0.5 * torch.randn(1, 128, 1, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    config = replace(load_preset("tiny"), **{"scatter": 0, "scatter_unvoiced": 0, **scatter})
    decoder, period = RaveNet(config).eval().decoder, config.decimation
    noise = seeded_noise(1, config.bands, 0, 40 * period)[None]
    with torch.no_grad():
        decoder.noise.out.bias.fill_(-30.0)  # the noise head is silent
        decoder.heads.weight[decoder.bands + 1 :] = 0  # and so are the sources
        decoder.heads.bias[decoder.bands + 1 :] = -30.0
        pitch = None if voicing is None else torch.full((1, 1, 40 * period), voicing)
        bands = decoder(latents.expand(1, config.latents, 40), noise, voicing=pitch)[0]
    return bands[..., 4 * period : -4 * period]


def alike(x: torch.Tensor, period: int = 128) -> float:
    """Correlation of sub-bands with themselves a frame later."""
    return float((x[..., period:] * x[..., :-period]).sum() / x.square().sum())


def test_random_signs_take_a_steady_pattern_apart_and_leave_its_size() -> None:
    """The same latents in every frame make one snippet again and again, unless it is scattered."""
    whole, scattered = steady_bands(None), steady_bands(None, scatter=2)
    assert torch.equal(whole[:, :2], scattered[:, :2])
    assert alike(whole[:, 2:]) > 0.9
    assert abs(alike(scattered[:, 2:])) < 0.1
    torch.testing.assert_close(scattered.abs(), whole.abs(), atol=1e-5, rtol=1e-4)


def test_signs_are_thrown_as_far_as_there_is_no_pitch() -> None:
    whole = steady_bands(1.0)
    voiced, half, unvoiced = (steady_bands(v, scatter=5, scatter_unvoiced=1) for v in (1.0, 0.5, 0.0))
    assert torch.equal(voiced[:, :5], whole[:, :5]) and abs(alike(voiced[:, 5:])) < 0.1
    assert abs(alike(unvoiced[:, 1:])) < 0.1 and torch.equal(unvoiced[:, :1], whole[:, :1])
    # A quarter of the signs turns: of each of two factors half is left, of their product a quarter.
    assert 0.15 < alike(half[:, 1:5]) / alike(whole[:, 1:5]) < 0.35
    assert torch.equal(unvoiced, steady_bands(None, scatter=5, scatter_unvoiced=1))
    assert torch.equal(unvoiced[:, 1:], steady_bands(None, scatter=1)[:, 1:])


def test_in_the_lowest_band_signs_are_thrown_above_the_waveform_that_is_sent() -> None:
    cut, rate = 500, 3000
    whole, voiced, unvoiced = (steady_bands(v, scatter_lowest=s) for v, s in ((1.0, 0), (1.0, cut), (0.0, cut)))
    assert torch.equal(voiced, whole)
    torch.testing.assert_close(unvoiced[:, 1:], whole[:, 1:])
    lines = torch.fft.rfft(unvoiced[:, 0]), torch.fft.rfft(whole[:, 0])
    hertz = torch.arange(lines[0].shape[-1]) * (rate / unvoiced.shape[-1])

    def part(inside: torch.Tensor) -> list[torch.Tensor]:
        return [torch.fft.irfft(line * inside, unvoiced.shape[-1]) for line in lines]

    thrown, loop = part(hertz > cut + 100)
    assert alike(loop) > 0.9 and abs(alike(thrown)) < 0.15
    assert 0.5 < float(thrown.square().mean() / loop.square().mean()) < 1.2  # some of it fell below, and is not heard
    sent, same = part(hertz < cut - 100)
    assert (sent - same)[:, 128:-128].square().mean() < 1e-3 * same.square().mean()


@pytest.mark.parametrize("name", ["scatter_unvoiced", "scatter_lowest"])
def test_scatter_by_voicing_needs_a_pitch(name: str) -> None:
    with pytest.raises(ValueError, match="need pitch"):
        none = {"pitch": False, "second_pitch": False, "tones": 0, "scatter_unvoiced": 0}
        replace(load_preset("tiny"), **none | {name: 1})


def test_scatter_in_the_lowest_band_stays_in_it() -> None:
    for hertz in (-1.0, 1500.0):
        with pytest.raises(ValueError, match="below 1500 Hz"):
            replace(load_preset("tiny"), scatter_lowest=hertz)
