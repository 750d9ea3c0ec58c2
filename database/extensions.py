"""Extensions that a database has, or has not: we may not be allowed to make them."""

from __future__ import annotations

from database.rows import Cursor


def has_extension(cursor: Cursor, name: str) -> bool:
    cursor.execute("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = %s)", [name])
    return bool(cursor.fetchone()[0])
