"""The registry of codecs: name → class, made with settings.

To add one in Python, write a class with `encode` and `decode` (see `Codec`; CONTRIBUTING.md has a whole example):

    codecs.register("mine", Mine)
    sweep.run("clips/", "out/", [Point("mine", {"bitrate": 16})])

Without Python, two command lines: see eval.codecs.shell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eval.codecs.anchors import Identity, LowPass, NoiseVocoder, Silence, anchors
from eval.codecs.codec import Codec
from eval.codecs.codec2 import Codec2
from eval.codecs.ffmpeg import Aac, Mp3, Vorbis
from eval.codecs.lc3 import Lc3
from eval.codecs.neural import Dac, EnCodec, Snac
from eval.codecs.opus import Opus
from eval.codecs.rave import RaveCodec
from eval.codecs.shell import ShellCodec
from eval.errors import Unavailable

__all__ = ["Codec", "Factory", "ShellCodec", "anchors", "create", "factory", "names", "register"]

Factory = Callable[..., Codec]

_REGISTRY: dict[str, Factory] = {
    codec.name: codec
    for codec in (
        *(RaveCodec, Opus, Vorbis, Mp3, Aac, Lc3, Codec2, EnCodec, Dac, Snac, ShellCodec),
        *(Identity, LowPass, NoiseVocoder, Silence),
    )
}


def register(name: str, make: Factory) -> None:
    """Adds a codec: `make(**settings)` gives a Codec. A name that exists is replaced."""
    _REGISTRY[name] = make


def names() -> list[str]:
    """The names of the registered codecs."""
    return list(_REGISTRY)


def factory(name: str) -> Factory:
    """What makes codecs of this name; Unavailable for an unknown one."""
    if name not in _REGISTRY:
        raise Unavailable(f"no codec {name!r}: there are {', '.join(_REGISTRY)}")
    return _REGISTRY[name]


def create(name: str, settings: Mapping[str, Any] | None = None) -> Codec:
    """The codec of this name at these settings."""
    return factory(name)(**(settings or {}))
