"""What it takes to start: seconds to import and to load a model, and memory, each in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys

from eval.spread import Spread

# Run in a process of its own, which prints a JSON object: what it took and the most memory it held.
_START = """
import json, resource, sys, time

def peak_bytes():
    # Linux hands ru_maxrss on from the process that started this one; the high-water mark of its own memory is here.
    try:
        lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

began = time.perf_counter()
import ravecodec
imported = time.perf_counter()
codec = ravecodec.load(sys.argv[1])
loaded = time.perf_counter()
import numpy as np
seconds = float(sys.argv[2])
if seconds:
    sound = 0.1 * np.random.default_rng(0).standard_normal(int(48000 * seconds)).astype(np.float32)
    codec.decode(codec.encode(sound, 48000))
print(json.dumps({"import": imported - began, "load": loaded - imported, "peak_bytes": peak_bytes()}))
"""


def measure(model: str, repeats: int) -> dict[str, Spread]:
    """Seconds to import and to load, and peak memory (bytes) after loading and after coding ten seconds of sound."""
    idle = [_process(model, 0) for _ in range(repeats)]
    busy = [_process(model, 10) for _ in range(repeats)]
    return {
        "import_seconds": Spread.of([run["import"] for run in idle]),
        "load_seconds": Spread.of([run["load"] for run in idle]),
        "loaded_bytes": Spread.of([run["peak_bytes"] for run in idle]),
        "peak_bytes": Spread.of([run["peak_bytes"] for run in busy]),
    }


def _process(model: str, seconds: float) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _START, model, str(seconds)], capture_output=True, text=True, timeout=600, check=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result
