"""Basis and fidelity: the rule to the letter, rotation without loss, what truncation drops."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ravecodec.basis import components_for, expected_cost, fit_basis


@given(
    st.lists(st.floats(0, 1e3, width=32), min_size=1, max_size=40).filter(lambda v: sum(v) > 0),
    st.floats(0, 1, exclude_min=True),
    st.sampled_from(["sigma", "sigma-squared"]),
)
def test_r_is_the_smallest_number_that_reaches_the_fidelity(values: list[float], f: float, rule: str) -> None:
    sigma = np.sort(np.array(values, np.float32))[::-1]
    weights = sigma.astype(np.float64) ** (1 if rule == "sigma" else 2)
    if weights.sum() == 0:
        return  # squares of the smallest numbers vanish
    r = components_for(sigma, f, rule)
    sums = np.cumsum(weights)
    assert 1 <= r <= len(sigma)
    if f < 1:
        assert sums[r - 1] >= f * sums[-1]
        assert r == 1 or sums[r - 2] < f * sums[-1]
    else:
        assert r == len(sigma)


def test_no_rounding_to_powers_of_two() -> None:
    sigma = np.ones(128, np.float32)
    assert [components_for(sigma, r / 128) for r in (1, 3, 24, 100, 127)] == [1, 3, 24, 100, 127]


@pytest.mark.parametrize("fidelity", [0, -0.1, 1.01, float("nan")])
def test_a_fidelity_outside_its_range_is_refused(fidelity: float) -> None:
    with pytest.raises(ValueError, match="fidelity"):
        components_for(np.ones(3, np.float32), fidelity)


def made_basis(rng: np.random.Generator, frames: int = 500, size: int = 12):
    mix = np.diag(0.7 ** np.arange(size)) @ rng.standard_normal((size, size))
    means = rng.standard_normal((frames, size)) @ mix + 3
    centred = means - means.mean(0)
    return means, fit_basis(means.mean(0), centred.T @ centred / frames, frames, np.full(size, 0.04))


def test_singular_values_are_those_of_an_svd_of_the_centred_means(rng: np.random.Generator) -> None:
    means, basis = made_basis(rng)
    expected = np.linalg.svd(means - means.mean(0), compute_uv=False)
    assert np.allclose(basis.singular_values, expected, rtol=1e-4, atol=1e-3)
    assert np.allclose(basis.vectors @ basis.vectors.T, np.eye(12), atol=1e-5)
    # Noise of the same size along every latent keeps it along every component.
    assert np.allclose(basis.noise, 0.2, rtol=1e-5)


def test_all_components_restore_the_latents_and_dropped_ones_are_zero(rng: np.random.Generator) -> None:
    means, basis = made_basis(rng)
    latents = means.T.astype(np.float32)
    assert np.allclose(basis.restore(basis.rotate(latents, 12)), latents, atol=1e-4)
    some = basis.rotate(latents, 5)
    padded = np.vstack([some, np.zeros((7, latents.shape[1]), np.float32)])
    assert np.allclose(basis.restore(some), basis.restore(padded), atol=1e-6)
    errors = [np.square(basis.restore(basis.rotate(latents, r)) - latents).sum() for r in range(1, 13)]
    assert all(a >= b for a, b in pairwise(errors))


def test_rotations_keep_their_bits_where_networks_run_in_bf16(rng: np.random.Generator) -> None:
    means, basis = made_basis(rng)
    basis = replace(basis, mean=basis.mean.astype(np.float32), vectors=basis.vectors.astype(np.float32))
    latents = means.T.astype(np.float32)
    rotated = basis.rotate(latents, 12)
    restored = basis.restore(rotated)
    assert rotated.dtype == restored.dtype == np.float32
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(basis.rotate(latents, 12), rotated)
        np.testing.assert_array_equal(basis.restore(rotated), restored)


def test_the_same_data_give_the_same_signs(rng: np.random.Generator) -> None:
    _, a = made_basis(np.random.default_rng(1))
    _, b = made_basis(np.random.default_rng(1))
    assert np.array_equal(a.vectors, b.vectors)
    assert (a.vectors[np.arange(12), np.abs(a.vectors).argmax(1)] > 0).all()


def test_steps_double_every_eight_indices(rng: np.random.Generator) -> None:
    _, basis = made_basis(rng)
    assert np.allclose(basis.steps(8), 2 * basis.steps(0))
    assert np.allclose(basis.steps(0), 12**0.5 * basis.noise)


def test_in_units_of_their_noise_fine_and_rough_latents_are_not_mixed(rng: np.random.Generator) -> None:
    """Latents of one size, but known to different precision: rounding at step 0 costs each about its own noise."""
    frames, noise = 4000, np.array([0.03, 0.03, 0.5, 0.5, 0.9, 0.9])
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    means = rng.standard_normal((frames, 6)) @ (0.98 * np.eye(6) + 0.02 * turn)
    mean = means.mean(0)
    covariance = (means - mean).T @ (means - mean) / frames

    def errors(scale: np.ndarray | None) -> np.ndarray:
        basis = fit_basis(mean, covariance, frames, noise**2, scale)
        steps = basis.steps(0)[:, None]
        back = basis.restore(np.rint(basis.rotate(means.T, 6) / steps) * steps)
        return np.sqrt(np.square(back.T - means).mean(0)) / noise

    assert np.all((errors(noise) > 0.4) & (errors(noise) < 1.3))
    assert errors(None).max() > 3


def test_dropped_components_are_zero_and_all_restore_in_units_of_noise(rng: np.random.Generator) -> None:
    means = rng.standard_normal((300, 5)) * [1, 2, 3, 4, 5] + 2
    covariance = np.cov(means.T, bias=True)
    basis = fit_basis(means.mean(0), covariance, 300, np.full(5, 0.01), np.array([0.1, 1, 0.5, 2, 4]))
    latents = means.T.astype(np.float32)
    assert np.allclose(basis.restore(basis.rotate(latents, 5)), latents, atol=1e-4)
    scaled = (means - means.mean(0)) / [0.1, 1, 0.5, 2, 4]
    assert np.allclose(basis.singular_values, np.linalg.svd(scaled, compute_uv=False), rtol=1e-4)


def test_groups_are_not_mixed_and_components_come_in_order(rng: np.random.Generator) -> None:
    means = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6))
    covariance = np.cov(means.T, bias=True)
    groups = [range(0, 3), [3], range(4, 6)]
    basis = fit_basis(means.mean(0), covariance, 400, np.full(6, 0.01), groups=groups)
    touched = [{next(n for n, g in enumerate(groups) if i in g) for i in np.flatnonzero(row)} for row in basis.vectors]
    assert all(len(kinds) == 1 for kinds in touched)
    assert np.allclose(basis.vectors @ basis.vectors.T, np.eye(6), atol=1e-5)
    assert (np.diff(basis.singular_values) <= 0).all()
    values = basis.rotate(means.T.astype(np.float32), 6)
    assert np.allclose(np.sqrt((values**2).sum(1)), basis.singular_values, rtol=1e-3)
    for group in groups:
        part = means[:, list(group)]
        own = [s for s, row in zip(basis.singular_values, basis.vectors, strict=True) if row[list(group)].any()]
        assert np.allclose(own, np.linalg.svd(part - part.mean(0), compute_uv=False), rtol=1e-4)


def test_the_expected_cost_knows_independent_latents_from_mixed_ones(rng: np.random.Generator) -> None:
    """Sparse sources: mixed by a rotation they are as correlated as before, not at all, but cost more bits."""
    sources = rng.laplace(size=(6000, 4)) * (rng.random((6000, 4)) < 0.2) * [1.0, 1.02, 0.98, 1.01]
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    covariance = np.eye(4) * sources.var()
    cost = []
    for vectors in (np.eye(4), turn):
        turned = vectors @ covariance @ vectors.T
        basis = fit_basis(np.zeros(4), turned, 6000, np.full(4, 0.01), groups=[[0], [1], [2], [3]])
        cost.append(expected_cost(basis, np.split(sources @ vectors.T, 3), 0))
    assert cost[0] < 0.8 * cost[1]
