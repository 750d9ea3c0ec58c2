"""Reads the database's clock. All leases use it."""

from __future__ import annotations

from datetime import datetime

from django.db import connection


def database_now() -> datetime:
    """Returns the database's time; within a transaction, the time of its beginning."""
    return _ask("SELECT now()")


def database_instant() -> datetime:
    """The same, within a transaction too: for who has waited for a lock."""
    return _ask("SELECT clock_timestamp()")


def _ask(statement: str) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row: tuple[datetime] = cursor.fetchone()
    return row[0]
