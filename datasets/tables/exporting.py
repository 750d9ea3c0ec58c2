"""A table of a version as CSV or Parquet. CSV is PostgreSQL's own: NULL is nothing, an empty text is `""`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets.tables.as_of import select_every_row
from datasets.tables.columns import ColumnAt, TableAt

BLOCK_BYTES = 1 << 16
_NUMBERS = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "boolean": "BOOLEAN",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "uuid": "UUID",
}
_TIMES = {
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
}
_DECIMAL = re.compile(r"numeric\((\d+),(\d+)\)")
DECIMAL_DIGITS_MAX = 38  # of Parquet


class NoParquet(Exception):
    """Parquet cannot be written here; the message says why."""


def iter_csv(cursor: Any, table: TableAt) -> Iterator[bytes]:
    """A line of names, then all rows by key, in blocks. Within a moment; the cursor is psycopg's, or Django's."""
    statement = f"COPY ({select_every_row(table)}) TO STDOUT (FORMAT csv, HEADER)"
    block = bytearray()
    with cursor.copy(statement) as copy:
        for piece in copy:
            block += piece
            if len(block) >= BLOCK_BYTES:
                yield bytes(block)
                block.clear()
    yield bytes(block)


def write_parquet(table: TableAt, csv: Path, target: Path) -> bool:
    """Makes a Parquet file of what `iter_csv` gave. Values that Parquet has no type for stay text. False: so do dates and
    times, since one of them is beyond what Parquet's hold. Raises NoParquet."""
    import duckdb  # it takes a second to load

    for with_times in (True, False):
        try:
            with duckdb.connect(config={"memory_limit": "512MB", "threads": 1}) as session:
                session.execute(_make_copy(table, csv, target, with_times=with_times))
        except duckdb.ConversionException as exc:
            if not with_times:
                raise NoParquet(str(exc).splitlines()[0]) from exc
        except duckdb.Error as exc:
            raise NoParquet(str(exc).splitlines()[0]) from exc
        else:
            return with_times
    return False


def _make_copy(table: TableAt, csv: Path, target: Path, *, with_times: bool) -> str:
    types = ", ".join(
        f"{_literal(column.name)}: {_literal(_parquet_type(column, with_times=with_times))}"
        for column in table.columns
    )
    return (
        f"COPY (SELECT * FROM read_csv({_literal(str(csv))}, columns = {{{types}}}, header = true,"
        " auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '',"
        " allow_quoted_nulls = false, max_line_size = 33554432, parallel = false))"
        f" TO {_literal(str(target))} (FORMAT parquet)"
    )


def _parquet_type(column: ColumnAt, *, with_times: bool) -> str:
    if (decimal := _DECIMAL.fullmatch(column.type)) is not None:
        digits, scale = map(int, decimal.groups())
        if scale <= digits <= DECIMAL_DIGITS_MAX:
            return f"DECIMAL({digits},{scale})"
    known = _NUMBERS | (_TIMES if with_times else {})
    return known.get(column.type, "VARCHAR")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
