"""What a MySQL or MariaDB database offers: its tables and views, with columns, keys and cursors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farends.errors import PermissionRefused, RootMissing
from farends.rows.contract import Column, CursorChoice, CursorOrder, Entity, EntityKind, KeyFrom
from farends.sql.guesses import find_key, rank_cursor, tells_changes
from farends.sql.mysql.connection import MysqlSession
from farends.sql.mysql.types import MysqlColumn, literal

_SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")
_RELATIONS = """
SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, t.TABLE_ROWS, CAST(t.CREATE_TIME AS CHAR), t.ENGINE
  FROM information_schema.TABLES t WHERE t.TABLE_TYPE IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED') AND """
_COLUMNS = """
SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, LOWER(c.DATA_TYPE), LOWER(c.COLUMN_TYPE), c.IS_NULLABLE,
       c.NUMERIC_PRECISION, c.NUMERIC_SCALE
  FROM information_schema.COLUMNS c WHERE {} ORDER BY c.TABLE_SCHEMA, c.TABLE_NAME, c.ORDINAL_POSITION"""
# A unique index over whole columns; whether they may be NULL is looked up beside.
_KEYS = """
SELECT s.TABLE_SCHEMA, s.TABLE_NAME, s.INDEX_NAME, s.COLUMN_NAME, s.SUB_PART
  FROM information_schema.STATISTICS s WHERE s.NON_UNIQUE = 0 AND {}
 ORDER BY s.TABLE_SCHEMA, s.TABLE_NAME, s.INDEX_NAME <> 'PRIMARY', s.INDEX_NAME, s.SEQ_IN_INDEX"""
_CHECKS = """
SELECT c.CONSTRAINT_SCHEMA, c.TABLE_NAME, c.CONSTRAINT_NAME, c.CHECK_CLAUSE
  FROM information_schema.CHECK_CONSTRAINTS c WHERE {} AND c.LEVEL = 'Column'"""

Place = tuple[str, str]  # schema and name


@dataclass(frozen=True, slots=True)
class MysqlRelation:
    """A table or view as it is now. `made_at` is when the table got its file: a TRUNCATE makes a new one."""

    schema: str
    name: str
    is_view: bool
    estimate: int | None
    made_at: str
    columns: Mapping[str, MysqlColumn]
    key: tuple[str, ...]
    key_from: KeyFrom

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    def to_entity(self) -> Entity:
        return Entity(
            name=self.full_name,
            kind=EntityKind.VIEW if self.is_view else EntityKind.TABLE,
            spec={"schema": self.schema, "table": self.name},
            columns=tuple(tell_column(one) for one in self.columns.values()),
            key=self.key,
            key_from=self.key_from,
            cursors=tuple(self._cursors()),
            estimated_rows=None if self.is_view else self.estimate,
        )

    def _cursors(self) -> Iterable[CursorChoice]:
        fields = [one for one in self.columns.values() if one.is_moment or one.counts_up]
        fields.sort(key=lambda one: (not one.is_moment, rank_cursor(one.name)))
        for place, column in enumerate(fields):
            is_sure = column.is_moment and tells_changes(column.name)
            yield CursorChoice(CursorOrder(column.name), proposed=place == 0 and is_sure)


def tell_column(found: MysqlColumn) -> Column:
    return Column(found.name, found.column_type, found.type, found.is_nullable)


def list_mysql_relations(session: MysqlSession, prefix: str) -> list[MysqlRelation]:
    """All that can be read here, by name."""
    system = ", ".join(map(literal, _SYSTEM))
    starts = (
        f"LEFT(CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), {len(prefix)}) = BINARY {literal(prefix)}"
    )
    found = _look(session, f"TABLE_SCHEMA NOT IN ({system})" + (f" AND {starts}" if prefix else ""))
    return sorted(found, key=lambda one: (one.full_name, one.schema))


def get_mysql_relation(
    session: MysqlSession, spec: Mapping[str, Any], default_schema: str
) -> MysqlRelation:
    """What a job's `entity` means. Raises RootMissing, PermissionRefused."""
    for schema, name in _places_of(spec, default_schema):
        found = _look(session, f"TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(name)}")
        if found and not found[0].columns:
            raise PermissionRefused(f"this user may not read {found[0].full_name}")
        if found:
            return found[0]
    shown = ".".join(str(spec[part]) for part in ("schema", "table") if spec.get(part))
    raise RootMissing(f"there is no table or view {shown or 'of no name'}")


def _places_of(spec: Mapping[str, Any], default_schema: str) -> Iterable[Place]:
    """Schema and table that may be meant, the first first."""
    table, schema = str(spec.get("table") or ""), spec.get("schema")
    if "\0" in f"{schema}{table}":
        return
    if schema:
        yield str(schema), table
        return
    before, dot, after = table.partition(".")
    if dot:
        yield before, after
    yield default_schema, table


def _look(session: MysqlSession, condition: str) -> list[MysqlRelation]:
    relations = session.ask(_RELATIONS + condition.replace("TABLE_", "t.TABLE_"))
    columns = _find_columns(session, condition)
    keys = _find_keys(session, condition, columns)
    made = []
    for schema, name, kind, estimate, made_at, _engine in relations:
        held = columns.get((schema, name), {})
        if (schema, name) in keys:
            is_primary, names = keys[schema, name]
            key, key_from = names, KeyFrom.PRIMARY if is_primary else KeyFrom.UNIQUE
        else:
            key = find_key(name, held)
            key_from = KeyFrom.PROPOSED if key else KeyFrom.NONE
        made.append(
            MysqlRelation(
                schema, name, kind == "VIEW", estimate, made_at or "", held, key, key_from
            )
        )
    return made


def _find_columns(session: MysqlSession, condition: str) -> dict[Place, dict[str, MysqlColumn]]:
    checks = _find_checks(session, condition)
    found: dict[Place, dict[str, MysqlColumn]] = defaultdict(dict)
    for schema, table, name, kind, full, nullable, precision, scale in session.ask(
        _COLUMNS.format(condition.replace("TABLE_", "c.TABLE_"))
    ):
        found[schema, table][name] = MysqlColumn(
            name,
            kind,
            full,
            nullable == "YES",
            precision,
            scale,
            checks.get((schema, table, name), ""),
        )
    return found


def _find_checks(session: MysqlSession, condition: str) -> dict[tuple[str, str, str], str]:
    """MariaDB's JSON is a text with a check; MySQL has a type, and tells checks otherwise."""
    if "MariaDB" not in session.server_version_text:
        return {}
    told = condition.replace("TABLE_SCHEMA", "c.CONSTRAINT_SCHEMA").replace(
        "TABLE_NAME", "c.TABLE_NAME"
    )
    rows: Sequence[tuple[Any, ...]] = session.ask(_CHECKS.format(told))
    return {(schema, table, name): clause for schema, table, name, clause in rows}


def _find_keys(
    session: MysqlSession,
    condition: str,
    columns: Mapping[Place, Mapping[str, MysqlColumn]],
) -> dict[Place, tuple[bool, tuple[str, ...]]]:
    indexes: dict[tuple[Place, str], list[tuple[str, Any]]] = defaultdict(list)
    for schema, table, index, name, part in session.ask(
        _KEYS.format(condition.replace("TABLE_", "s.TABLE_"))
    ):
        indexes[(schema, table), index].append((name, part))
    found: dict[Place, tuple[bool, tuple[str, ...]]] = {}
    for (place, index), parts in indexes.items():
        held = columns.get(place, {})
        whole = all(
            part is None and name in held and not held[name].is_nullable for name, part in parts
        )
        if whole and place not in found:
            found[place] = (index == "PRIMARY", tuple(name for name, _ in parts))
    return found
