"""The rate-distortion sweep: every clip coded into real bytes at every operating point, and measured.

results = sweep.run("clips/", "out/", sweep.points(opus=[6, 12, 24]), jobs=2)
print(table.text(results))
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from eval import cache, cluster, codecs, corpus, cost, provenance, summary, table
from eval.corpus import Clip
from eval.errors import EvalError
from eval.guard import Guard
from eval.measure import Measurement, measure
from eval.metrics import Metric, left_out, select
from eval.points import Point, usual
from eval.results import Results

points = usual  # sweep.run(data, out, sweep.points(opus=[6, 12])) needs one import


@dataclass(frozen=True)
class _Case:
    """A clip at a point, the metrics that apply to it, and its name in the cache."""

    clip: Clip
    point: Point
    metrics: tuple[Metric, ...]
    key: str


def run(
    data: str | Path,
    out: str | Path,
    points: Sequence[Point] | None = None,
    metrics: Iterable[str] | None = None,
    jobs: int = 1,
    *,
    seed: int = 0,
    backend: str = "loky",
    scheduler: str | None = None,
    limit: float | None = None,
    plots: bool = True,
    progress: bool | None = None,
) -> Results:
    """Measures every clip of `data` at every operating point and writes the record into the folder `out`.

    data      a folder of sound or a manifest (see eval.corpus)
    points    operating points (None: sweep.points())
    metrics   names in eval.metrics, "default" (None: the quick ones that are installed) or "all"
    jobs      processes, by joblib; 1 works in this process, which is what a decoder on a GPU wants
    seed      of the bootstrap
    backend   joblib's: "loky", or "dask" for a cluster (see eval.cluster)
    scheduler the address of a running dask scheduler (None: a cluster of `jobs` workers on this machine)
    limit     seconds for a clip at a point, after which it is stopped and recorded as failed; codecs then run
              in processes of their own (see eval.guard). None: no limit, and a codec that hangs or takes its
              process down ends the sweep
    plots     whether to draw
    progress  a bar on standard error (None: only on a terminal)

    Writes results.json, results.csv, clips.csv, table.md, rate.png/.svg, fidelity.png/.svg, and cache.jsonl,
    from which a repeated or interrupted sweep takes what it has already measured: a result is known by the
    content of the clip, the codec, its settings, its version or model, and the metric's version.

    Raises CorpusError for a corpus without clips, Unavailable for a missing program, package or codec and
    EvalError for no points and for a codec whose sound means nothing, all before any work. Clips that fail are recorded
    (`Results.failures`) and do not stop the sweep.
    """
    clips = corpus.load(data)
    chosen = select(metrics)
    wanted = list({point.key: point for point in (usual() if points is None else points)}.values())
    if not wanted:
        raise EvalError("no operating points: there is nothing to measure")
    identities = {point.key: _identity(point) for point in wanted}
    sounds = {clip.name: _digest(clip) for clip in clips}
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    store = cache.Cache(out / "cache.jsonl")

    # A clip's points one after another: each process reads a clip once.
    cases = []
    for clip, point in itertools.product(clips, wanted):
        apply = tuple(metric for metric in chosen if metric.applies(clip.kind))
        key = cache.key(sounds[clip.name], point.codec, point.settings, identities[point.key])
        cases.append(_Case(clip, point, apply, key))
    work = partial(_measurements, jobs=jobs, backend=backend, scheduler=scheduler, limit=limit)
    failed = _work(cases, store, work, progress)
    cases.sort(key=lambda case: wanted.index(case.point))
    rows = [_row(case, failed.get(case.key) or store.get(case.key)) for case in cases]
    lines = summary.summarise(rows, [metric.name for metric in chosen], seed)
    about = _about(Path(data), clips, sounds, chosen, seed)
    about["points"] = [
        {"codec": point.codec, "settings": dict(point.settings), "identity": identities[point.key]}
        for point in wanted
    ]
    about["cost"] = cost.per_metric(_costs(cases, store))
    about["left_out"] = left_out(metrics)
    results = Results(about, rows, lines)
    results.write(out)
    (out / "table.md").write_text(table.markdown(results, intervals=True), encoding="utf-8")
    if plots:
        from eval import plots as drawing

        drawing.draw(results, out)
    return results


def _identity(point: Point) -> dict[str, str]:
    """What decides a codec's result, once it is known that it has one."""
    codec = point.create()
    if not codec.faithful:
        raise EvalError(f"{codec.label}: its weights are random; that is for measuring speed, never for a sweep")
    return dict(codec.identity())


def _digest(clip: Clip) -> str:
    """A clip that cannot be opened fails later, alone."""
    try:
        return cache.file_digest(clip.path)
    except OSError:
        return "unreadable"


def _work(
    cases: Sequence[_Case],
    store: cache.Cache,
    work: Callable[[Sequence[_Case]], Iterator[Measurement]],
    progress: bool | None,
) -> dict[str, Measurement]:
    """Measures what the store lacks and keeps it there; returns what failed, by key."""
    from tqdm import tqdm

    todo = []
    for case in {case.key: case for case in cases}.values():
        known = store.get(case.key)
        missing = tuple(m for m in case.metrics if known is None or m.versioned not in known.metrics)
        if known is None or missing:
            todo.append(replace(case, metrics=missing))
    failed = {}
    hidden = None if progress is None else not progress  # for tqdm, None means: unless on a terminal
    with tqdm(total=len(todo), disable=hidden, unit="clip", desc="sweep") as bar:
        for case, new in zip(todo, work(todo), strict=True):
            if new.error is not None:
                failed[case.key] = new
            else:
                store.put(case.key, _merged(case, store.get(case.key) or Measurement(), new))
            bar.update()
    return failed


def _merged(case: _Case, old: Measurement, new: Measurement) -> Measurement:
    """What is kept: a metric that failed leaves its note and no value, so the next sweep tries it again."""
    done = [metric for metric in case.metrics if metric.name not in new.notes]
    values = {metric.versioned: new.metrics[metric.name] for metric in done}
    seconds = {m.versioned: new.metric_seconds[m.name] for m in done if m.name in new.metric_seconds}
    return replace(
        new,
        metrics={**old.metrics, **values},
        notes={**{name: note for name, note in old.notes.items() if name not in new.metrics}, **new.notes},
        metric_seconds={**old.metric_seconds, **seconds},
    )


def _measurements(
    cases: Sequence[_Case], jobs: int, backend: str, scheduler: str | None, limit: float | None
) -> Iterator[Measurement]:
    """The measurements of the cases, in their order."""
    if not cases:
        return
    # What makes the codec travels with the case, so that codecs which a user registered exist in workers too.
    arguments = [(case, codecs.factory(case.point.codec), limit) for case in cases]
    try:
        if jobs == 1 and backend == "loky":
            yield from itertools.starmap(_measure, arguments)
            return
        import joblib

        with cluster.workers(backend, jobs, scheduler) as processes:
            parallel = joblib.Parallel(n_jobs=processes, return_as="generator", batch_size=1)
            yield from parallel(joblib.delayed(_measure)(*each) for each in arguments)
    finally:
        for guard in _idle(limit):
            guard.close()
        _idle.cache_clear()


def _measure(case: _Case, factory: codecs.Factory, limit: float | None) -> Measurement:
    make = partial(factory, **case.point.settings)
    if limit is None:
        return measure(case.clip, make(), case.metrics)
    idle = _idle(limit)
    guard = idle.pop() if idle else Guard(limit)
    try:
        return guard.measure(case.clip, make, case.metrics)
    finally:
        idle.append(guard)


@lru_cache(maxsize=1)
def _idle(limit: float | None) -> list[Guard]:
    """The guards of this process that have nothing to do: their helpers keep the models that they loaded."""
    return []


def _costs(cases: Iterable[_Case], store: cache.Cache) -> Iterator[Measurement]:
    """What is known of the cases, with the costs of this sweep's metrics by plain name."""
    for case in cases:
        known = store.get(case.key)
        if known is not None:
            named = ((metric.name, known.metric_seconds.get(metric.versioned)) for metric in case.metrics)
            yield replace(known, metric_seconds={name: spent for name, spent in named if spent is not None})


def _row(case: _Case, known: Measurement | None) -> summary.Row:
    """A row shows the metrics of this sweep that apply to the clip, whatever else the cache knows of it."""
    point = case.point
    measurement = known or Measurement(error="not measured")
    if measurement.error is None:
        values = {metric.name: measurement.metrics.get(metric.versioned) for metric in case.metrics}
        notes = {name: note for name, note in measurement.notes.items() if values.get(name, 0) is None}
        measurement = replace(measurement, metrics=values, notes=notes, metric_seconds={})
    label = point.create().label
    return summary.Row(point.codec, label, point.settings, case.clip.name, case.clip.kind, measurement)


def _about(
    data: Path, clips: Sequence[Clip], sounds: Mapping[str, str], chosen: Sequence[Metric], seed: int
) -> dict[str, Any]:
    kinds = dict.fromkeys(clip.kind for clip in clips)
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "corpus": {
            "name": data.resolve().name,
            "clips": len(clips),
            "kinds": {kind: sum(clip.kind == kind for clip in clips) for kind in kinds},
            "sha256": dict(sounds),
        },
        "seed": seed,
        "bootstrap": {"resamples": summary.RESAMPLES, "level": summary.LEVEL},
        "machine": provenance.machine(),
        "packages": provenance.packages(),
        "git": provenance.commit(),
        "metrics": {metric.name: metric.about() for metric in chosen},
    }
