"""The .rvc format: integers to bytes and back, exactly, on every machine (SPEC.md says how).

Needs numpy and constriction (loaded when something is coded), and no neural network.
"""

from .content import packet_bits
from .errors import CorruptError, FormatError, ModelError, RvcError, UnsupportedError
from .follow import Following
from .header import FidelityRule, Header, Layout
from .info import FileInfo, info
from .packet import Kind, Packet
from .reader import Reader
from .repair import repair
from .report import Report
from .tables import Tables
from .tags import retag
from .thin import thin
from .trailer import Trailer
from .writer import PacketWriter, Writer, seed_of

__all__ = [
    "CorruptError",
    "FidelityRule",
    "FileInfo",
    "Following",
    "FormatError",
    "Header",
    "Kind",
    "Layout",
    "ModelError",
    "Packet",
    "PacketWriter",
    "Reader",
    "Report",
    "RvcError",
    "Tables",
    "Trailer",
    "UnsupportedError",
    "Writer",
    "info",
    "packet_bits",
    "repair",
    "retag",
    "seed_of",
    "thin",
]
