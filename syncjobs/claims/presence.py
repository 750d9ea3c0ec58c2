"""Writes the sign of life of a worker, index, beat or web process, and for a worker also its load.

A thread of its own over a session of its own, like the heartbeat: whatever the records in work do, and
also with none in work. It is told by the database's clock alone. Nothing that goes wrong here may end
or hold up the process; the row then grows old, which is what watchdogs look for: a process whose
interpreter is stuck can tell nobody.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from django.conf import settings

from database.sessions import open_session
from datasets.installation import settle_here
from datasets.seeing import see_store
from datasets.store_room import see_room

log = structlog.get_logger(__name__)

WORKER, BEAT, WEB, INDEX = "worker", "beat", "web", "index"
FORGOTTEN_AFTER_S = 3600
_LEAVE_WITHIN_S = 3.0
_STDERR = 2

_TELL = """
WITH forgotten AS (
  DELETE FROM syncjobs_processsign WHERE name IN (
      SELECT name FROM syncjobs_processsign
       WHERE seen_at < now() - make_interval(secs => %(forgotten_s)s) AND name <> %(name)s FOR UPDATE SKIP LOCKED))
INSERT INTO syncjobs_processsign AS p
       (name, part, host, session, slots, running, draining, store_id, store_free_bytes, store_size_bytes, halted,
        started_at, seen_at)
VALUES (%(name)s, %(part)s, %(host)s, %(session)s, %(slots)s, %(running)s, %(draining)s, %(store)s,
        %(free_bytes)s, %(size_bytes)s, %(halted)s,
        now() - make_interval(secs => %(age_s)s), now())
ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, running = excluded.running,
  draining = excluded.draining, store_id = excluded.store_id, store_free_bytes = excluded.store_free_bytes,
  store_size_bytes = excluded.store_size_bytes, halted = excluded.halted, seen_at = excluded.seen_at
"""
_LEAVE = "DELETE FROM syncjobs_processsign WHERE name = %s"


@dataclass(frozen=True, slots=True)
class Load:
    running: int = 0  # records in work
    draining: bool = False  # no new one is taken


class Presence:
    """The row of one process, from `appear` to `leave`. Where `look` says None, the process is silent."""

    def __init__(
        self,
        name: str,
        slots: int = 0,
        look: Callable[[], Load | None] = Load,
        *,
        part: str = WORKER,
    ) -> None:
        self._name = name
        self._slots = slots
        self._look = look
        self._part = part
        self._born = time.monotonic()
        self._wake = threading.Event()
        self._leaving = False
        self._thread: threading.Thread | None = None
        self._session: psycopg.Connection[Any] | None = None

    def appear(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name=f"presence {self._name}", daemon=True
            )
            self._thread.start()

    def tell_now(self) -> None:
        """What changed is told at once, and not at the next turn."""
        self._wake.set()

    def leave(self) -> None:
        """A clean end takes the row away; waits a little for that, never for ever."""
        self._leaving = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_LEAVE_WITHIN_S)

    def _run(self) -> None:
        while not self._leaving:
            self._try_to(self._tell)
            self._wake.wait(settings.SYNC.presence_s)
            self._wake.clear()
        self._try_to(self._forget)
        self._close()

    def _try_to(self, write: Callable[[psycopg.Connection[Any]], None]) -> None:
        try:
            if self._session is None:
                self._session = open_session(statement_timeout_s=5, name="presence")
            write(self._session)
        except psycopg.Error as exc:
            log.warning("presence.failed", error=str(exc).partition("\n")[0])
            self._close()
        except Exception:  # no file descriptors, no memory: the next turn tries again
            log.exception("presence.crashed")
            self._close()

    def _tell(self, session: psycopg.Connection[Any]) -> None:
        load = self._look()
        if load is None:
            return
        store_id = see_store()
        room = None if store_id is None else see_room()
        session.execute(
            _TELL,
            {
                "name": self._name,
                "part": self._part,
                "host": socket.gethostname(),
                "session": os.getsid(0),
                "slots": self._slots,
                "running": load.running,
                "draining": load.draining,
                "store": store_id,
                "free_bytes": room.free_bytes if room else None,
                "size_bytes": room.size_bytes if room else None,
                "halted": settle_here(session.cursor()) or "",
                "age_s": time.monotonic() - self._born,
                "forgotten_s": FORGOTTEN_AFTER_S,
            },
        )

    def _forget(self, session: psycopg.Connection[Any]) -> None:
        session.execute(_LEAVE, [self._name])

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def name_process() -> str:
    """No other process has the same, not even a later one with this pid."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"


def tell_where_it_hangs() -> None:
    """From now on a watchdog's signal, which comes before it ends the process, writes the stacks of all
    threads to stderr: without the interpreter, which may be what hangs."""
    faulthandler.register(signal.SIGRTMIN, file=_STDERR, all_threads=True)
