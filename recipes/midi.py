"""MIDI files of a package played by a sound font: music without loss, up to half the rate."""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from archives import Found

MIDI = frozenset(".mid .midi".split())
RATE = 48000
PEAK = 0.9  # what the loudest sample is brought to


def rendered(root: Path, soundfont: Path) -> Iterator[Found]:
    """Every MIDI file below a folder, its path with .flac at the end, and how to render it, in the order of the names.

    Rendering raises OSError where there is no fluidsynth, or where it makes nothing of a file.
    """
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in MIDI and path.is_file() and not path.is_symlink():
            name = path.relative_to(root).with_suffix(".flac").as_posix()
            yield name, lambda path=path: render(path, soundfont)  # type: ignore[misc]


def render(midi: Path, soundfont: Path) -> bytes:
    """A MIDI file as a FLAC file at 48 kHz, in stereo, its loudest sample at `PEAK`."""
    with tempfile.TemporaryDirectory() as folder:
        # In floating point: at any gain that suits a quiet piece a loud one would be clipped.
        target = Path(folder) / "out.wav"
        command = ["fluidsynth", "-ni", "-r", str(RATE), "-T", "wav", "-O", "float", "-F", str(target)]
        try:
            done = subprocess.run([*command, str(soundfont), str(midi)], capture_output=True, text=True)
        except FileNotFoundError:
            raise FileNotFoundError(
                "MIDI files are rendered by fluidsynth: install it (apt-get install fluidsynth)"
            ) from None
        if done.returncode or not target.is_file():
            raise OSError(f"{midi.name}: fluidsynth: {' '.join(done.stderr.split())[-200:] or 'no sound came out'}")
        return _levelled(target)


def _levelled(path: Path) -> bytes:
    """A sound file as 16-bit FLAC with its loudest sample at `PEAK`."""
    import numpy as np
    import soundfile

    peak = max((float(np.abs(block).max()) for block in soundfile.blocks(path, 1 << 16)), default=0.0)
    gain = PEAK / peak if peak else 1.0
    about = soundfile.info(path)
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", about.samplerate, about.channels, "PCM_16", format="FLAC") as file:
        for block in soundfile.blocks(path, 1 << 16):
            file.write(block * gain)
    return out.getvalue()


def soundfont_in(root: Path) -> Path:
    """The largest .sf2 or .sf3 file below a folder; FileNotFoundError if there is none."""
    found = [path for path in root.rglob("*") if path.suffix.lower() in (".sf2", ".sf3") and not path.is_symlink()]
    if not found:
        raise FileNotFoundError(f"{root}: holds no sound font")
    return max(found, key=lambda path: path.stat().st_size)
