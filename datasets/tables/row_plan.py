"""What a publication would do to a table: one join of the staged rows with the table's gives counts and changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import sql

from datasets.tables.place import DELETED_AT, STAGING, TablePlace, names_sql, type_sql
from datasets.tables.staged_keys import SAMPLE

_TUNING = "SET LOCAL work_mem = '64MB'; SET LOCAL random_page_cost = 1.1; SET LOCAL jit = off"
_ROW_CELLS_MAX = 1_600  # PostgreSQL takes 1,664 in one row


@dataclass(frozen=True, slots=True)
class ColumnLink:
    """A column of the relation and the staged one that fills it. `type` is the relation's afterwards, `was` its type
    now (None: there is none yet). `rebuilt`: no cast leads from one to the other, all values come anew."""

    name: str
    type: str
    was: str | None
    staged: str
    staged_type: str
    in_key: bool = False
    rebuilt: bool = False


@dataclass(frozen=True, slots=True)
class TableLayout:
    """How the staged rows fit the relation.

    `kept` are the relation's managed columns that the source no longer has. `exists`: the relation is there.
    `removes`: rows that the source lacks go, or are marked where `marks`; `sweep`: they are told by the swept keys, and
    not by the staged rows, which are not all.
    """

    place: TablePlace
    links: tuple[ColumnLink, ...]
    kept: tuple[str, ...] = ()
    exists: bool = True
    removes: bool = False
    sweep: bool = False
    marks: bool = False  # the job marks rows that are gone
    has_mark: bool = False  # the relation has the column for it

    @property
    def key(self) -> tuple[ColumnLink, ...]:
        return tuple(link for link in self.links if link.in_key)

    @property
    def others(self) -> tuple[ColumnLink, ...]:
        return tuple(link for link in self.links if not link.in_key)

    @property
    def history_columns(self) -> tuple[str, ...]:
        """Columns of the relation, without the key, that a row's image holds."""
        names = [link.name for link in self.others if link.was is not None]
        marked = [DELETED_AT] if self.has_mark or self.marks else []
        return (*names, *self.kept, *marked)


@dataclass(frozen=True, slots=True)
class RowChanges:
    added: int
    changed: int
    removed: int


def plan_rows(
    cursor: psycopg.Cursor[Any], layout: TableLayout, *, key_sources: Sequence[str] = ()
) -> RowChanges:
    """`key_sources`: what the source calls the key's columns, where rows of it could not be loaded: these are not gone.

    Makes table `change` for this transaction: the key of each row that differs, and `_change`, which is 'a', 'c', 'r',
    or 'm' where a row is only marked. The staged rows have their primary key."""
    cursor.execute(_TUNING)
    cursor.execute("DROP TABLE IF EXISTS pg_temp.change")
    parts = {
        "key": sql.SQL(", ").join(
            sql.SQL("coalesce(i.{}, t.{}) AS {}").format(
                sql.Identifier(link.staged), sql.Identifier(link.name), sql.Identifier(link.name)
            )
            for link in layout.key
        ),
        "staged": layout.place.staged,
        "rows": layout.place.rows,
        "match": _match("i", "t", layout.key),
        "differs": _differs(layout),
        "gone": sql.SQL("'m'" if layout.marks else "'r'"),
        "here": _is_here(layout),
        "join": sql.SQL("FULL" if layout.removes and not layout.sweep else "LEFT"),
    }
    cursor.execute(
        sql.SQL(
            "CREATE TEMP TABLE change ON COMMIT DROP AS SELECT {key},"
            " (CASE WHEN t.ctid IS NULL THEN 'a' WHEN i.ctid IS NULL THEN {gone} ELSE 'c' END)::\"char\" AS _change"
            " FROM {staged} i {join} JOIN {rows} t ON {match}"
            " WHERE t.ctid IS NULL OR (i.ctid IS NULL AND {here}) OR (i.ctid IS NOT NULL AND ({differs}))"
        ).format(**parts)
    )
    if layout.sweep and layout.removes:
        _add_swept(cursor, layout)
    if key_sources and layout.removes:
        _spare_bad(cursor, layout, key_sources)
    cursor.execute("ANALYZE pg_temp.change")
    cursor.execute("SELECT _change::text, count(*) FROM pg_temp.change GROUP BY 1")
    counts = dict(cursor.fetchall())
    removed = counts.get("r", 0) + counts.get("m", 0)
    return RowChanges(counts.get("a", 0), counts.get("c", 0), removed)


Sample = list[dict[str, str | None]]  # some keys, by column


def sample_changes(cursor: psycopg.Cursor[Any], layout: TableLayout) -> dict[str, Sample]:
    """Keys of some rows by what table `change` would do to them; of a table that is not there yet, of the staged ones."""
    if layout.exists:
        return {
            "added": _sample(cursor, layout, "a"),
            "changed": _sample(cursor, layout, "c"),
            "removed": sample_removed(cursor, layout),
        }
    names = [link.staged for link in layout.key]
    cells = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in names)
    cursor.execute(
        sql.SQL("SELECT {} FROM {} i ORDER BY {} LIMIT {}").format(
            cells, layout.place.staged, names_sql(names, "i"), sql.Literal(SAMPLE)
        )
    )
    key = [link.name for link in layout.key]
    rows = [dict(zip(key, row, strict=True)) for row in cursor.fetchall()]
    return {"added": rows, "changed": [], "removed": []}


def sample_removed(cursor: psycopg.Cursor[Any], layout: TableLayout) -> Sample:
    """Keys of some rows that table `change` would remove."""
    return _sample(cursor, layout, "r", "m")


def _sample(cursor: psycopg.Cursor[Any], layout: TableLayout, *changes: str) -> Sample:
    key = [link.name for link in layout.key]
    cells = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in key)
    # `c`: in the order of the values, not of their texts, which have the same names.
    cursor.execute(
        sql.SQL(
            "SELECT {} FROM pg_temp.change c WHERE _change::text = ANY(%s) ORDER BY {} LIMIT {}"
        ).format(cells, names_sql(key, "c"), sql.Literal(SAMPLE)),
        [list(changes)],
    )
    return [dict(zip(key, row, strict=True)) for row in cursor.fetchall()]


def digest_changes(cursor: psycopg.Cursor[Any], layout: TableLayout) -> str:
    """One value for the columns that the relation would have, and for what table `change` would do to each row, with the
    values of those that are written; of a table that is not there yet, for the staged rows."""
    staged = [sql.SQL("i.{}").format(sql.Identifier(link.staged)) for link in layout.links]
    cells: list[sql.Composable]
    if layout.exists:
        own = [sql.SQL("c.{}").format(sql.Identifier(link.name)) for link in layout.key]
        cells = [sql.SQL("c._change"), *own, *staged]
        source = sql.SQL(
            "pg_temp.change c LEFT JOIN {} i ON c._change IN ('a', 'c') AND {}"
        ).format(layout.place.staged, match_staged(layout.key))
    else:
        cells, source = [*staged], sql.SQL("{} i").format(layout.place.staged)
    # Sums, because they do not depend on an order: a key names each row once.
    cursor.execute(
        sql.SQL(
            "SELECT count(*), sum(hashtextextended(cells, 0)), sum(hashtextextended(cells, 1))"
            " FROM (SELECT {} AS cells FROM {}) printed"
        ).format(_print_cells(cells), source)
    )
    links = [asdict(link) for link in layout.links]
    told = [links, layout.kept, layout.marks, [str(value) for value in cursor.fetchone() or ()]]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _print_cells(cells: Sequence[sql.Composable]) -> sql.Composed:
    pieces = range(0, len(cells), _ROW_CELLS_MAX)
    return sql.SQL(" || ").join(
        sql.SQL("ROW({})::text").format(sql.SQL(", ").join(cells[at : at + _ROW_CELLS_MAX]))
        for at in pieces
    )


def count_rows(cursor: psycopg.Cursor[Any], place: TablePlace) -> int:
    cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(place.rows))
    [count] = cursor.fetchone() or [0]
    return int(count)


def _add_swept(cursor: psycopg.Cursor[Any], layout: TableLayout) -> None:
    cursor.execute(
        sql.SQL(
            'INSERT INTO pg_temp.change SELECT {key}, {gone}::"char" FROM {rows} t'
            " WHERE {here} AND NOT EXISTS (SELECT FROM {swept} i WHERE {match})"
            " AND NOT EXISTS (SELECT FROM {staged} i WHERE {match})"
        ).format(
            key=names_sql([link.name for link in layout.key], "t"),
            gone=sql.SQL("'m'" if layout.marks else "'r'"),
            rows=layout.place.rows,
            here=_is_here(layout),
            swept=layout.place.swept,
            staged=layout.place.staged,
            match=_match("i", "t", layout.key),
        )
    )


def _spare_bad(
    cursor: psycopg.Cursor[Any], layout: TableLayout, key_sources: Sequence[str]
) -> None:
    """The source has these rows, though they could not be loaded. Where one's key is unknown, no row is known to be
    gone."""
    table = sql.Literal(layout.place.table_id)
    told = sql.SQL(" AND ").join(
        sql.SQL("c.{}::text = b.key ->> {}").format(sql.Identifier(link.name), sql.Literal(source))
        for link, source in zip(layout.key, key_sources, strict=True)
    )
    cursor.execute(
        sql.SQL(
            "DELETE FROM pg_temp.change c USING {bad} b WHERE b.table_id = {table} AND c._change IN ('r', 'm')"
            " AND (b.key IS NULL OR ({told}))"
        ).format(bad=sql.Identifier(STAGING, "bad_row"), table=table, told=told)
    )


def _is_here(layout: TableLayout) -> sql.Composable:
    """Whether a row of the relation is not marked as gone already."""
    if layout.marks and layout.has_mark:
        return sql.SQL("t.{} IS NULL").format(sql.Identifier(DELETED_AT))
    return sql.SQL("true")


def _match(staged: str, rows: str, key: Sequence[ColumnLink]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{}.{} = {}.{}").format(
            sql.Identifier(staged),
            sql.Identifier(link.staged),
            sql.Identifier(rows),
            sql.Identifier(link.name),
        )
        for link in key
    )


def match_change(alias: str, key: Sequence[ColumnLink]) -> sql.Composed:
    """The condition that a row of `change`, as c, is of the aliased relation's row."""
    return sql.SQL(" AND ").join(
        sql.SQL("{0}.{1} = c.{1}").format(sql.Identifier(alias), sql.Identifier(link.name))
        for link in key
    )


def match_staged(key: Sequence[ColumnLink]) -> sql.Composed:
    """The condition that a row of `change`, as c, is of the staged row, as i."""
    return sql.SQL(" AND ").join(
        sql.SQL("i.{} = c.{}").format(sql.Identifier(link.staged), sql.Identifier(link.name))
        for link in key
    )


def _differs(layout: TableLayout) -> sql.Composable:
    """Compares the images of rows, so that no type needs an equality of its own."""
    now = [_now(link) for link in layout.others]
    then = [_staged(link) for link in layout.others]
    if layout.has_mark:
        now.append(sql.SQL("t.{}").format(sql.Identifier(DELETED_AT)))
        then.append(sql.SQL("NULL::timestamptz"))
    if not now:
        return sql.SQL("false")
    pieces = range(0, len(now), _ROW_CELLS_MAX)
    return sql.SQL(" OR ").join(
        sql.SQL("ROW({})::record *<> ROW({})::record").format(
            sql.SQL(", ").join(now[at : at + _ROW_CELLS_MAX]),
            sql.SQL(", ").join(then[at : at + _ROW_CELLS_MAX]),
        )
        for at in pieces
    )


def _now(link: ColumnLink) -> sql.Composable:
    if link.was is None:
        return sql.SQL("NULL::{}").format(type_sql(link.type))
    column = sql.SQL("t.{}").format(sql.Identifier(link.name))
    if link.rebuilt:
        return sql.SQL("{}::text").format(column)
    return (
        column if link.was == link.type else sql.SQL("{}::{}").format(column, type_sql(link.type))
    )


def _staged(link: ColumnLink) -> sql.Composable:
    column = sql.SQL("i.{}").format(sql.Identifier(link.staged))
    if link.rebuilt:
        return sql.SQL("{}::text").format(column)
    return cast_staged(link)


def cast_staged(link: ColumnLink) -> sql.Composable:
    """The staged value, as i, in the relation's type."""
    column = sql.SQL("i.{}").format(sql.Identifier(link.staged))
    if link.staged_type == link.type:
        return column
    return sql.SQL("{}::{}").format(column, type_sql(link.type))
