"""ravecodec: a neural audio codec for 48 kHz sound.

    codec = ravecodec.load()                        # the model that ships; or a name, or a path
    data = codec.encode(audio, rate, fidelity=0.95) # bytes of an .rvc file
    audio, rate = codec.decode(data)

    ravecodec.write("sound.rvc", audio, rate)       # in the manner of python-soundfile
    audio, rate = ravecodec.read("sound.rvc")
    ravecodec.info("sound.rvc")
    with ravecodec.RvcFile("sound.rvc") as file:    # any place of a long file, also by URL
        file.seek(48000); audio = file.read(4800)

Names are imported when first used, so that `import ravecodec` is quick and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ravecodec.arrays import info, read, write
    from ravecodec.codec import Codec, load
    from ravecodec.errors import AudioError, OutputError, RaveCodecError, Unavailable, UsageError
    from ravecodec.files import decode_file, encode_file
    from ravecodec.registry import ModelEntry, list_models
    from ravecodec.rvcfile import RvcFile

_HOME = {
    "Codec": "codec",
    "load": "codec",
    "AudioError": "errors",
    "OutputError": "errors",
    "RaveCodecError": "errors",
    "Unavailable": "errors",
    "UsageError": "errors",
    "decode_file": "files",
    "encode_file": "files",
    "info": "arrays",
    "read": "arrays",
    "write": "arrays",
    "RvcFile": "rvcfile",
    "ModelEntry": "registry",
    "list_models": "registry",
}

__all__ = [
    "AudioError",
    "Codec",
    "ModelEntry",
    "OutputError",
    "RaveCodecError",
    "RvcFile",
    "Unavailable",
    "UsageError",
    "__version__",
    "decode_file",
    "encode_file",
    "info",
    "list_models",
    "load",
    "read",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
