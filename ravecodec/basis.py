"""The rotated latent space: principal components of the posterior means, and how many of them a fidelity keeps.

Source: Caillon & Esling 2021, section 3.3 (post-training analysis of the latent space). Ours is that latents are first
divided by their posterior noise: the prior brings what is carried finely and what is carried roughly to the same size,
so that a plain SVD mixes them, and one step is then too coarse for the one and too fine for the other. And only latents
of one group may be mixed: an SVD decorrelates, but what has a meaning and a tempo of its own (a pitch, a level) costs
more bits when it is spread over components.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

RULES = ("sigma", "sigma-squared")
ALONE = 0.9999  # of a component's length in one latent: it is that one


@dataclass(frozen=True)
class Basis:
    """Centre and unit of the latents, components (rows of `vectors`), their singular values and posterior noise.

    All float32. With `scale` of ones (the default) the components are those of the latents as they are.
    """

    mean: np.ndarray
    vectors: np.ndarray
    singular_values: np.ndarray
    noise: np.ndarray
    scale: np.ndarray | None = None

    def components_for(self, fidelity: float, rule: str = "sigma") -> int:
        """Smallest r with sum of the first r singular values >= fidelity * sum of all; squares under "sigma-squared".

        Raises ValueError outside 0 < fidelity <= 1 and for an unknown rule.
        """
        return components_for(self.singular_values, fidelity, rule)

    def rotate(self, latents: np.ndarray, components: int) -> np.ndarray:
        """Latents [latents, frames] to the first components [components, frames]."""
        return _product(self.vectors[:components], (latents - self.mean[:, None]) / self.unit[:, None])

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Components [components, frames] back to latents [latents, frames], the missing ones taken as zero."""
        return _product(self.vectors[: len(values)].T, values) * self.unit[:, None] + self.mean[:, None]

    @property
    def unit(self) -> np.ndarray:
        """What the latents are divided by."""
        return np.ones_like(self.mean) if self.scale is None else self.scale

    def ceilings(self, latents: np.ndarray) -> np.ndarray:
        """Largest values of the components [d] that mean something, from those of the latents [d]; infinity for most.

        Only a component that is one latent alone can have one.
        """
        found = np.full(len(self.mean), np.inf)
        for latent in np.flatnonzero(np.isfinite(latents)):
            component = self.alone(int(latent))
            if component is not None:
                found[component] = (latents[latent] - self.mean[latent]) / self.unit[latent]
        return found

    def switches(self, latents: np.ndarray) -> np.ndarray:
        """Of each component [d] the one that switches it on, from the same of the latents [d]; −1 for none.

        Both have to be one latent alone.
        """
        found = np.full(len(self.mean), -1)
        for latent in np.flatnonzero(latents >= 0):
            component, switch = (self.alone(int(number)) for number in (latent, latents[latent]))
            if component is not None and switch is not None:
                found[component] = switch
        return found

    def alone(self, latent: int) -> int | None:
        """The component that is this latent alone; None if none is."""
        component = int(self.vectors[:, latent].argmax())
        return component if self.vectors[component, latent] > ALONE else None

    def steps(self, q: int) -> np.ndarray:
        """Quantiser steps sqrt(12) * noise * 2^(q / 8): at q = 0 rounding is as loud as the posterior noise."""
        return (12**0.5 * self.noise * 2.0 ** (q / 8)).astype(np.float32)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b by torch: numpy's threads, once awake, would get in the way of those that run the network."""
    import torch  # what only looks at singular values does without

    kind = np.result_type(a, b)
    with torch.autocast("cpu", enabled=False):  # what is rounded next has all its bits, whatever the networks run in
        product: np.ndarray = torch.mm(torch.from_numpy(a.astype(kind)), torch.from_numpy(b.astype(kind))).numpy()
    return product


def components_for(singular_values: np.ndarray, fidelity: float, rule: str = "sigma") -> int:
    """See `Basis.components_for`."""
    if rule not in RULES:
        raise ValueError(f"the fidelity rule is one of {', '.join(RULES)}, not {rule!r}")
    if not 0 < fidelity <= 1:
        raise ValueError(f"fidelity lies above 0 and at most at 1, not at {fidelity}")
    values = singular_values.astype(np.float64)
    if rule == "sigma-squared":
        values = values**2
    cumulative = np.cumsum(values)
    return int(np.searchsorted(cumulative, fidelity * cumulative[-1], side="left")) + 1 if fidelity < 1 else len(values)


def fit_basis(
    mean: np.ndarray,
    covariance: np.ndarray,
    frames: int,
    variance: np.ndarray,
    scale: np.ndarray | None = None,
    groups: Sequence[Sequence[int]] | None = None,
) -> Basis:
    """Basis from the means' centre [d] and covariance [d, d] over `frames` frames, and the mean posterior variance [d].

    Latents are measured in units of `scale` [d] (None: as they are). The singular values are those of the centred
    matrix of means, sqrt(eigenvalue * frames), as of an SVD of it; with `groups` of latents (None: all are one) of
    each group's columns, and then all are sorted.
    """
    unit = np.ones(len(mean)) if scale is None else scale.astype(np.float32).astype(np.float64)
    whole = covariance.astype(np.float64) / np.outer(unit, unit)
    eigenvalues, vectors = np.zeros(len(mean)), np.zeros((len(mean), len(mean)))
    begin = 0
    for group in [range(len(mean))] if groups is None else groups:
        rows = slice(begin, begin := begin + len(group))
        eigenvalues[rows], turned = np.linalg.eigh(whole[np.ix_(group, group)])
        vectors[rows, list(group)] = turned.T
    order = np.argsort(eigenvalues)[::-1]
    vectors = vectors[order]
    # An eigenvector's sign is free: fix it, so that the same data give the same file.
    vectors *= np.sign(vectors[np.arange(len(vectors)), np.abs(vectors).argmax(1)])[:, None]
    noise = np.sqrt(vectors**2 @ (variance.astype(np.float64) / unit**2))
    singular = np.sqrt(np.maximum(eigenvalues[order], 0) * frames)
    return Basis(*(np.ascontiguousarray(a, dtype=np.float32) for a in (mean, vectors, singular, noise, unit)))


def reordered(basis: Basis, means: np.ndarray) -> Basis:
    """The same components and steps, by the singular values that means [frames, latents] of another encoder have."""
    values = basis.rotate(means.T, len(basis.mean)).astype(np.float64)
    singular = np.sqrt(np.square(values - values.mean(1, keepdims=True)).sum(1))
    order = np.argsort(-singular, kind="stable")
    return replace(
        basis, vectors=np.ascontiguousarray(basis.vectors[order]), noise=basis.noise[order],
        singular_values=singular[order].astype(np.float32),
    )  # fmt: skip


def expected_cost(basis: Basis, sounds: Iterable[np.ndarray], q: int) -> float:
    """Bits a frame of latents [frames, latents] of some sounds at step q, each component given itself a frame before.

    An empirical entropy: an estimate to compare bases of the same latents by, not what a file takes.
    """
    pairs: list[np.ndarray] = []
    for means in sounds:
        values = np.rint(basis.rotate(means.T, len(basis.mean)) / basis.steps(q)[:, None]).astype(np.int64)
        pairs.append(np.stack([values[:, :-1].clip(-2, 2) + 2, values[:, 1:].clip(-31, 31) + 31]))
    before, now = np.concatenate(pairs, 2)
    bits = 0.0
    for first, second in zip(before, now, strict=True):
        joint = np.bincount(first * 63 + second, minlength=5 * 63).reshape(5, 63)
        bits += _entropy(joint.ravel()) - _entropy(joint.sum(1))
    return bits


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())
