"""Database sessions of their own, for a worker's long work and for its heartbeat.

Neither shares Django's connection: the work's session carries temporary tables, and the heartbeat must
not wait for anything else.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import connection


def open_session(*, statement_timeout_s: float, name: str) -> psycopg.Connection[Any]:
    """An autocommit session with the timeouts that keep a stopped worker from blocking others."""
    parameters = connection.get_connection_params()
    ours = ("options", "client_encoding", "context", "cursor_factory", "prepare_threshold", "pool")
    return psycopg.connect(
        **{key: value for key, value in parameters.items() if key not in ours},
        application_name=name,
        autocommit=True,
        options=f"-c statement_timeout={int(statement_timeout_s * 1000)} -c lock_timeout=5s"
        " -c idle_in_transaction_session_timeout=20s -c timezone=UTC",
    )
