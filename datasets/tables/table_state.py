"""The fence of a table that lies in another database, and what was committed there: rows and words in one transaction.

The home database keeps a copy. Where the answer to a commit was lost, the other database still knows it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from database.rows import fetch_row
from datasets.fencing import Fenced
from datasets.tables.place import STATE, create_schema

_MAKE = f"""
CREATE TABLE IF NOT EXISTS {STATE}.table_state (table_id uuid PRIMARY KEY, token bigint NOT NULL, record_id uuid,
    version integer, mark jsonb, counts jsonb)
"""
_TAKE = f"""
INSERT INTO {STATE}.table_state AS s (table_id, token) VALUES (%(table)s, %(token)s)
ON CONFLICT (table_id) DO UPDATE SET token = excluded.token WHERE s.token <= excluded.token
RETURNING record_id, version, counts AS report
"""
_CHECK = (
    f"SELECT 1 FROM {STATE}.table_state WHERE table_id = %(table)s AND token = %(token)s FOR UPDATE"
)
_WRITE = f"""
UPDATE {STATE}.table_state SET record_id = %(record)s, version = coalesce(%(version)s, version), mark = %(mark)s,
       counts = %(report)s WHERE table_id = %(table)s
"""
_NOTE = f"UPDATE {STATE}.table_state SET counts = %(report)s WHERE table_id = %(table)s"
_SETTLE_ROLLBACK = f"""
UPDATE {STATE}.table_state SET counts = NULL WHERE counts -> 'rollback' ->> 'report_id' = %s
"""
_SETTLE = (
    f"UPDATE {STATE}.table_state SET counts = NULL WHERE table_id = %(table)s AND token = %(token)s"
)


@dataclass(frozen=True, slots=True)
class CommittedState:
    """What the last attempt that committed left. `report` is what the home database has to be told; None: it knows."""

    record_id: uuid.UUID | None
    version: int | None
    report: dict[str, Any] | None


class PlaceFence:
    """Keeps workers of older claims from one table of another database."""

    def __init__(self, table_id: uuid.UUID, token: int) -> None:
        self._parameters = {"table": table_id, "token": token}

    def take(self, session: psycopg.Connection[Any]) -> CommittedState:
        """Call it before anything else is done there. Raises Fenced."""
        with session.transaction(), session.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [f"{STATE}.table_state"])
            [found] = cursor.fetchone() or [None]
            if found is None:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [STATE])
                create_schema(cursor, STATE)
                cursor.execute(_MAKE)
            cursor.execute(_TAKE, self._parameters)
            state = fetch_row(cursor, CommittedState)
        if state is None:
            raise Fenced("another worker has claimed this table")
        return state

    def check(self, cursor: psycopg.Cursor[Any]) -> None:
        """Within a transaction: nobody else takes the table before it ends. Raises Fenced."""
        cursor.execute(_CHECK, self._parameters)
        if cursor.fetchone() is None:
            raise Fenced("another worker has claimed this table")

    def write(
        self,
        cursor: psycopg.Cursor[Any],
        *,
        record_id: uuid.UUID | None,
        version: int | None,
        mark: dict[str, Any] | None,
        report: dict[str, Any],
    ) -> None:
        """In the transaction of the rows: what the home database is to be told of them."""
        cursor.execute(
            _WRITE,
            {
                **self._parameters,
                "record": record_id,
                "version": version,
                "mark": None if mark is None else Jsonb(mark),
                "report": Jsonb(report),
            },
        )

    def note(self, cursor: psycopg.Cursor[Any], report: dict[str, Any]) -> None:
        """In the transaction of another table's rows: who takes this table first tells the home database of them."""
        cursor.execute(_NOTE, {**self._parameters, "report": Jsonb(report)})

    def settle(self, session: psycopg.Connection[Any]) -> None:
        """The home database knows it."""
        session.execute(_SETTLE, self._parameters)


def settle_report(session: psycopg.Connection[Any], report_id: uuid.UUID) -> None:
    """The home database knows of this rollback; whoever has taken its tables meanwhile."""
    session.execute(_SETTLE_ROLLBACK, [str(report_id)])
