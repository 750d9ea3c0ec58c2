"""Where a table lies in a PostgreSQL database: the names of its relation, its staging and its history.

The relation's columns are named by `farends.rows.names`. Statements that carry such names are made of literals alone
and never of parameters: a name may hold `%s`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from database.rows import fetch_rows
from farends.errors import ProtocolViolation
from farends.rows.names import make_name

STAGING, HISTORY_SCHEMA, STATE = "syncproject_staging", "syncproject_history", "syncproject"
DELETED_AT = (
    "_deleted_at"  # when the source was found to lack the row, where the job marks such rows
)
# Columns of ours; a source's column of such a name gets another.
RESERVED = frozenset({"_version", "_change", "_segment", "_path", "_line", "_row", DELETED_AT})

# As `format_type` writes types. A source's words go into DDL, so nothing else may.
_TYPE = re.compile(
    r'("char"|[a-z][a-z0-9_]*( [a-z]+)*(\(\d{1,6}(,-?\d{1,6})?\))?( [a-z]+)*(\(\d\))?)(\[\])*\Z'
)

# Each value has one text only, whoever asks.
_SETTINGS = """
SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex';
SET extra_float_digits = 1; SET xmloption = 'content'; SET client_min_messages = 'warning'
"""

Sql = sql.Composable


@dataclass(frozen=True, slots=True)
class TablePlace:
    """Names of one table's relation, and of what belongs to it, in the database that it lies in."""

    table_id: uuid.UUID
    schema: str
    relation: str

    @property
    def rows(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.relation)

    @property
    def staged(self) -> sql.Identifier:
        return sql.Identifier(STAGING, f"s_{self.table_id.hex}")

    @property
    def swept(self) -> sql.Identifier:
        """The keys of all rows of the source."""
        return sql.Identifier(STAGING, f"k_{self.table_id.hex}")

    @property
    def history(self) -> sql.Identifier:
        return sql.Identifier(HISTORY_SCHEMA, f"h_{self.table_id.hex}")


@dataclass(frozen=True, slots=True)
class RelationColumn:
    """A column as the database has it."""

    name: str
    type: str
    required: bool  # NOT NULL, or of the primary key


def set_up(session: psycopg.Connection[Any]) -> None:
    """Makes each value's text the same as everywhere else. Call it once for a session."""
    session.execute(_SETTINGS)


def name_schema(workspace_name: str, workspace_id: uuid.UUID) -> str:
    """The home schema of a workspace whose first table is made."""
    slug = re.sub(r"[^a-z0-9]+", "_", workspace_name.lower()).strip("_")[:40]
    return make_name(f"w_{slug}_{workspace_id.hex[:6]}" if slug else f"w_{workspace_id.hex[:6]}")


def type_sql(name: str) -> sql.SQL:
    """Raises ProtocolViolation for what is not the name of a type."""
    if not _TYPE.match(name):
        raise ProtocolViolation(f"the source names a type that cannot be one: {name[:80]!r}")
    return sql.SQL(name)


def names_sql(names: Iterable[str], alias: str = "") -> sql.Composed:
    """Names with commas between them, each behind the alias."""
    before = sql.SQL(f"{alias}." if alias else "")
    return sql.SQL(", ").join(sql.Composed([before, sql.Identifier(name)]) for name in names)


def list_columns_of(
    cursor: psycopg.Cursor[Any], schema: str, relation: str
) -> list[RelationColumn]:
    """Columns of the relation in their order; none where there is no such relation."""
    cursor.execute(
        """
        SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p') AND a.attnum > 0
           AND NOT a.attisdropped
         ORDER BY a.attnum
        """,
        [schema, relation],
    )
    return fetch_rows(cursor, RelationColumn)


def has_unique_key(
    cursor: psycopg.Cursor[Any], schema: str, relation: str, key: Sequence[str]
) -> bool:
    """Whether an index of the relation proves that no two rows have one key."""
    cursor.execute(
        """
        SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %s AND c.relname = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
           AND i.indexprs IS NULL
           AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a
                 WHERE a.attrelid = i.indrelid
                   AND a.attnum = ANY((i.indkey::smallint[])[0:i.indnkeyatts - 1]))
               = (SELECT array_agg(k ORDER BY k) FROM unnest(%s::text[]) k)
         LIMIT 1
        """,
        [schema, relation, list(key)],
    )
    return cursor.fetchone() is not None


def create_schema(cursor: psycopg.Cursor[Any], name: str) -> None:
    """Makes a schema where there is none: who may not create schemas may still use what is there."""
    cursor.execute("SELECT to_regnamespace(quote_ident(%s))", [name])
    [found] = cursor.fetchone() or [None]
    if found is None:
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
