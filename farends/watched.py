"""A session with PostgreSQL whose waits end when the work ends, and when the server falls silent."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg import pq

from farends.errors import Stalled

Result = TypeVar("Result")

_SLICE_S = 0.2  # how often it is looked whether the work is over
_CANCEL_S = 0.5


class WatchedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose every wait looks several times a second whether the work is over, and ends as Stalled
    after `idle_s` of silence. What ends a wait so cancels the statement and closes the connection.

    Its errors are psycopg's, for whoever uses it to map; `Stalled` and what `check` raises pass as they are.
    """

    idle_s: float = 0.0  # 0: no limit; may be set at any time
    can_cancel = True  # whether the server can be asked by a second connection
    _check: Callable[[], None] = staticmethod(lambda: None)
    _moved: Callable[[], None] = staticmethod(lambda: None)
    _closers: tuple[Callable[[], None], ...] = ()

    def follow(self, check: Callable[[], None], moved: Callable[[], None]) -> None:
        """`check` raises when the work is over; `moved` is told of each sign of life of the server."""
        self._check, self._moved = check, moved

    def when_closed(self, close: Callable[[], None]) -> None:
        """Closes also what the connection stands on."""
        self._closers = (*self._closers, close)

    def wait(
        self,
        gen: Generator[Any, Any, Result],
        interval: float = _SLICE_S,
        timeout: float | None = None,
    ) -> Result:
        try:
            return self._watch(gen)
        except psycopg.Error:
            raise
        except BaseException:
            self.abandon()
            raise

    def _watch(self, gen: Generator[Any, Any, Result]) -> Result:
        try:
            wanted = next(gen)
            waiting = select.poll()
            quiet_since = time.monotonic()
            while True:
                ready = poll_socket(waiting, self.pgconn.socket, wanted)
                self._check()
                if ready:
                    quiet_since = time.monotonic()
                    self._moved()
                    wanted = gen.send(ready)
                elif self.idle_s and time.monotonic() - quiet_since >= self.idle_s:
                    raise Stalled(f"the server was silent for {self.idle_s:g} s")
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a generator's result is untyped in StopIteration

    def abandon(self) -> None:
        """Cancels what is at work, and closes."""
        if not self.closed and self.can_cancel:
            busy = (pq.TransactionStatus.ACTIVE, pq.TransactionStatus.UNKNOWN)
            if self.pgconn.transaction_status in busy:
                with contextlib.suppress(psycopg.Error):
                    self.cancel_safe(timeout=_CANCEL_S)
        self.close()

    def close(self) -> None:
        super().close()
        closers, self._closers = self._closers, ()
        for close in closers:
            close()


def poll_socket(waiting: select.poll, fileno: int, wanted: int) -> int:
    """Which of what is wanted (psycopg.waiting.Wait) is ready (Ready: the same numbers); 0: nothing yet."""
    waiting.register(
        fileno, (select.POLLIN if wanted & 1 else 0) | (select.POLLOUT if wanted & 2 else 0)
    )
    ready = 0
    for _, events in waiting.poll(_SLICE_S * 1000):
        ended = events & (select.POLLERR | select.POLLHUP | select.POLLNVAL)
        ready |= wanted if ended else 0
        ready |= 1 if events & select.POLLIN else 0
        ready |= 2 if events & select.POLLOUT else 0
    return ready
