"""A record drawn again: python -m eval.report RESULTS.json [--data DIR] writes its report, tables and plots."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eval import analysis, plots, report, table
from eval.errors import EvalError
from eval.results import Results


def main(arguments: Sequence[str] | None = None) -> int:
    """See --help; the exit status is 1 for a record or corpus that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m eval.report", description="Draws a record of a sweep again.")
    parser.add_argument("record", type=Path, metavar="RESULTS.json")
    parser.add_argument("--data", type=Path, help="the corpus that was measured, to listen to")
    parser.add_argument("--out", type=Path, help="folder (default: the record's)")
    parser.add_argument("--listen", type=int, default=2, metavar="N", help="clips of each kind (default: 2)")
    given = parser.parse_args(arguments)
    out = given.out or given.record.parent
    try:
        results = Results.read(given.record)
        out.mkdir(parents=True, exist_ok=True)
        found = analysis.write(results, out)
        (out / "table.md").write_text(table.markdown(results, intervals=True), encoding="utf-8")
        plots.draw(results, out)
        path = report.write(results, out, given.data, given.listen, found=found)
    except EvalError as error:
        print(f"eval.report: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
