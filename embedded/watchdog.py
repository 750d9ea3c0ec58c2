"""Which of our processes are stuck as a whole: seen from outside, by the rows in which they tell of themselves.

Silence is counted on the watcher's own clock, from the last time that it saw a row move: neither a jump of
the database's clock nor a pause of the watcher makes anybody look silent. The look also writes. While
PostgreSQL does not answer it or takes no words, nobody can tell of himself, and nothing is ended.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import environ
import psycopg

from store.looking import Look

EVERY_S = 5.0
START_S = 180.0  # a process that has not told of itself yet is given so long
_WITHIN_S = 15.0  # a look that has no answer by then is a database that does not answer

# Rows of this machine, by the session that a supervisor's child leads; the youngest counts, because a web
# process that gunicorn has replaced leaves its row behind.
_LOOK = """
WITH noted AS (
  INSERT INTO syncjobs_pulse (part, at, holder) VALUES ('watchdog', now(), %(host)s)
  ON CONFLICT (part) DO UPDATE SET at = excluded.at, holder = excluded.holder)
SELECT session, max(seen_at) FROM syncjobs_processsign WHERE host = %(host)s GROUP BY session
"""

Rows = Mapping[int, datetime]  # by session: when it last told of itself


@dataclass(slots=True)
class Watch:
    """What a watcher has seen move. `now` is its own clock, in seconds."""

    silent_s: float
    start_s: float
    gap_s: float  # looks further apart say nothing of the time between
    _seen: dict[int, datetime] = field(default_factory=dict)
    _moved_at: dict[int, float] = field(default_factory=dict)
    _since: float | None = None  # from when on it has looked without a gap
    _looked_at: float = 0.0
    _has_looked: bool = False  # rows of the first look may be anybody's of long ago

    def note(self, rows: Rows | None, now: float) -> None:
        """What a look saw; None where the database did not answer."""
        if rows is None:
            self._since = None
            return
        if self._since is None or now - self._looked_at > self.gap_s:
            self._since = now
        self._looked_at = now
        for session, seen_at in rows.items():
            known = self._seen.get(session)
            if known != seen_at and (known is not None or self._has_looked):
                self._moved_at[session] = now
        self._seen.update(rows)
        self._has_looked = True

    def silence_s(self, session: int, started_at: float) -> float | None:
        """Returns how long the process has been silent if that is too long, else None."""
        if self._since is None:
            return None
        moved_at = self._moved_at.get(session, 0.0)
        told = moved_at > started_at
        silence_s = self._looked_at - max(moved_at, started_at, self._since)
        return silence_s if silence_s > (self.silent_s if told else self.start_s) else None


class Watchdog:
    """Looks by a thread of its own, so that a database that hangs holds up nobody."""

    def __init__(self, database_url: str, *, silent_s: float) -> None:
        self._look = Look("presence", lambda: look(database_url), within_s=_WITHIN_S)
        self._every_s = min(EVERY_S, silent_s / 5)
        self._watch = Watch(
            silent_s, max(silent_s, START_S), gap_s=max(silent_s / 2, self._every_s)
        )
        self._future: Future[Rows] | None = None
        self._next_at = self._begun_at = 0.0

    def silence_s(self, session: int, started_at: float) -> float | None:
        """Returns seconds where the process must be replaced. `started_at` is of `time.monotonic`."""
        return self._watch.silence_s(session, started_at)

    def turn(self) -> None:
        """Never waits: it begins a look, or takes its answer."""
        now = time.monotonic()
        if self._future is None:
            if now >= self._next_at:
                self._future, self._begun_at = self._look.begin(), now
                self._next_at = now + self._every_s
        elif self._future.done():
            self._watch.note(_answer(self._future), now)
            self._future = None
        elif now - self._begun_at > _WITHIN_S:
            self._watch.note(None, now)


def look(database_url: str) -> Rows:
    """Raises psycopg.Error where the database does not answer."""
    with closing(open_short_session(database_url)) as session:
        return dict(session.execute(_LOOK, {"host": socket.gethostname()}).fetchall())


def open_short_session(database_url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A session for one short question. Raises psycopg.Error."""
    address = environ.Env.db_url_config(database_url)
    return psycopg.connect(
        dbname=address["NAME"],
        user=address["USER"],
        password=address["PASSWORD"],
        host=address["HOST"],
        port=address["PORT"],
        autocommit=True,
        **{
            "application_name": "watchdog",
            "connect_timeout": 5,
            **address.get("OPTIONS", {}),  # sslmode and its like
            "options": "-c statement_timeout=5s -c lock_timeout=5s",
        },
    )


def _answer(future: Future[Rows]) -> Rows | None:
    try:
        return future.result()
    except (psycopg.Error, OSError):
        return None
