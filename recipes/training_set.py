"""Build the training and validation sets of the shipped model from Debian packages.

    python recipes/training_set.py corpus              # all packages of packages.toml
    python recipes/training_set.py corpus NAME ...     # some of them
    ravecodec prepare corpus/train stores/train

Needs Debian or Ubuntu with package lists (`apt-get update`), and the ravecodec environment. Packages are fetched by
`apt-get download` and opened by `dpkg -x`: nothing is installed. fluidsynth has to be there, to play MIDI files. A
package that is complete is not fetched again.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from archives import sounds
from midi import rendered, soundfont_in

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LISTS = Path(__file__).with_name("packages.toml")
SETS = ("train", "validation")
KINDS = ("music", "speech", "effects")
COLUMNS = ("file", "kind", "package", "version", "licence", "path", "length", "rate", "channels")


@dataclass(frozen=True)
class Package:
    """A Debian package, the set it belongs to, and what kind of sound is where in it."""

    name: str
    set: str
    kind: str
    licence: str
    kinds: dict[str, str] = field(default_factory=dict)  # path pattern -> kind, the first that fits
    skip: tuple[str, ...] = ()  # path patterns
    soundfont: str = ""  # the package whose sound font plays this one's MIDI files; its other sound is not looked for

    def kind_of(self, path: str) -> str:
        """The kind of a sound at a path in the package."""
        return next((kind for pattern, kind in self.kinds.items() if fnmatch(path, pattern)), self.kind)


@dataclass(frozen=True)
class Lists:
    """packages.toml: what to take, and what never to train on."""

    packages: tuple[Package, ...]
    never: frozenset[str]
    never_paths: tuple[str, ...]


class ReservedError(Exception):
    """Sound that is reserved for tests was about to be used."""


def read_lists(path: Path = LISTS) -> Lists:
    """Read and check packages.toml; ReservedError when a reserved package is among those to take."""
    with path.open("rb") as file:
        document: dict[str, Any] = tomllib.load(file)
    packages = tuple(Package(**{**entry, "skip": tuple(entry.get("skip", ()))}) for entry in document["package"])
    lists = Lists(packages, frozenset(document["never"]["packages"]), tuple(document["never"]["paths"]))
    for package in packages:
        refuse_reserved(package, "", lists)
        if package.soundfont in lists.never:
            raise ReservedError(f"{package.soundfont} is reserved for tests: {package.name} cannot be rendered with it")
        if package.set not in SETS or {package.kind, *package.kinds.values()} - set(KINDS):
            raise ValueError(f"{path}: {package.name} has an unknown set or kind")
    names = [package.name for package in packages]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: a package is listed twice")
    return lists


def refuse_reserved(package: Package, path: str, lists: Lists) -> None:
    """ReservedError if a package, or a path in it, is reserved for tests."""
    if package.name in lists.never:
        raise ReservedError(f"{package.name} is reserved for tests: never train or tune on it")
    if path and is_reserved(path, lists):
        raise ReservedError(f"{path} of {package.name} is reserved for tests: never train or tune on it")


def is_reserved(path: str, lists: Lists) -> bool:
    """Whether a path in a package is one of those reserved for tests."""
    return any(fnmatch(path, pattern) for pattern in lists.never_paths)


def build(out: Path, packages: Sequence[Package], lists: Lists) -> list[str]:
    """Fetch and unpack what is missing; the faults, one line each."""
    faults = []
    for package in packages:
        refuse_reserved(package, "", lists)
        folder = out / package.set / package.name
        if (folder / "manifest.csv").exists():
            print(f"{package.name}: there already")
            continue
        try:
            with tempfile.TemporaryDirectory(dir=out, prefix=".part-") as scratch:
                version = fetch(package.name, Path(scratch))
                if package.soundfont:
                    fetch(package.soundfont, Path(scratch) / "soundfont")
                    keep_copyright(package.soundfont, Path(scratch) / "soundfont", out / "copyright")
                rows, left_out = take(package, version, Path(scratch), lists)
                keep_copyright(package.name, Path(scratch), out / "copyright")
                finish(Path(scratch) / "sound", folder, rows)
        except (subprocess.CalledProcessError, OSError) as error:
            reason = getattr(error, "stderr", None) or str(error)
            faults.append(f"{package.name}: {' '.join(str(reason).split())[-300:]}")
            continue
        hours = sum(float(row["length"]) for row in rows) / 3600
        print(f"{package.name} {version}: {len(rows)} files, {hours:.2f} h; {left_out} left out", flush=True)
        if not rows:
            faults.append(f"{package.name}: holds no usable sound")
    return faults


def fetch(name: str, scratch: Path) -> str:
    """Download a package and unpack it into `scratch`/root; its version."""
    scratch.mkdir(exist_ok=True)
    run(["apt-get", "download", "-q", name], scratch)
    (archive,) = scratch.glob("*.deb")
    version = run(["dpkg-deb", "--field", archive.name, "Version"], scratch).strip()
    run(["dpkg", "-x", archive.name, "root"], scratch)
    archive.unlink()
    return version


def run(command: list[str], folder: Path) -> str:
    """Run a program in a folder and return what it prints; CalledProcessError if it fails."""
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def take(package: Package, version: str, scratch: Path, lists: Lists) -> tuple[list[dict[str, Any]], int]:
    """Write the usable sound of an unpacked package to `scratch`/sound; manifest rows, and how many were left out."""
    rows: list[dict[str, Any]] = []
    left_out = 0
    found = sounds(scratch / "root")
    if package.soundfont:
        found = rendered(scratch / "root", soundfont_in(scratch / "soundfont"))
    for path, read in found:
        if is_reserved(path, lists) or any(fnmatch(path, pattern) for pattern in package.skip):
            left_out += 1
            continue
        target = scratch / "sound" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read())
        about = usable(target)
        if about is None:
            target.unlink()
            left_out += 1
            continue
        refuse_reserved(package, path, lists)
        origin = {"package": package.name, "version": version, "licence": package.licence, "path": path}
        rows.append({"file": path, "kind": package.kind_of(path), **origin, **about})
    return rows, left_out


def usable(path: Path) -> dict[str, Any] | None:
    """Length (s), rate and channels of a sound that is fit for training; None if it is not.

    Fit is: readable to the end, a quarter of a second or longer, at 32 kHz or more, and with energy between 14.5 and
    16 kHz, at most 80 dB below the whole: most game sound of less was resampled from 22 kHz.
    """
    import numpy as np

    from ravecodec.audio import AudioSource
    from ravecodec.errors import AudioError

    total = high = 0.0
    samples = 0
    try:
        with AudioSource(path) as source:
            info = source.info
            for block in source.blocks():
                samples += len(block)
                power = np.abs(np.fft.rfft(block.mean(1) * np.hanning(len(block)))) ** 2
                frequency = np.fft.rfftfreq(len(block), 1 / info.rate)
                total += float(power.sum())
                high += float(power[(frequency > 14500) & (frequency < 16000)].sum())
    except AudioError:
        return None
    if info.rate < 32000 or samples < info.rate / 4 or high <= 1e-8 * total:
        return None
    return {"length": round(samples / info.rate, 3), "rate": info.rate, "channels": info.channels}


def keep_copyright(name: str, scratch: Path, folder: Path) -> None:
    """Keep the package's copyright file: the licences stand there in full."""
    folder.mkdir(parents=True, exist_ok=True)
    source = scratch / "root" / "usr" / "share" / "doc" / name / "copyright"
    if source.is_file():
        shutil.copyfile(source, folder / name)


def finish(sound: Path, folder: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Move the sound to its place; the manifest comes last and says that the package is complete."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    sound.mkdir(exist_ok=True)
    sound.replace(folder)
    part = folder / "manifest.part"
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    part.replace(folder / "manifest.csv")


def manifest_rows(out: Path, which: str) -> Iterator[dict[str, str]]:
    """All rows of the manifests of a set."""
    for manifest in sorted((out / which).glob("*/manifest.csv")):
        with manifest.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def check(out: Path, lists: Lists) -> None:
    """Go over what is on the disk; ReservedError if train holds anything reserved, or of a validation package."""
    sets = {package.name: package.set for package in lists.packages}
    for which in SETS:
        for row in manifest_rows(out, which):
            if row["package"] in lists.never or is_reserved(row["path"], lists):
                raise ReservedError(f"{out / which}: {row['package']}: {row['path']} is reserved for tests")
            if sets.get(row["package"]) != which:
                raise ReservedError(f"{out / which}: {row['package']} does not belong to this set")


def main(argv: Sequence[str] | None = None) -> int:
    """Build, check, and say what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder for the corpus")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these packages of packages.toml")
    arguments = parser.parse_args(argv)
    lists = read_lists()
    known = {package.name: package for package in lists.packages}
    for name in arguments.names:
        if name in lists.never:
            raise ReservedError(f"{name} is reserved for tests: never train or tune on it")
        if name not in known:
            parser.error(f"{name} is not in {LISTS.name}")
    chosen = [known[name] for name in arguments.names] or list(lists.packages)
    arguments.out.mkdir(parents=True, exist_ok=True)
    faults = build(arguments.out, chosen, lists)
    check(arguments.out, lists)
    for which in SETS:
        hours = dict.fromkeys(KINDS, 0.0)
        for row in manifest_rows(arguments.out, which):
            hours[row["kind"]] += float(row["length"]) / 3600
        print(f"{which}: " + ", ".join(f"{kind} {value:.2f} h" for kind, value in hours.items()))
    for fault in faults:
        print(f"failed: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ReservedError as error:
        sys.exit(f"training_set: {error}")
