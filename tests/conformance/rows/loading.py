"""Loads chunks as the product does: by COPY into a table of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from farends.rows.contract import Chunk, Encoding

_HEADER, _TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


class Loader:
    """Its table lives for one load: a transaction that stays open would hold back the sources' `xmin`."""

    def __init__(self, session: psycopg.Connection[Any]) -> None:
        self._session = session

    def load(self, chunks: Iterable[Chunk]) -> list[dict[str, str | None]]:
        """The rows of these chunks, in their order and as PostgreSQL prints them; the last chunk's columns are those of
        the table."""
        given = list(chunks)
        if not any(chunk.rows for chunk in given):
            return []
        with self._session.transaction(force_rollback=True):
            return self._load(given)

    def _load(self, given: list[Chunk]) -> list[dict[str, str | None]]:
        columns = given[-1].columns
        described = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type))
            for column in columns
        )
        self._session.execute(sql.SQL("CREATE TEMP TABLE loaded ({})").format(described))
        for chunk in given:
            self._copy(chunk)
        cells = sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in columns
        )
        rows = self._session.execute(sql.SQL("SELECT {} FROM loaded ORDER BY ctid").format(cells))
        names = [column.name for column in columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _copy(self, chunk: Chunk) -> None:
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in chunk.columns)
        form = sql.SQL(chunk.encoding.value)
        statement = sql.SQL("COPY loaded ({}) FROM STDIN (FORMAT {})").format(names, form)
        data = b"".join(chunk.rows)
        if chunk.encoding is Encoding.BINARY:
            data = _HEADER + data + _TRAILER
        with self._session.cursor().copy(statement) as copy:
            copy.write(data)
