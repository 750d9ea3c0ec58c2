"""Looks at something that may hang, in a thread of its own, and bounds the wait of its callers.

Only one look runs at a time. Callers who ask meanwhile share its answer: a hundred callers cost one session, and a
disk or server that never answers costs one thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Look(Generic[T]):
    def __init__(self, name: str, look: Callable[[], T], *, within_s: float) -> None:
        self._name = name
        self._look = look
        self._within_s = within_s
        self._lock = threading.Lock()
        self._future: Future[T] | None = None
        self._began_at = 0.0

    def begin(self) -> Future[T]:
        """Returns the running look, or starts one. A caller may begin several looks before it waits for the first."""
        with self._lock:
            if self._future is None or self._future.done():
                future = self._future = Future()
                self._began_at = time.monotonic()
                # A daemon thread: a look that hangs must not keep the process from ending.
                threading.Thread(
                    target=self._run, args=(future,), name=f"look at {self._name}", daemon=True
                ).start()
            return self._future

    def wait(self, future: Future[T]) -> T:
        """Raises TimeoutError, or what the look raised."""
        left_s = self._began_at + self._within_s - time.monotonic()
        return future.result(timeout=max(0.0, left_s))

    def _run(self, future: Future[T]) -> None:
        try:
            future.set_result(self._look())
        except BaseException as exc:  # noqa: BLE001 — it is raised where the answer is waited for
            future.set_exception(exc)
