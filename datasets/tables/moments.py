"""One moment of a database that holds tables: all that is read within belongs together, and every value is printed the
same way, whatever the session had said before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from database.rows import Cursor
from datasets.reading import one_moment

# Whoever wrote an image has printed it so, too.
PRINTED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
PAGE_S = 30.0
_SET = "SELECT " + ", ".join(f"set_config('{name}', %({name})s, true)" for name in PRINTED)


@contextmanager
def moment_of_home(*, longest_s: float = PAGE_S) -> Iterator[Cursor]:
    """A moment of the home database. A statement may take so long; 0: as long as it takes."""
    with one_moment(), connection.cursor() as cursor:
        print_alike(cursor)
        limit_statements(cursor, longest_s)
        yield cursor


@contextmanager
def moment_of(session: psycopg.Connection[Any], *, longest_s: float = PAGE_S) -> Iterator[Cursor]:
    """A moment of another database, in a session that is in no transaction."""
    with session.transaction(), session.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        print_alike(cursor)
        limit_statements(cursor, longest_s)
        yield cursor


def print_alike(cursor: Cursor) -> None:
    """Until the transaction ends."""
    cursor.execute(_SET, PRINTED)


def limit_statements(cursor: Cursor, longest_s: float) -> None:
    cursor.execute(
        "SELECT set_config('statement_timeout', %s, true)", [str(round(longest_s * 1000))]
    )
