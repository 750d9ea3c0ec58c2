"""Writes a plan into a table: columns first, then images of what changes, then the rows that differ and no others.

All of it happens in the caller's transaction. The relation is never dropped or swapped: what hangs on it stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from datasets.tables.adopting import adopt_staged
from datasets.tables.dependent_views import set_views_aside
from datasets.tables.place import (
    DELETED_AT,
    HISTORY_SCHEMA,
    Sql,
    TablePlace,
    create_schema,
    has_unique_key,
    list_columns_of,
    names_sql,
    type_sql,
)
from datasets.tables.row_plan import (
    ColumnLink,
    TableLayout,
    cast_staged,
    match_change,
    match_staged,
)

_HAS_REFERENCES = """
SELECT 1 FROM pg_constraint k JOIN pg_class c ON c.oid IN (k.conrelid, k.confrelid)
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE k.contype = 'f' AND n.nspname = %s AND c.relname = %s LIMIT 1
"""
_TUNING = (
    "SET LOCAL work_mem = '64MB'; SET LOCAL maintenance_work_mem = '64MB'; SET LOCAL jit = off"
)


def create_filled(cursor: psycopg.Cursor[Any], layout: TableLayout) -> None:
    """Makes the relation with all staged rows in it, then its key. Raises UniqueViolation where the key is none."""
    cursor.execute(_TUNING)
    create_schema(cursor, layout.place.schema)
    if adopt_staged(cursor, layout):
        if layout.marks:
            cursor.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} timestamptz").format(
                    layout.place.rows, sql.Identifier(DELETED_AT)
                )
            )
    else:
        _create_copied(cursor, layout)
    _add_key(cursor, layout)


def _create_copied(cursor: psycopg.Cursor[Any], layout: TableLayout) -> None:
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(link.name), type_sql(link.type))
        for link in layout.links
    ]
    if layout.marks:
        columns.append(sql.SQL("{} timestamptz").format(sql.Identifier(DELETED_AT)))
    cursor.execute(
        sql.SQL("CREATE TABLE {} ({})").format(layout.place.rows, sql.SQL(", ").join(columns))
    )
    cursor.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} i").format(
            layout.place.rows,
            names_sql([link.name for link in layout.links]),
            sql.SQL(", ").join(cast_staged(link) for link in layout.links),
            layout.place.staged,
        )
    )


def need_key(cursor: psycopg.Cursor[Any], layout: TableLayout) -> None:
    """A relation that somebody else has made may lack an index over the key. Raises UniqueViolation."""
    key = [link.name for link in layout.key]
    if not has_unique_key(cursor, layout.place.schema, layout.place.relation, key):
        cursor.execute(
            sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(layout.place.rows, names_sql(key))
        )


def settle_key(cursor: psycopg.Cursor[Any], layout: TableLayout) -> None:
    """A key of which no value was ever seen is text, in an empty table: its values cannot be compared with it."""
    for link in layout.key:
        if link.was == "text" and link.type != "text":
            cursor.execute(
                sql.SQL(
                    "ALTER TABLE {table} ALTER COLUMN {name} TYPE {type} USING {name}::{type}"
                ).format(
                    table=layout.place.rows,
                    name=sql.Identifier(link.name),
                    type=type_sql(link.type),
                )
            )


def _add_key(cursor: psycopg.Cursor[Any], layout: TableLayout) -> None:
    cursor.execute(
        sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(
            layout.place.rows, names_sql([link.name for link in layout.key])
        )
    )


def alter_columns(cursor: psycopg.Cursor[Any], layout: TableLayout) -> None:
    """Adds and widens columns of the relation. Views that stand on them are as they were afterwards."""
    added, altered = list[Sql](), list[Sql]()
    for link in layout.links:
        if link.was is None:
            added.append(
                sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(link.name), type_sql(link.type))
            )
        elif link.was != link.type:
            altered.append(
                sql.SQL("ALTER COLUMN {} TYPE {} USING {}").format(
                    sql.Identifier(link.name), type_sql(link.type), _convert(link)
                )
            )
    if layout.marks and not layout.has_mark:
        added.append(sql.SQL("ADD COLUMN {} timestamptz").format(sql.Identifier(DELETED_AT)))
    statement = sql.SQL("ALTER TABLE {} {}")
    if added:
        cursor.execute(statement.format(layout.place.rows, sql.SQL(", ").join(added)))
    if altered:
        with set_views_aside(cursor, layout.place.schema, layout.place.relation):
            cursor.execute(statement.format(layout.place.rows, sql.SQL(", ").join(altered)))


def _convert(link: ColumnLink) -> Sql:
    if link.rebuilt:  # every row is written anew
        return sql.SQL("NULL::{}").format(type_sql(link.type))
    return sql.SQL("{}::{}").format(sql.Identifier(link.name), type_sql(link.type))


def keep_images(cursor: psycopg.Cursor[Any], layout: TableLayout, version: int) -> None:
    """Writes to the history what table `change` is about to change, as text. Call it before `alter_columns`."""
    types = {link.name: link.type for link in layout.key}
    need_history(cursor, layout.place, types, layout.history_columns)
    key = names_sql([link.name for link in layout.key])
    columns = layout.history_columns
    present = {
        one.name for one in list_columns_of(cursor, layout.place.schema, layout.place.relation)
    }
    images = [
        sql.SQL("t.{}::text").format(sql.Identifier(name)) if name in present else sql.SQL("NULL")
        for name in columns
    ]
    cursor.execute(
        sql.SQL(
            "INSERT INTO {history} (_version, _change, {key}{comma}{columns})"
            " SELECT {version}, (CASE c._change WHEN 'm' THEN 'c' ELSE c._change END)::\"char\", {ckey}{comma}{images}"
            " FROM pg_temp.change c LEFT JOIN {rows} t ON c._change <> 'a' AND {match}"
        ).format(
            history=layout.place.history,
            key=key,
            comma=sql.SQL(", " if columns else ""),
            columns=names_sql(columns),
            version=sql.Literal(version),
            ckey=names_sql([link.name for link in layout.key], "c"),
            images=sql.SQL(", ").join(images),
            rows=layout.place.rows,
            match=match_change("t", layout.key),
        )
    )


def need_history(
    cursor: psycopg.Cursor[Any], place: TablePlace, key: Mapping[str, str], images: Sequence[str]
) -> None:
    """The history has the key's columns in the relation's types, given by name, and every other as text."""
    found = {
        one.name: one.type
        for one in list_columns_of(cursor, HISTORY_SCHEMA, f"h_{place.table_id.hex}")
    }
    if not found:
        _make_history(cursor, place, key, images)
        return
    steps = [
        sql.SQL("ADD COLUMN {} text").format(sql.Identifier(name))
        for name in images
        if name not in found
    ]
    steps += [
        sql.SQL("ALTER COLUMN {name} TYPE {type} USING {name}::{type}").format(
            name=sql.Identifier(name), type=type_sql(kind)
        )
        for name, kind in key.items()
        if found.get(name, kind) != kind
    ]
    if steps:
        cursor.execute(
            sql.SQL("ALTER TABLE {} {}").format(place.history, sql.SQL(", ").join(steps))
        )


def _make_history(
    cursor: psycopg.Cursor[Any], place: TablePlace, key: Mapping[str, str], images: Sequence[str]
) -> None:
    """Its second index gives what one version changed, by key."""
    create_schema(cursor, HISTORY_SCHEMA)
    typed = [
        sql.SQL("{} {}").format(sql.Identifier(name), type_sql(kind)) for name, kind in key.items()
    ]
    texts = [sql.SQL("{} text").format(sql.Identifier(name)) for name in images]
    cursor.execute(
        sql.SQL(
            'CREATE TABLE {} (_version integer NOT NULL, _change "char" NOT NULL, {}, PRIMARY KEY ({}, _version))'
        ).format(place.history, sql.SQL(", ").join([*typed, *texts]), names_sql(key))
    )
    cursor.execute(
        sql.SQL("CREATE INDEX ON {} (_version, {})").format(place.history, names_sql(key))
    )


def apply_changes(cursor: psycopg.Cursor[Any], layout: TableLayout, *, swaps: bool = False) -> None:
    """Writes what table `change` says, and no other row. Call it after `alter_columns`. `swaps`: changed rows are taken
    out before they are put back, because two of them change a value that the relation's owner wants once."""
    cursor.execute(_TUNING)
    _remove(cursor, layout)
    if swaps:
        cursor.execute(
            sql.SQL("DELETE FROM {} t USING pg_temp.change c WHERE c._change = 'c' AND {}").format(
                layout.place.rows, match_change("t", layout.key)
            )
        )
    else:
        _update(cursor, layout)
    _insert(cursor, layout, "'a', 'c'" if swaps else "'a'")


def can_swap(cursor: psycopg.Cursor[Any], layout: TableLayout) -> bool:
    """Whether rows may be taken out and put back: nothing hangs on them, and all of their values come from the source."""
    place = layout.place
    ours = {link.name for link in layout.links}
    if any(one.name not in ours for one in list_columns_of(cursor, place.schema, place.relation)):
        return False
    cursor.execute(_HAS_REFERENCES, [place.schema, place.relation])
    return cursor.fetchone() is None


def _remove(cursor: psycopg.Cursor[Any], layout: TableLayout) -> None:
    if not layout.removes:
        return
    parts = {"rows": layout.place.rows, "match": match_change("t", layout.key)}
    if layout.marks:
        cursor.execute(
            sql.SQL(
                "UPDATE {rows} t SET {mark} = now() FROM pg_temp.change c WHERE c._change = 'm' AND {match}"
            ).format(**parts, mark=sql.Identifier(DELETED_AT))
        )
        return
    cursor.execute(
        sql.SQL(
            "DELETE FROM {rows} t USING pg_temp.change c WHERE c._change = 'r' AND {match}"
        ).format(**parts)
    )


def _update(cursor: psycopg.Cursor[Any], layout: TableLayout) -> None:
    assigned = [
        sql.SQL("{} = {}").format(sql.Identifier(link.name), cast_staged(link))
        for link in layout.others
    ]
    if layout.has_mark:
        assigned.append(sql.SQL("{} = NULL").format(sql.Identifier(DELETED_AT)))
    if not assigned:
        return
    cursor.execute(
        sql.SQL(
            "UPDATE {rows} t SET {assigned} FROM pg_temp.change c JOIN {staged} i ON {staged_match}"
            " WHERE c._change = 'c' AND {match}"
        ).format(
            rows=layout.place.rows,
            assigned=sql.SQL(", ").join(assigned),
            staged=layout.place.staged,
            staged_match=match_staged(layout.key),
            match=match_change("t", layout.key),
        )
    )
    if rebuilt := [link for link in layout.others if link.rebuilt]:
        _fill_rebuilt(cursor, layout, rebuilt)


def _fill_rebuilt(
    cursor: psycopg.Cursor[Any], layout: TableLayout, rebuilt: list[ColumnLink]
) -> None:
    """Rows whose text is what it was did not change, yet their column was emptied for its new type."""
    cursor.execute(
        sql.SQL(
            "UPDATE {} t SET {} FROM {} i WHERE {} AND NOT EXISTS (SELECT FROM pg_temp.change c WHERE {})"
        ).format(
            layout.place.rows,
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(link.name), cast_staged(link))
                for link in rebuilt
            ),
            layout.place.staged,
            sql.SQL(" AND ").join(
                sql.SQL("t.{} = i.{}").format(
                    sql.Identifier(link.name), sql.Identifier(link.staged)
                )
                for link in layout.key
            ),
            match_change("t", layout.key),
        )
    )


def _insert(cursor: psycopg.Cursor[Any], layout: TableLayout, changes: str) -> None:
    cursor.execute(
        sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM pg_temp.change c JOIN {} i ON {} WHERE c._change IN ({})"
        ).format(
            layout.place.rows,
            names_sql([link.name for link in layout.links]),
            sql.SQL(", ").join(cast_staged(link) for link in layout.links),
            layout.place.staged,
            match_staged(layout.key),
            sql.SQL(changes),
        )
    )


def renumber_history(
    session: psycopg.Connection[Any], table_id: uuid.UUID, was: int, now: int
) -> None:
    """Images of a version that got another number when it was told at home."""
    name = f"h_{table_id.hex}"
    with session.transaction(), session.cursor() as cursor:
        if list_columns_of(cursor, HISTORY_SCHEMA, name):
            cursor.execute(
                sql.SQL("UPDATE {} SET _version = {} WHERE _version = {}").format(
                    sql.Identifier(HISTORY_SCHEMA, name), sql.Literal(now), sql.Literal(was)
                )
            )
