"""The `ravecodec` command. One module a sub-command; each imports what is heavy only when it runs.

Exit status: 0 all is well; 1 an error in the data or the files; 2 wrong usage; 3 decoded, but parts of the file were
damaged and stand concealed in the sound; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ravecodec import __version__
from ravecodec.cli import (
    ablate,
    bench,
    calibrate,
    compare,
    decode,
    encode,
    info,
    models,
    prepare,
    repair,
    sweep,
    tag,
    thin,
    train,
    verify,
)
from ravecodec.cli.common import report

COMMANDS = (
    *(encode, decode, info, verify, repair, thin, tag, models, prepare, train, calibrate),
    *(sweep, compare, ablate, bench),
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; every sub-command sets `run`, a function of the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog="ravecodec",
        description="A neural audio codec for 48 kHz sound.",
        epilog="Exit status: 0 done; 1 error; 2 wrong usage; 3 decoded with damage concealed; 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"ravecodec {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        left = "what was written can be decoded" if getattr(arguments, "live", False) else "nothing unfinished is left"
        report(f"interrupted; {left}")
        return 130
    except BrokenPipeError:  # `ravecodec info x.rvc | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _failed(error, getattr(arguments, "input", None))


def _failed(error: Exception, file: str | None) -> int:
    from ravecodec.errors import UsageError, one_line

    report(one_line(error, file))
    if os.environ.get("RAVECODEC_DEBUG"):
        raise error
    if not _expected(error):
        report(f"this is a fault of ravecodec ({type(error).__name__}); set RAVECODEC_DEBUG=1 to see where")
    return 2 if isinstance(error, UsageError) else 1


def _expected(error: Exception) -> bool:
    from bitstream.errors import RvcError
    from ravecodec.errors import RaveCodecError

    if isinstance(error, (RaveCodecError, RvcError, OSError, MemoryError, ModuleNotFoundError)):
        return True
    return type(error).__module__.partition(".")[0] == "eval"
