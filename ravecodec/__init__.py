"""ravecodec: a neural audio codec for 48 kHz sound.

    codec = ravecodec.load()                        # the model that ships; or a name, or a path
    data = codec.encode(audio, rate, fidelity=0.95) # bytes of an .rvc file
    audio, rate = codec.decode(data)

    ravecodec.write("sound.rvc", audio, rate)       # in the manner of python-soundfile
    audio, rate = ravecodec.read("sound.rvc")
    ravecodec.info("sound.rvc")

Names are imported when first used, so that `import ravecodec` is quick and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ravecodec.codec import Codec, load
    from ravecodec.errors import AudioError, OutputError, RaveCodecError, UsageError
    from ravecodec.files import decode_file, encode_file, info, read, write
    from ravecodec.registry import ModelEntry, list_models

_HOME = {
    "Codec": "codec",
    "load": "codec",
    "AudioError": "errors",
    "OutputError": "errors",
    "RaveCodecError": "errors",
    "UsageError": "errors",
    "decode_file": "files",
    "encode_file": "files",
    "info": "files",
    "read": "files",
    "write": "files",
    "ModelEntry": "registry",
    "list_models": "registry",
}

__all__ = [
    "AudioError",
    "Codec",
    "ModelEntry",
    "OutputError",
    "RaveCodecError",
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
