"""Coverage-guided fuzzing of the format's parts, each on its own and therefore fast (needs atheris).

    mkdir -p build/parts && nice -n 19 python benchmarks/fuzz/fuzz_parts.py build/parts -runs=1000000 -max_len=96

`parts.py` says what an input stands for. What was tried stands in build/parts.json. `fuzz_reader.py` goes deeper and
is ten times slower; `mutate_parts.py` mutates what this one found, without looking at the coverage.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bitstream", "parts"]):
    from parts import Record


def main() -> None:
    """Fuzz until told to stop."""
    folder = next((a for a in sys.argv[1:] if not a.startswith("-")), "parts")
    atheris.Setup(sys.argv, Record(Path(folder).with_suffix(".json")).one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
