"""One moment of a database that holds tables: all that is read within belongs together, and every value is printed the
same way, whatever the session had said before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection, transaction

from database.rows import Cursor

# Whoever wrote an image has printed it so, too.
PRINTED = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres';"
    " SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1"
)
PAGE_S = 30.0
_MOMENT = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; {printed};"
    " SET LOCAL statement_timeout = {timeout_ms}"
)


@contextmanager
def moment_of_home(*, longest_s: float = PAGE_S) -> Iterator[Cursor]:
    """A moment of the home database. A statement may take so long; 0: as long as it takes."""
    with transaction.atomic(), connection.cursor() as cursor:
        _begin(cursor, longest_s)
        yield cursor


@contextmanager
def moment_of(session: psycopg.Connection[Any], *, longest_s: float = PAGE_S) -> Iterator[Cursor]:
    """A moment of another database, in a session that is in no transaction."""
    with session.transaction(), session.cursor() as cursor:
        _begin(cursor, longest_s)
        yield cursor


def print_alike(cursor: Cursor) -> None:
    """Until the transaction ends."""
    cursor.execute(PRINTED)


def _begin(cursor: Cursor, longest_s: float) -> None:
    cursor.execute(_MOMENT.format(printed=PRINTED, timeout_ms=round(longest_s * 1000)))
