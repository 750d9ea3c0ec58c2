"""What a PostgreSQL database offers: its tables and views, with columns, keys and cursors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from database.rows import fetch_rows
from farends.errors import PermissionRefused, RootMissing
from farends.rows.contract import Column, CursorChoice, CursorOrder, Entity, EntityKind, KeyFrom
from farends.sql.guesses import find_key, rank_cursor, tells_changes
from farends.sql.postgresql.types import is_binary_safe, name_held_type

DEFAULT_SCHEMA = "public"
_TABLES = frozenset("rpf")
_AT_ONCE = 500
_TEXT_OID = 25

# Which relation has `xmin` in each of its rows: a heap, or a partitioned table of nothing but heaps.
_RELATIONS = """
SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       c.relkind = 'r' AND c.relhassubclass AS has_heirs,
       has_schema_privilege(n.oid, 'USAGE') AND
           (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT')) AS is_readable,
       CASE WHEN c.relkind = 'p' THEN
           (SELECT sum(greatest(l.reltuples, 0)) FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
             WHERE t.isleaf)
       ELSE c.reltuples END::float8 AS estimate,
       CASE WHEN c.relkind IN ('r', 'm') THEN EXISTS (SELECT FROM pg_am WHERE oid = c.relam AND amname = 'heap')
            WHEN c.relkind = 'p' THEN NOT EXISTS (
                SELECT FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
                  LEFT JOIN pg_am a ON a.oid = l.relam
                 WHERE t.isleaf AND l.relkind <> 'p' AND (l.relkind <> 'r' OR a.amname IS DISTINCT FROM 'heap'))
            ELSE false END AS has_xmin
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND """

# A domain's base type is found level by level (getBaseTypeAndTypmod of PostgreSQL).
_COLUMNS = """
SELECT a.attrelid::int8 AS relation, a.attname::text AS name, a.attnotnull AS is_required,
       format_type(a.atttypid, a.atttypmod) AS source_type, format_type(a.atttypid, NULL) AS plain_type,
       base.oid::int8 AS base_oid, format_type(base.oid, base.typmod) AS base_type, t.typname::text AS base_name,
       t.typnamespace = 'pg_catalog'::regnamespace AS is_built_in, t.typcategory::text AS category
  FROM pg_attribute a
 CROSS JOIN LATERAL (
       WITH RECURSIVE level(oid, typmod) AS (
            SELECT a.atttypid, a.atttypmod
             UNION ALL
            SELECT d.typbasetype, d.typtypmod FROM level JOIN pg_type d ON d.oid = level.oid AND d.typtype = 'd')
       SELECT level.oid, level.typmod FROM level JOIN pg_type l ON l.oid = level.oid AND l.typtype <> 'd') base
  JOIN pg_type t ON t.oid = base.oid
 WHERE a.attrelid = ANY (%s::int8[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
   AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
 ORDER BY a.attrelid, a.attnum"""

# Unique indexes over plain columns that are never NULL; the primary key first, then the narrowest.
_KEYS = """
SELECT i.indrelid::int8 AS relation, i.indisprimary AS is_primary,
       array_agg(a.attname::text ORDER BY place.n) AS columns
  FROM pg_index i
 CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS place(n)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[place.n]
 WHERE i.indrelid = ANY (%s::int8[]::oid[]) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
 GROUP BY i.indexrelid, i.indrelid, i.indisprimary, i.indnkeyatts
HAVING bool_and(a.attnotnull)
 ORDER BY i.indrelid, i.indisprimary DESC, i.indnkeyatts, i.indexrelid"""

_MOMENTS = frozenset({"timestamp", "timestamptz", "date"})
_COUNTERS = frozenset({"int4", "int8", "pg_lsn", "xid8"})


@dataclass(frozen=True, slots=True)
class Relation:
    oid: int
    schema: str
    name: str
    kind: str  # pg_class.relkind
    has_heirs: bool  # tables inherit from it: no index of its own covers their rows
    is_readable: bool
    estimate: float | None
    has_xmin: bool

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """`plain_type` is its type without a length; `base_…` are of what is below its domains."""

    relation: int
    name: str
    is_required: bool
    source_type: str
    plain_type: str
    base_oid: int
    base_type: str
    base_name: str
    is_built_in: bool
    category: str  # pg_type.typcategory

    @property
    def type(self) -> str:
        held = name_held_type(self.base_name, self.base_type) if self.is_built_in else None
        return held or "text"

    @property
    def is_cast(self) -> bool:
        """Whether the text of its values is read, and not the values."""
        return self.type == "text" and self.base_name != "text"

    @property
    def sent_oid(self) -> int:
        """The type whose binary form is read."""
        return _TEXT_OID if self.is_cast else self.base_oid

    @property
    def is_binary_safe(self) -> bool:
        return self.is_cast or is_binary_safe(self.base_name)

    @property
    def is_moment(self) -> bool:
        return self.is_built_in and self.base_name in _MOMENTS

    @property
    def tells_order(self) -> bool:
        """Whether it may tell which rows are new. `xmin` always means the system's own column."""
        counts = self.is_built_in and self.base_name in _COUNTERS
        return (self.is_moment or counts) and self.name != "xmin"

    @property
    def column(self) -> Column:
        return Column(self.name, self.source_type, self.type, not self.is_required)


@dataclass(frozen=True, slots=True)
class _Key:
    relation: int
    is_primary: bool
    columns: Sequence[str]


@dataclass(frozen=True, slots=True)
class Found:
    """A relation as it is now."""

    relation: Relation
    columns: Mapping[str, FoundColumn]
    key: tuple[str, ...]
    key_from: KeyFrom

    def to_entity(self, *, is_standby: bool) -> Entity:
        relation = self.relation
        told = (
            relation.estimate is not None and relation.estimate >= 0 and relation.kind not in "vf"
        )
        return Entity(
            name=relation.full_name,
            kind=EntityKind.TABLE if relation.kind in _TABLES else EntityKind.VIEW,
            spec={"schema": relation.schema, "table": relation.name},
            columns=tuple(found.column for found in self.columns.values()),
            key=self.key,
            key_from=self.key_from,
            cursors=tuple(_choose_cursors(self, is_standby=is_standby)),
            estimated_rows=round(relation.estimate or 0) if told else None,
        )


def list_relations(connection: psycopg.Connection[Any], prefix: str) -> list[Found]:
    """All that can be read here, by name. Partitions are a part of their table."""
    rows = connection.execute(
        _RELATIONS
        + "NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'"
        " AND starts_with(n.nspname || '.' || c.relname, %s)",
        [prefix],
    )
    relations = [one for one in fetch_rows(rows, Relation) if one.is_readable]
    relations.sort(key=lambda one: (one.full_name, one.schema))
    found: list[Found] = []
    for at in range(0, len(relations), _AT_ONCE):
        found += _look_at(connection, relations[at : at + _AT_ONCE])
    return found


def get_relation(connection: psycopg.Connection[Any], spec: Mapping[str, Any]) -> Found:
    """What a job's `entity` means. Raises RootMissing, PermissionRefused."""
    for schema, name in _places_of(spec):
        rows = connection.execute(
            _RELATIONS + "n.nspname = %s::text AND c.relname = %s::text", [schema, name]
        )
        relations = fetch_rows(rows, Relation)
        if relations and not relations[0].is_readable:
            raise PermissionRefused(f"this user may not read {relations[0].full_name}")
        if relations:
            return _look_at(connection, relations)[0]
    raise RootMissing(f"there is no table or view {_show(spec)}")


def _places_of(spec: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Schema and table that may be meant, the first first. A name that holds dots may be cut at any of them."""
    table, schema = str(spec.get("table") or ""), spec.get("schema")
    if "\0" in f"{schema}{table}":
        return
    if schema:
        yield str(schema), table
        return
    parts = table.split(".")
    if len(parts) == 1:
        yield DEFAULT_SCHEMA, table
    for cut in range(1, len(parts)):
        yield ".".join(parts[:cut]), ".".join(parts[cut:])


def _show(spec: Mapping[str, Any]) -> str:
    return (
        ".".join(str(spec[part]) for part in ("schema", "table") if spec.get(part)) or "of no name"
    )


def _look_at(connection: psycopg.Connection[Any], relations: Sequence[Relation]) -> list[Found]:
    oids = [relation.oid for relation in relations]
    columns: dict[int, dict[str, FoundColumn]] = defaultdict(dict)
    for column in fetch_rows(connection.execute(_COLUMNS, [oids]), FoundColumn):
        columns[column.relation][column.name] = column
    keys: dict[int, _Key] = {}
    for key in fetch_rows(connection.execute(_KEYS, [oids]), _Key):
        if set(key.columns) <= columns[key.relation].keys():  # else some of it may not be read
            keys.setdefault(key.relation, key)
    return [
        Found(relation, columns[relation.oid], *_judge_key(relation, columns, keys))
        for relation in relations
    ]


def _judge_key(
    relation: Relation,
    columns: Mapping[int, Mapping[str, FoundColumn]],
    keys: Mapping[int, _Key],
) -> tuple[tuple[str, ...], KeyFrom]:
    key = keys.get(relation.oid)
    if key is not None:
        origin = KeyFrom.PRIMARY if key.is_primary else KeyFrom.UNIQUE
        return tuple(key.columns), KeyFrom.PROPOSED if relation.has_heirs else origin
    guess = find_key(relation.name, columns[relation.oid])
    return guess, KeyFrom.PROPOSED if guess else KeyFrom.NONE


def _choose_cursors(found: Found, *, is_standby: bool) -> Iterable[CursorChoice]:
    """The first of them is proposed, unless it tells too little."""
    relation = found.relation
    by_xmin = relation.has_xmin and not is_standby
    if by_xmin:
        # A refresh of a materialised view may write all of its rows anew.
        yield CursorChoice(CursorOrder("xmin"), proposed=relation.kind in _TABLES)
    fields = [one for one in found.columns.values() if one.tells_order]
    fields.sort(key=_rank)
    for place, column in enumerate(fields):
        is_sure = column.is_moment and tells_changes(column.name)
        proposed = place == 0 and is_sure and not (by_xmin and relation.kind in _TABLES)
        yield CursorChoice(CursorOrder(column.name), proposed)


def _rank(column: FoundColumn) -> tuple[bool, int]:
    return (not column.is_moment, rank_cursor(column.name))
