"""A listening test for webMUSHRA: its YAML configuration and WAV files, for those who run a formal one.

The method is MUSHRA (ITU-R BS.1534-3): each page has the reference, and among the conditions a hidden copy of
it and the 3.5 and 7 kHz low-pass anchors. webMUSHRA (M. Schoeffler et al., JORS 2018) adds the hidden
reference by itself; the anchors are written as files, since its own would be made in the browser. The folder
`DIR/resources` and the file `DIR/ravecodec.yaml` go into webMUSHRA's `configs/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.audio import RATE
from eval.codecs import anchors
from eval.report.choice import Pick
from eval.report.listen import Excerpt

CONFIG = "ravecodec.yaml"
SOUNDS = "resources"
LONGEST = 12.0
"""Seconds: BS.1534 asks for sequences of about ten seconds and not more than twelve."""


def picks(chosen: Sequence[Pick]) -> list[Pick]:
    """The codecs' points of a report, and the two low-pass anchors that the method asks for."""
    lowpasses = [
        Pick(name, settings, f"low-pass {settings['cutoff'] / 1000:g} kHz", "anchor")
        for name, settings in anchors()
        if name == "lowpass"
    ]
    return [*(pick for pick in chosen if pick.role != "anchor"), *lowpasses]


def write(excerpts: Sequence[Excerpt], folder: Path, title: str = "ravecodec") -> Path:
    """Writes the experiment into the folder and returns the path of its configuration.

    Every file is 16-bit WAV at 48 kHz; those of a page have one length and the levels of the excerpt, which
    are matched.
    """
    import soundfile

    sounds = folder / SOUNDS
    sounds.mkdir(parents=True, exist_ok=True)
    pages = []
    for number, excerpt in enumerate(excerpts, 1):
        names = {}
        for version in excerpt.versions:
            name = f"{number:02}_{_plain(excerpt.clip)}_{_plain(version.label)}.wav"
            soundfile.write(sounds / name, np.clip(version.wav, -1, 1), RATE, subtype="PCM_16")
            names[version.label] = f"configs/{SOUNDS}/{name}"
        reference, *others = excerpt.versions
        pages.append(
            {
                "type": "mushra",
                "id": f"trial_{number:02}",
                "name": f"{excerpt.clip} ({excerpt.kind})",
                "content": "Rate how close each sound is to the reference. One of them is the reference itself.",
                "showWaveform": True,
                "enableLooping": True,
                "reference": names[reference.label],
                "createAnchor35": False,
                "createAnchor70": False,
                "stimuli": {_plain(version.label): names[version.label] for version in others},
            }
        )
    path = folder / CONFIG
    path.write_text("\n".join(_yaml(_experiment(title, pages))) + "\n", encoding="utf-8")
    return path


def _experiment(title: str, pages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    welcome = "Please use headphones, and set the volume before you begin. Nothing here is louder than the reference."
    return {
        "testname": f"{title}: listening test",
        "testId": _plain(title),
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": True,
        "remoteService": "service/write.php",
        "pages": [
            {"type": "generic", "id": "welcome", "name": "Welcome", "content": welcome},
            {
                "type": "volume",
                "id": "volume",
                "name": "Volume",
                "content": "Set a comfortable volume and leave it as it is.",
                "stimulus": pages[0]["reference"] if pages else "",
                "defaultVolume": 0.5,
            },
            ["random", *pages],
            {
                "type": "finish",
                "name": "Thank you",
                "content": "Your ratings are sent when you press the button.",
                "showResults": True,
                "writeResults": True,
            },
        ],
    }


def _yaml(value: Any, indent: int = 0) -> Iterable[str]:
    """Plain values as lines of YAML in block style; strings are quoted as JSON, which YAML includes."""
    space = " " * indent
    entries = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for key, item in entries:
        head = f"{space}-" if key is None else f"{space}{json.dumps(key) if not key.isidentifier() else key}:"
        if not isinstance(item, (dict, list)):
            yield f"{head} {json.dumps(item, ensure_ascii=False)}"
            continue
        lines = list(_yaml(item, indent + 4))
        if key is None:  # the first entry stands on the line of the dash
            lines[0] = f"{head}   {lines[0].lstrip()}"
        else:
            yield head
        yield from lines


def _plain(text: str) -> str:
    """A name that is safe in a file name and as a key."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", text).strip("-.") or "x"
