"""Matrix products on one thread: those of the context network are small, and threads that wait for work take more time
than they save.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def one_thread(work: Callable[P, R]) -> Callable[P, R]:
    """The function, with numpy's matrix products on one thread while it runs."""

    @wraps(work)
    def alone(*arguments: P.args, **named: P.kwargs) -> R:
        with _limit():
            return work(*arguments, **named)

    return alone


class _Limit:
    """The number of threads is the whole process's: the first to come in sets it, the last to leave puts it back."""

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController

        self._libraries = ThreadpoolController().select(user_api="blas")
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._set = self._libraries.limit(limits=1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._set.restore_original_limits()


@cache
def _limit() -> _Limit:
    return _Limit()
