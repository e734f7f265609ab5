"""This project's codec behind the interface of a comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from eval.audio import RATE, Audio, columns
from eval.codecs.codec import Codec
from eval.errors import Unavailable


class RaveCodec(Codec):
    """ravecodec with a `model`, a `fidelity` (of a `rule`) or a number of `components`, and a `step` index q.

    Or with a `bitrate` in kbit/s; `rdoq`: with or without rate-distortion optimised quantisation. What is None is the
    codec's default. The model is loaded at first use and kept by each process.
    """

    name = "ravecodec"

    def __init__(
        self,
        model: str = "default",
        fidelity: float | None = None,
        components: int | None = None,
        step: int | None = None,
        rule: str | None = None,
        bitrate: float | None = None,
        rdoq: bool | None = None,
    ) -> None:
        given = {
            "fidelity": fidelity, "components": components, "step": step, "rule": rule, "bitrate": bitrate,
            "rdoq": rdoq,
        }  # fmt: skip
        self.options = {key: value for key, value in given.items() if value is not None}
        super().__init__(model=model, **self.options)
        self.model = model

    @property
    def label(self) -> str:
        short = {"fidelity": "f", "components": "r", "step": "q", "rule": "rule"}
        parts = [f"{short[key]}={value}" for key, value in self.options.items() if key in short]
        if "bitrate" in self.options:
            parts.append(f"{self.options['bitrate']:g} kbit/s")
        if "rdoq" in self.options:
            parts.append("rdoq" if self.options["rdoq"] else "no rdoq")
        name = self.name if self.model == "default" else f"{self.name} {Path(self.model).stem}"
        return " ".join([name, *parts])

    def identity(self) -> Mapping[str, str]:
        codec = _load(self.model)
        return {
            "model": str(codec.name),
            "model_id": _hex(codec.model_id),
            "tables_id": _hex(codec.tables_id),
            "code": _code_digest(),
        }

    def prepare(self) -> None:
        _load(self.model)

    def encode(self, wav: Audio, rate: int) -> bytes:
        coded: bytes = _load(self.model).encode(wav, rate, **self.options)
        return coded

    def decode(self, data: bytes) -> tuple[Audio, int]:
        wav, rate = _load(self.model).decode(data, rate=RATE)
        return columns(wav), rate

    def facts(self, data: bytes) -> Mapping[str, float]:
        import bitstream

        info = bitstream.info(data, getattr(_load(self.model), "tables", None))
        facts = {"components": info.header.components, "payload_bits": 8 * info.payload_bytes}
        return facts if info.model_bits is None else {**facts, "model_bits": info.model_bits}


@lru_cache(maxsize=2)
def _load(model: str) -> Any:
    try:
        import bitstream
        import ravecodec
    except ImportError as error:
        raise Unavailable(f"ravecodec cannot be imported: {error}") from error
    try:
        return ravecodec.load(model)
    except (ravecodec.RaveCodecError, bitstream.RvcError, OSError) as error:
        raise Unavailable(f"model {model}: {error}") from error


def _hex(identifier: bytes | str) -> str:
    return identifier.hex() if isinstance(identifier, bytes) else str(identifier)


@lru_cache(maxsize=1)
def _code_digest() -> str:
    """A hash over the sources that code and decode: a cached result must not outlive what made it."""
    import bitstream
    import ravecodec

    digest = hashlib.sha256()
    for package in (bitstream, ravecodec):
        folder = Path(package.__file__ or ".").parent
        for source in sorted(folder.rglob("*.py")):
            if source.relative_to(folder).parts[0] not in ("training", "cli"):
                digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
