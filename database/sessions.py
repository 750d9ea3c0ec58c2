"""Database sessions of their own, for a worker's long work and for its heartbeat.

Neither shares Django's connection: the work's session carries temporary tables, and the heartbeat must
not wait for anything else.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import connection


class LazySession:
    """A session that is opened when it is first asked for, for what must be durable only once something
    later is: its commits do not wait for the disk. Whoever commits after it, and waits, has flushed its
    words too, so a version never names what a crash could take away; a receipt that is lost costs a fetch.
    """

    def __init__(self, *, statement_timeout_s: float, name: str) -> None:
        self._statement_timeout_s = statement_timeout_s
        self._name = name
        self._session: psycopg.Connection[Any] | None = None

    def __call__(self) -> psycopg.Connection[Any]:
        if self._session is None:
            self._session = open_session(
                statement_timeout_s=self._statement_timeout_s, name=self._name, waits=False
            )
        return self._session

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


def open_session(
    *, statement_timeout_s: float, name: str, waits: bool = True
) -> psycopg.Connection[Any]:
    """An autocommit session with the timeouts that keep a stopped worker from blocking others. With
    `waits` a commit returns when it is on disk."""
    parameters = connection.get_connection_params()
    ours = ("options", "client_encoding", "context", "cursor_factory", "prepare_threshold", "pool")
    return psycopg.connect(
        **{key: value for key, value in parameters.items() if key not in ours},
        application_name=name,
        autocommit=True,
        options=f"-c statement_timeout={int(statement_timeout_s * 1000)} -c lock_timeout=5s"
        " -c idle_in_transaction_session_timeout=20s -c timezone=UTC"
        + ("" if waits else " -c synchronous_commit=off"),
    )
