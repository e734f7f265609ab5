"""`ravecodec calibrate`: what a trained network needs to code files, measured on sound it was not trained on."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitstream import Tables

from ..basis import Basis, expected_cost, fit_basis, reordered
from ..modelfile import Model, load_model, save_model
from ..network.exported import CodecNetwork, ExportedNet, learned_here
from ..network.pitch import SLOTS
from ..network.probe import delay
from ..stereo import with_mean
from . import checkpoint, context, recordings
from .prepare import Piece
from .source import blend, load_network
from .stereo import pair
from .store import Excerpt, Store, cut, kept_out, spread, trained_on

log = logging.getLogger("ravecodec.calibrate")
STEPS = range(-16, 25)  # eighths of an octave
JUDGED_STEPS = (-2, 6)  # at which rotations are compared
ROTATIONS = ("all", "kinds", "none")
KEPT = "kept"  # no rotation of its own: the basis that the model has already
STAGED = 3  # every third excerpt is heard again in stereo, with the one before it
TAUGHT = 10 * 3600.0  # seconds of training sound that the entropy network learns from, too
RECORDED = 3600.0  # seconds of recordings in stereo
MEASURED = ("rotation", "calibration_frames", "entropy_frames")  # notes of what basis and tables were made of
TIMED = 8  # excerpts by which the delay of an export is found
SAME = 0.99  # product of two components' vectors from which on they are one
LATER = 4.0  # how much smaller single tones are made in the order of components
COARSER = 4.0  # how much smaller a pitch is made, which is told more finely than anything else
LAST = 40.0  # the same of a second pitch
AHEAD = 1.0001  # how much larger than a pitch its voicing is made, at least, to come before it


@dataclass(frozen=True)
class Statistics:
    """Posterior means [frames, latents] (float32) and the mean of the posterior variance [latents].

    `lengths` are the frames of each excerpt, `pairs` the means [2, frames, latents] of both channels of stereo sounds,
    as these are coded jointly.
    """

    means: np.ndarray
    variance: np.ndarray
    lengths: tuple[int, ...] = ()
    pairs: list[np.ndarray] = field(default_factory=list)


def calibrate(
    source: str,
    store: Path,
    output: Path,
    name: str,
    description: str = "",
    notes: Mapping[str, Any] | None = None,
    before: str | None = None,
    share: float = 0.3,
    rotation: str = "auto",
    entropy_from: str | None = None,
    stereo: Path | None = None,
    weights: Mapping[str, float] | None = None,
) -> bytes:
    """Measure a network on the held-out part of a store and write the model file; returns the model's id.

    Basis and singular values from the posterior means, steps from the posterior noise, entropy tables from the means
    quantised at every step. Only the weights that predict the integers are learned from sound of the training part,
    too: there are too many for the little that is held out. A kind of sound counts by its length times its weight, as
    in training. The `rotation` is among all latents, among those of a kind,
    of none, or what is expected to cost the fewest bits ("auto"); "kept" is the basis of `before` or of the model that
    `source` is, so that fidelities and steps mean what they meant. With `before`, the model that stage 2 began with,
    the decoder goes only a `share` of the way from that one to `source`; the encoder is that one's, so its basis and
    tables hold, and nothing is measured unless it lacks them or a rotation is asked for. The weights that predict the
    integers begin with those of the model `entropy_from`, where it has the same components; how one channel follows
    the other they learn from the recordings below the folder `stereo`, too. FileNotFoundError or ValueError names what
    is missing.
    """
    net, history = load_network(source)
    if before is not None:
        net = blend(learned_here(load_network(before)[0], before), learned_here(net, source), share)
        history = {**history, "blend": share}
        begun = _calibrated(before)
        if begun is not None and rotation in ("auto", KEPT):
            if entropy_from is not None or stereo is not None or weights:
                raise ValueError(f"{before}: has entropy tables, which hold: nothing else is learned from")
            log.info("basis and tables are those of %s: its encoder is the same", before)
            held = {key: begun.notes[key] for key in MEASURED if key in begun.notes}
            notes = {**begun.notes, **history, **held, **(notes or {})}
            return save_model(output, net, name, begun.basis, begun.tables, description, notes)
    sound = Store(store)
    if sound.rate != net.config.rate:
        raise ValueError(
            f"{store}: a store of {sound.rate} Hz, for a network of {net.config.rate} Hz; "
            f"make one with 'ravecodec prepare --rate {net.config.rate}'"
        )
    # What learned on integers, or began with what did, has the steps of its basis: its posterior's noise is stale.
    taught = "integers" in history
    if taught and rotation not in ("auto", KEPT):
        raise ValueError(f"{source}: learned with the steps of its own basis: no rotation but kept")
    kept = _kept_basis(before or source, net) if taught or rotation == KEPT else None
    heard = [] if stereo is None else recordings.spans(stereo, RECORDED)
    known, other = _heard(net, sound, weights or {})
    if isinstance(net, ExportedNet):
        net = _timed(net, [sound.read(e) for e in sorted(known, key=lambda e: -e.length)[:TIMED]])
    found = measure(net, sound, known, kept_out(heard))
    if taught and kept is not None and Path(source).is_dir():
        kept = reordered(kept, found.means)
    chosen, basis = (KEPT, kept) if kept else choose_basis(net, found, rotation)
    more = measure(net, sound, other, trained_on(heard)) if other else None
    beginning = None if entropy_from is None else beginning_of(basis, entropy_from)
    if (basis.singular_values < 0.5 * basis.steps(0) * len(found.means) ** 0.5).all():
        log.warning("nothing that the encoder says of this sound is larger than half a step of 0: its latents say "
                    "little, or other sound than it was made for")  # fmt: skip
    tables = fit_tables(basis, found.means, found.lengths, found.pairs, more, beginning, net.ceiling, net.switches)
    log.info("%d frames; rotation: %s; components for f = 0.99: %d (sums), %d (squares)", len(found.means), chosen,
             basis.components_for(0.99), basis.components_for(0.99, "sigma-squared"))  # fmt: skip
    notes = {**history, **(notes or {}), "calibration_frames": len(found.means)}
    notes["entropy_frames"] = len(found.means) + (0 if more is None else len(more.means))
    if kept is None:
        notes["rotation"] = chosen
    return save_model(output, net, name, basis, tables, description, notes)


def _heard(net: CodecNetwork, sound: Store, weights: Mapping[str, float]) -> tuple[list[Excerpt], list[Excerpt]]:
    """Excerpts that a network is measured on, and those that the entropy network learns from besides."""
    size, most = int(recordings.EXCERPT * sound.rate), TAUGHT * sound.rate
    if isinstance(net, ExportedNet):  # trained elsewhere, on sound of which nothing is known
        return spread(cut(sound.excerpts, size), weights, most), []
    return spread(cut(sound.held_out(), size), weights, math.inf), spread(cut(sound.training(), size), weights, most)


def _timed(net: ExportedNet, sounds: Sequence[np.ndarray]) -> ExportedNet:
    """An export whose delay is known."""
    if net.config.delay is None:
        net = delay(net, sounds)
    log.info("%s: %d latents every %d samples at %d Hz; the encoder sees %d frames on either side, the decoder %d; "
             "a delay of %d samples", net.config.name, net.config.latents, net.config.hop, net.config.rate,
             net.encoder_preroll, net.preroll, net.delay)  # fmt: skip
    return net


def _calibrated(source: str) -> Model | None:
    """The model, if it is one with a basis and tables and not the folder of a run."""
    model = None if Path(source).is_dir() else load_model(source)
    return model if model is not None and model.basis is not None and model.tables is not None else None


def _kept_basis(source: str, net: CodecNetwork) -> Basis:
    saved = checkpoint.load(Path(source)) if Path(source).is_dir() else None
    basis = checkpoint.basis(saved) if saved is not None else load_model(source).basis
    if basis is None:
        raise ValueError(f"{source}: no basis to keep; name the calibrated model that this one began with (--blend)")
    return replace(basis, mean=_centre(basis.mean, net))


def beginning_of(basis: Basis, source: str) -> context.Beginning:
    """The tables of a model, and which of its components are those of this basis."""
    begun = _calibrated(source)
    if begun is None or begun.basis is None or begun.tables is None or begun.tables.context is None:
        raise ValueError(f"{source}: is no calibrated model with a network of entropy tables to go on from")
    if begun.basis.vectors.shape != basis.vectors.shape:
        raise ValueError(f"{source}: has other latents")
    alike = basis.vectors @ begun.basis.vectors.T
    numbers = np.where(alike.max(1) > SAME, alike.argmax(1), -1)
    log.info("%d components go on from the entropy network of %s", (numbers >= 0).sum(), source)
    return context.Beginning(begun.tables, numbers)


def _centre(mean: np.ndarray, net: CodecNetwork) -> np.ndarray:
    """A mean [latents], but where tones and pitch have a state of rest, that.

    Where there is no tone nothing is to sound: that is to be an integer at every step, and what is assumed of
    components that are not sent.
    """
    centre = mean.copy()
    for measured, where in ((net.tones, net.single), (net.pitch, net.tune), (net.second, net.other)):
        if measured is not None:
            centre[where] = measured.rest[:, 0].numpy()
    return centre


def choose_basis(net: CodecNetwork, found: Statistics, rotation: str = "auto") -> tuple[str, Basis]:
    """The rotation's name, one of `ROTATIONS`, and its basis; ValueError for a name that is not known.

    A posterior whose latents are independent makes a network align its latents with what it codes (Rolinek et al.
    2019): then the best rotation may be none.
    """
    if rotation not in ("auto", *ROTATIONS):
        raise ValueError(f"the rotation is auto or one of {', '.join(ROTATIONS)}, not {rotation!r}")
    mean = found.means.mean(0, dtype=np.float64)
    centre, centred = _centre(mean, net), found.means - mean
    covariance = centred.T.astype(np.float64) @ centred / len(centred)
    unit = np.sqrt(found.variance)
    latents = range(len(mean))
    together: Sequence[Sequence[int]] = [latents]
    if net.tones is not None:
        unit[net.single] *= LATER  # finely placed, but of no use before there is an envelope
    if net.pitch is not None:
        unit[net.tune][:SLOTS] *= COARSER
        unit[net.other][:1] *= LAST
        _put_ahead(unit, found.means.std(0), net.switches)
        alone = latents[net.source]
        together = [[i for i in latents if i not in alone], *([i] for i in alone)]
    groups = {"all": together, "kinds": net.kinds, "none": [[i] for i in latents]}

    def fitted(name: str) -> Basis:
        return fit_basis(centre, covariance, len(centred), found.variance, unit, groups[name])

    if rotation != "auto":
        return rotation, fitted(rotation)
    sounds = _by_sound(found.means, found.lengths)
    bases = {name: fitted(name) for name in ROTATIONS}
    best = min(bases, key=lambda name: sum(expected_cost(bases[name], sounds, q) for q in JUDGED_STEPS))
    return best, bases[best]


def _put_ahead(unit: np.ndarray, spread: np.ndarray, switches: np.ndarray) -> None:
    """Make the units of what switches others on so small that it comes before these: so they are known to be on.

    Of latents that vary by `spread` [latents] the larger one, in its unit, comes first.
    """
    for latent in np.flatnonzero(switches >= 0):
        switch = switches[latent]
        if spread[switch] > 0 < spread[latent]:
            unit[switch] = min(unit[switch], unit[latent] * spread[switch] / (AHEAD * spread[latent]))


def _by_sound(means: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    return np.split(means, np.cumsum(lengths)[:-1]) if len(lengths) else [means]


@torch.inference_mode()
def measure(net: CodecNetwork, store: Store, excerpts: Sequence[Excerpt], heard: Sequence[Piece] = ()) -> Statistics:
    """Run the encoder over some excerpts of a store, and over recordings in stereo; ValueError without excerpts."""
    hop = net.config.hop
    means, variance, frames, pairs = [], np.zeros(net.config.latents), 0, []
    dice = np.random.default_rng(0)
    before = np.zeros(0, np.float32)
    for number, excerpt in enumerate(excerpts):
        sound = store.read(excerpt)
        posterior = net.encode(_whole(sound[None], hop))
        means.append(net.held(posterior.mean.numpy())[0].T)
        variance += posterior.scale[0].square().sum(1).numpy()
        frames += len(means[-1])
        if number % STAGED == STAGED - 1 and net.places:
            pairs.append(_joint(net, pair(sound, before, store.rate, dice)))
        before = sound
    if net.places:
        pairs += [_joint(net, recording) for recording in recordings.joint(heard, store.rate)]
    if not frames:
        raise ValueError(f"{store.folder}: no held-out sound; the store is too small to calibrate on")
    return Statistics(np.concatenate(means), variance / frames, tuple(map(len, means)), pairs)


def _joint(net: CodecNetwork, sound: np.ndarray) -> np.ndarray:
    """Means [2, frames, latents] of two channels [n, 2] that are coded jointly."""
    means = net.encode(_whole(with_mean(sound).T, net.config.hop)).mean.numpy()
    return net.held(net.joined(means)).swapaxes(1, 2)


def _whole(sound: np.ndarray, hop: int) -> torch.Tensor:
    """Sound [channels, n] as [channels, 1, whole frames]."""
    return torch.from_numpy(np.pad(sound, ((0, 0), (0, -sound.shape[1] % hop))))[:, None]


def fit_tables(
    basis: Basis,
    means: np.ndarray,
    lengths: Sequence[int] = (),
    pairs: Sequence[np.ndarray] = (),
    more: Statistics | None = None,
    beginning: context.Beginning | None = None,
    ceiling: np.ndarray | None = None,
    switches: np.ndarray | None = None,
) -> Tables:
    """Entropy tables for every step from posterior means [frames, latents], and from stereo pairs [2, frames, latents].

    `lengths` says where one sound ends and the next begins. The network of the tables learns from `more` means, too,
    and may go on from a `beginning`. `ceiling` [latents] are the values above which latents say no more,
    `switches` [latents] those without which others say nothing and are not coded.
    """

    def in_steps(values: np.ndarray) -> np.ndarray:
        scaled = (values.astype(np.float64) - basis.mean) / basis.unit
        steps: np.ndarray = scaled @ basis.vectors.T.astype(np.float64) / basis.steps(0)
        return steps

    def parts(means: np.ndarray, lengths: Sequence[int], pairs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [in_steps(s[None]) for s in _by_sound(means, lengths)] + [in_steps(p) for p in pairs]

    others = [] if more is None else parts(more.means, more.lengths, more.pairs)
    tops = None if ceiling is None else basis.ceilings(ceiling) / basis.steps(0)
    ruled = None if switches is None else basis.switches(switches)
    return context.fit_tables(parts(means, lengths, pairs), list(STEPS), None, others, beginning, tops, ruled)
