"""Whether this machine reads the conformance vectors as they were written: one line of Markdown's table.

    python benchmarks/exactness.py                  # the second decoder: the standard library is enough
    python benchmarks/exactness.py --main           # the main one, and that it writes every vector again, byte for byte

The status is 1 if an integer differs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def by_reference(folder: Path) -> tuple[int, int]:
    """Vectors that the second decoder reads as they were written, and how many there are to read."""
    spec = importlib.util.spec_from_file_location("decoder", ROOT / "bitstream" / "reference" / "decoder.py")
    assert spec is not None and spec.loader is not None
    decoder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(decoder)
    about = json.loads((folder / "vectors.json").read_bytes())
    tables = json.loads((folder / "tables.json").read_bytes())
    known = {name: decoder.listed_tables(arrays) for name, arrays in tables.items()}
    whole = [name for name in about if about[name].get("hash_holds")]
    read = [decoder.decode((folder / name).read_bytes(), known[about[name]["tables"]])[1] for name in whole]
    return sum(found == about[name]["integers_sha256"] for name, found in zip(whole, read, strict=True)), len(whole)


def by_main(folder: Path) -> tuple[int, int]:
    """Files of the folder that the main code reads as they were written and writes again the same, and how many."""
    sys.path.insert(0, str(ROOT))
    from bitstream.vectors import differences, expected

    about = json.loads((folder / "vectors.json").read_bytes())
    wrong = {line.partition(":")[0] for line in differences(folder)}
    wrong |= {name for name in about if expected((folder / name).read_bytes()) != about[name]}
    return len(about) + 2 - len(wrong), len(about) + 2


def main() -> int:
    """Read the vectors and print the line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--main", action="store_true", help="the main decoder (numpy and constriction)")
    parser.add_argument("--vectors", type=Path, default=ROOT / "tests" / "vectors")
    options = parser.parse_args()
    right, count = by_main(options.vectors) if options.main else by_reference(options.vectors)
    with_what = "second decoder"
    if options.main:
        from importlib.metadata import version

        import numpy as np

        with_what = f"main decoder, numpy {np.__version__}, constriction {version('constriction')}"
    cells = [f"{platform.machine()}, {sys.byteorder}-endian", f"Python {platform.python_version()}", with_what]
    cells += [f"threads {os.environ.get('OMP_NUM_THREADS', 'not set')}"]
    cells += [
        f"without {os.environ['NPY_DISABLE_CPU_FEATURES']}" if "NPY_DISABLE_CPU_FEATURES" in os.environ else "all"
    ]
    print(f"| {' | '.join(cells)} | {right} of {count} |")
    return 0 if right == count else 1


if __name__ == "__main__":
    sys.exit(main())
