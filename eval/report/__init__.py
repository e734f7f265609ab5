"""The report of a sweep: one HTML page with curves, tables, sounds and a blind test, which needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval import analysis
from eval.report import choice, listen
from eval.report.page import page
from eval.results import Results

__all__ = ["page", "write"]


def write(
    results: Results,
    folder: Path,
    data: str | Path | None = None,
    clips: int = 2,
    *,
    versions: int = 3,
    found: Mapping[str, Any] | None = None,
) -> Path:
    """Writes report.html into the folder and returns its path.

    data      the corpus that was measured, to listen to (None: a page without sound)
    clips     how many clips of each kind to listen to
    versions  how many points of ravecodec and of Opus
    found     what eval.analysis gave for the record, if it is at hand

    Raises CorpusError for a corpus that is not the measured one, EvalError for a codec that has changed since.
    """
    sounds = []
    if data is not None and clips > 0:
        sounds = listen.excerpts(results, data, choice.clips(results, clips), choice.points(results, versions))
    folder.mkdir(parents=True, exist_ok=True)
    text = page(results, found or analysis.analyse(results), sounds)
    path, part = folder / "report.html", folder / "report.html.part"
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return path
