"""Where figures come from: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "ravecodec", "numpy", "scipy", "torch", "constriction", "soundfile", "soxr",
    "pesq", "pystoi", "pyloudnorm", "visqol-python", "numba", "zimtohrli", "pyworld",
    "bjontegaard", "joblib", "distributed", "matplotlib", "transformers", "snac",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """The processor, its count, the system and Python."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def packages() -> dict[str, str | None]:
    """The versions of the packages that figures depend on; None for one that is not installed."""
    return {name: _version(name) for name in PACKAGES}


def commit() -> dict[str, Any] | None:
    """The git commit of this source tree and whether its files differ from it; None outside a repository."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
