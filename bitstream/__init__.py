"""The .rvc format: integers to bytes and back, exactly, on every machine (SPEC.md says how).

Needs numpy and constriction (loaded when something is coded), and no neural network.
"""

from .errors import CorruptError, FormatError, ModelError, RvcError, UnsupportedError
from .header import FidelityRule, Header, Layout
from .info import FileInfo, info
from .packet import Kind, Packet, packet_bits
from .reader import Reader
from .report import Report
from .tables import Tables
from .trailer import Trailer
from .writer import Writer

__all__ = [
    "CorruptError",
    "FidelityRule",
    "FileInfo",
    "FormatError",
    "Header",
    "Kind",
    "Layout",
    "ModelError",
    "Packet",
    "Reader",
    "Report",
    "RvcError",
    "Tables",
    "Trailer",
    "UnsupportedError",
    "Writer",
    "info",
    "packet_bits",
]
