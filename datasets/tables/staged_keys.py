"""The keys of staged rows: that each names one row, and which of them the source still has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from datasets.tables.place import TablePlace, names_sql, type_sql
from datasets.tables.row_copy import RowTarget, copy_rows
from datasets.tables.staged_reading import StagedColumn, StagedReading
from farends.rows.contract import Chunk

SAMPLE = 20
KEYS_AT_ONCE = 1_000
SEGMENT = sql.SQL("_segment smallint NOT NULL DEFAULT 0")
_NUMBERED = sql.SQL("digest || '-' || row_number() OVER (PARTITION BY digest) AS _row")


class KeyNotUnique(Exception):
    """Rows that differ have one key. `samples` are some of the keys, `rows` counts the rows."""

    def __init__(self, samples: list[dict[str, str | None]], rows: int) -> None:
        super().__init__(f"{rows} rows share their key with another row that differs")
        self.samples = samples
        self.rows = rows


class StagedKeys:
    """Of one table. `writing` is a transaction behind the fence, and `keep` writes the checkpoint within it."""

    def __init__(
        self,
        session: psycopg.Connection[Any],
        place: TablePlace,
        writing: Callable[[], AbstractContextManager[psycopg.Cursor[Any]]],
        keep: Callable[[psycopg.Cursor[Any], StagedReading], None],
        check: Callable[[], None],
    ) -> None:
        self._session = session
        self._place = place
        self._writing = writing
        self._keep = keep
        self._check = check

    def prove(self, reading: StagedReading) -> StagedReading:
        """Makes the key unique: a newer pass's row takes the place of an older one, and of equal rows one stays. Raises
        KeyNotUnique where rows of one pass differ."""
        if not reading.key and not reading.by_place:
            reading = self._name_by_content(reading)
        if reading.segment == 0:
            try:
                self._add_key(reading)
            except psycopg.errors.UniqueViolation:
                pass
            else:
                return reading
        reading = self._settle_doubles(reading)
        self._add_key(reading)
        return reading

    def iterate(self, reading: StagedReading) -> Iterator[list[dict[str, str | None]]]:
        """The staged keys by the source's names, some at a time."""
        cells = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in reading.key_names]
        statement = sql.SQL(
            "SELECT ctid::text, {} FROM {} WHERE ctid > {}::tid ORDER BY ctid LIMIT {}"
        )
        last = "(0,0)"
        while True:
            found = self._session.execute(
                statement.format(
                    sql.SQL(", ").join(cells),
                    self._place.staged,
                    sql.Literal(last),
                    sql.Literal(KEYS_AT_ONCE),
                )
            ).fetchall()
            if found:
                last = found[-1][0]
                yield [dict(zip(reading.key, row[1:], strict=True)) for row in found]
            if len(found) < KEYS_AT_ONCE:
                return

    def stage_all(self, reading: StagedReading, chunks: Iterable[Chunk]) -> int:
        """Stages the keys of all rows of the source, from nothing, and returns their count."""
        named = {column.source_name: column for column in reading.columns}
        columns = [named[name] for name in reading.key]
        with self._writing() as cursor:
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self._place.swept))
            cursor.execute(
                sql.SQL("CREATE UNLOGGED TABLE {} ({}) WITH (autovacuum_enabled = off)").format(
                    self._place.swept,
                    sql.SQL(", ").join(
                        sql.SQL("{} {}").format(sql.Identifier(one.name), type_sql(one.type))
                        for one in columns
                    ),
                )
            )
        count = 0
        for chunk in chunks:
            self._check()
            order = tuple(named[column.name].name for column in chunk.columns)
            sources = tuple(column.name for column in chunk.columns)
            target = RowTarget(self._place.swept, order, sources, reading.key)
            with self._writing() as cursor:
                if chunk.rows:
                    copy_rows(cursor, target, chunk)
            count += len(chunk.rows)
        self._session.execute(sql.SQL("ANALYZE {}").format(self._place.swept))
        return count

    def forget_others(self, reading: StagedReading) -> StagedReading:
        """Drops the staged rows whose keys `stage_all` did not bring."""
        with self._writing() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '15min'")
            cursor.execute(
                sql.SQL(
                    "DELETE FROM {} s WHERE NOT EXISTS (SELECT FROM {} k WHERE ({}) = ({}))"
                ).format(
                    self._place.staged,
                    self._place.swept,
                    names_sql(reading.key_names, "k"),
                    names_sql(reading.key_names, "s"),
                )
            )
            reading = replace(reading, rows=reading.rows - cursor.rowcount)
        return reading

    def _add_key(self, reading: StagedReading) -> None:
        with self._writing() as cursor:
            cursor.execute("SET LOCAL maintenance_work_mem = '64MB'")
            cursor.execute("SET LOCAL statement_timeout = '15min'")
            cursor.execute(
                sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(
                    self._place.staged, names_sql(reading.key_names)
                )
            )
            # The plan joins by the key alone: of a hundred columns this costs more than all else.
            cursor.execute(
                sql.SQL("ANALYZE {} ({})").format(self._place.staged, names_sql(reading.key_names))
            )

    def _settle_doubles(self, reading: StagedReading) -> StagedReading:
        key = names_sql(reading.key_names)
        ours = {
            "staged": self._place.staged,
            "key": key,
            "match": sql.SQL("({}) = ({})").format(
                names_sql(reading.key_names, "s"), names_sql(reading.key_names, "d")
            ),
            "row": _as_record(reading.columns, "s"),
        }
        with self._writing() as cursor:
            need_segment(cursor, self._place)
            cursor.execute("SET LOCAL statement_timeout = '15min'")
            cursor.execute(
                sql.SQL(
                    "CREATE TEMP TABLE doubled ON COMMIT DROP AS"
                    " SELECT {key}, max(_segment) AS latest FROM {staged} GROUP BY {key} HAVING count(*) > 1"
                ).format(**ours)
            )
            cursor.execute("ANALYZE doubled")
            cursor.execute(
                sql.SQL(
                    "DELETE FROM {staged} s USING doubled d WHERE {match} AND s._segment < d.latest"
                ).format(**ours)
            )
            replaced = cursor.rowcount
            cursor.execute(
                sql.SQL(
                    "DELETE FROM {staged} WHERE ctid IN (SELECT e.ctid FROM (SELECT s.ctid, row_number() OVER"
                    " (PARTITION BY {row}::text ORDER BY s.ctid) AS nth FROM {staged} s JOIN doubled d ON {match}) e"
                    " WHERE e.nth > 1)"
                ).format(**ours)
            )
            equal = cursor.rowcount
            cursor.execute(
                sql.SQL(
                    "SELECT count(*) FROM {staged} s WHERE ({skey}) IN (SELECT {key} FROM {staged} GROUP BY {key}"
                    " HAVING count(*) > 1)"
                ).format(**ours, skey=names_sql(reading.key_names, "s"))
            )
            [differing] = cursor.fetchone() or [0]
            if differing:
                raise KeyNotUnique(self._sample_doubles(cursor, reading), differing)
            reading = replace(
                reading,
                rows=reading.rows - replaced - equal,
                duplicates=reading.duplicates + equal,
            )
            self._keep(cursor, reading)
        return reading

    def _sample_doubles(
        self, cursor: psycopg.Cursor[Any], reading: StagedReading
    ) -> list[dict[str, str | None]]:
        key = names_sql(reading.key_names, "s")
        cells = sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(name)) for name in reading.key_names
        )
        cursor.execute(
            sql.SQL(
                "SELECT {} FROM {} s GROUP BY {} HAVING count(*) > 1 ORDER BY {} LIMIT {}"
            ).format(cells, self._place.staged, key, key, sql.Literal(SAMPLE))
        )
        names = reading.key or reading.key_names
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _name_by_content(self, reading: StagedReading) -> StagedReading:
        """Rows without a key are named by their content, equal ones by their number."""
        row = _as_record(reading.columns, "s")
        names = [sql.Identifier(column.name) for column in reading.columns]
        with self._writing() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '15min'")
            cursor.execute(
                sql.SQL(
                    "CREATE UNLOGGED TABLE {swept} WITH (autovacuum_enabled = off) AS"
                    " SELECT {names}"
                    " FROM (SELECT md5({row}::text) AS digest, s.* FROM {staged} s) n"
                ).format(
                    swept=self._place.swept,
                    names=sql.SQL(", ").join([_NUMBERED, *names, sql.Identifier("_segment")]),
                    row=row,
                    staged=self._place.staged,
                )
            )
            cursor.execute(sql.SQL("DROP TABLE {}").format(self._place.staged))
            cursor.execute(
                sql.SQL("ALTER TABLE {} RENAME TO {}").format(
                    self._place.swept, sql.Identifier(f"s_{self._place.table_id.hex}")
                )
            )
        return reading


def need_segment(cursor: psycopg.Cursor[Any], place: TablePlace) -> None:
    cursor.execute(
        sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {}").format(place.staged, SEGMENT)
    )


def _as_record(columns: Sequence[StagedColumn], alias: str) -> sql.Composed:
    return sql.SQL("ROW({})").format(names_sql([column.name for column in columns], alias))
