"""A time limit that holds: measuring in a process of its own, which is killed when it takes too long.

A codec of others may hang in compiled code, where no signal and no thread reaches it, or take its process down.
So a `Guard` keeps a helper process (`python -m eval.guard`) that does the measuring, gives it one clip at one
operating point at a time and kills it, with every program that it started, when the limit has passed. What the
helper had finished by then is kept: coding done but a metric hanging leaves the other metrics. The next piece of
work gets a new helper. Start-up does not count; loading a model in `Codec.prepare` does.

The two talk through the helper's standard input and output, by pickles with their length before them. It works
alike below joblib's processes, dask's workers (which may not have children of multiprocessing) and in this process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from eval.codecs import Codec
from eval.corpus import Clip
from eval.errors import EvalError, Unavailable
from eval.measure import Measurement, stages, unfinished
from eval.metrics import Metric

LENGTH = struct.Struct("<Q")
PARTIAL, DONE, UNAVAILABLE = "partial", "done", "unavailable"


class Guard:
    """Measures in a helper process, for at most `limit` seconds a piece."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._helper: subprocess.Popen[bytes] | None = None

    def measure(self, clip: Clip, codec: Callable[[], Codec], metrics: Sequence[Metric]) -> Measurement:
        """Like `eval.measure.measure` with the codec that `codec()` makes; what takes too long or dies is recorded."""
        helper = self._helper or self._start()
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            _kill(helper)

        known: Measurement | None = None
        timer = threading.Timer(self.limit, expire)
        timer.start()
        try:
            _send(helper.stdin, _pickled((clip, codec, tuple(metrics))))
            while True:
                what, content = pickle.loads(_receive(helper.stdout))
                if what == UNAVAILABLE:
                    raise Unavailable(content)
                if what == DONE:
                    return known or Measurement(error="CodecError: nothing came back")
                known = content
        except (EOFError, OSError):
            self.close()
            status = helper.wait()
            reason = f"stopped after {self.limit:g} s" if expired.is_set() else f"the process died, {_cause(status)}"
            if known is None:
                return Measurement(error=f"CodecError: {reason}")
            return unfinished(known, metrics, reason)
        finally:
            timer.cancel()

    def close(self) -> None:
        """Ends the helper process."""
        if self._helper is not None:
            _kill(self._helper)
            self._helper = None

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own, so that what it started can be killed with it.
        helper = subprocess.Popen(
            [sys.executable, "-m", "eval.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        self._helper = helper
        try:
            _receive(helper.stdout)  # it is ready
        except EOFError:
            self.close()
            raise EvalError("the process that measures does not start; `python -m eval.guard` says why") from None
        return helper

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main() -> int:
    """The helper: reads work from standard input until it ends."""
    # What a codec prints must not get among the answers: they keep the real standard output for themselves.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    _send(answers, b"ready")
    while True:
        try:
            clip, codec, metrics = pickle.loads(_receive(sys.stdin.buffer))
        except EOFError:
            return 0
        answer: tuple[str, object] = (DONE, None)
        try:
            for known in stages(clip, codec(), metrics):
                _send(answers, pickle.dumps((PARTIAL, known)))
        except Unavailable as error:
            answer = (UNAVAILABLE, str(error))
        _send(answers, pickle.dumps(answer))


def _pickled(work: object) -> bytes:
    """By value where a class or function cannot be imported by name, as joblib does it."""
    try:
        import cloudpickle
    except ImportError:  # joblib before 1.6 has its own
        from joblib.externals import cloudpickle
    pickled: bytes = cloudpickle.dumps(work)
    return pickled


def _send(stream: BinaryIO | Any, content: bytes) -> None:
    stream.write(LENGTH.pack(len(content)) + content)
    stream.flush()


def _receive(stream: BinaryIO | Any) -> bytes:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    content: bytes = stream.read(length)
    if len(content) < length:
        raise EOFError
    return content


def _kill(helper: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(helper.pid, signal.SIGKILL)
        else:
            helper.kill()


def _cause(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def _die_with(parent: int) -> None:
    """Ends the helper and its programs when the process that it serves is gone."""
    while os.getppid() == parent:
        time.sleep(2)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
