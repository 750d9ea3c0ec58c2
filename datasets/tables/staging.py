"""Staged rows of one table, and the checkpoint that says what they are.

Both are written in one transaction. The checkpoint lies in an UNLOGGED table, and so do the rows, unless theirs may
become the relation: a crash of PostgreSQL empties the checkpoint at the latest with the rows, so it never speaks of
rows that are gone. A stale worker is fenced off before it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from datasets.tables.bad_rows import FORGET_BAD, add_bad_rows
from datasets.tables.place import RESERVED, STAGING, Sql, TablePlace, create_schema, type_sql
from datasets.tables.row_copy import RowTarget, copy_good_rows, copy_rows
from datasets.tables.staged_keys import SEGMENT, StagedKeys, need_segment
from datasets.tables.staged_reading import PLACE_KEY, StagedColumn, StagedReading
from farends.rows.contract import BadRow, Chunk, Column, Encoding
from farends.rows.copy_text import encode_row
from farends.rows.names import make_names

KEPT_BAD_MAX = 100_000  # rows that a person could still look at

_SET_UP = (
    f"CREATE UNLOGGED TABLE IF NOT EXISTS {STAGING}.checkpoint (table_id uuid PRIMARY KEY, state jsonb NOT NULL)",
    f"CREATE UNLOGGED TABLE IF NOT EXISTS {STAGING}.bad_row (table_id uuid NOT NULL, key jsonb, path text, line bigint,"
    ' "column" text, code text NOT NULL, message text NOT NULL, raw bytea NOT NULL, raw_complete boolean NOT NULL,'
    ' "values" jsonb)',
    f"CREATE INDEX IF NOT EXISTS bad_row_of_table ON {STAGING}.bad_row (table_id)",
)
_KEEP = f"""
INSERT INTO {STAGING}.checkpoint (table_id, state) VALUES (%s, %s)
ON CONFLICT (table_id) DO UPDATE SET state = excluded.state
"""
_FORGET_STATE = f"DELETE FROM {STAGING}.checkpoint WHERE table_id = %s"

Fence = Callable[[psycopg.Cursor[Any]], None]


class TooManyBadRows(Exception):
    """More rows could not be loaded than anybody would look at."""


class RowStaging:
    """Of one table. `fence` is called within each transaction, and raises Fenced for a stale worker."""

    def __init__(
        self,
        session: psycopg.Connection[Any],
        place: TablePlace,
        fence: Fence,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._place = place
        self._fence = fence
        self._check = check
        self.keys = StagedKeys(session, place, self._writing, self._keep, check)

    def find(self) -> StagedReading | None:
        """What an earlier attempt left, if it is whole."""
        with self._session.transaction(), self._session.cursor() as cursor:
            self._set_up(cursor)
            cursor.execute(
                f"SELECT state FROM {STAGING}.checkpoint WHERE table_id = %s",
                [self._place.table_id],
            )
            row = cursor.fetchone()
        return None if row is None else StagedReading.from_json(row[0])

    def start(self, reading: StagedReading) -> StagedReading:
        """Forgets what was staged, and begins with nothing."""
        with self._writing() as cursor:
            self._forget(cursor)
            required = set(reading.key_names)
            parts: list[Sql] = [
                sql.SQL("{} {} {}").format(
                    sql.Identifier(column.name),
                    type_sql(column.type),
                    sql.SQL("NOT NULL" if column.name in required else ""),
                )
                for column in reading.columns
            ]
            if reading.by_place:
                parts = [
                    sql.SQL("_path text NOT NULL"),
                    sql.SQL("_line bigint NOT NULL"),
                    *parts,
                ]
            if not reading.lasting:
                parts.append(SEGMENT)
            cursor.execute(
                sql.SQL("CREATE {} TABLE {} ({}) WITH (autovacuum_enabled = off)").format(
                    sql.SQL("" if reading.lasting else "UNLOGGED"),
                    self._place.staged,
                    sql.SQL(", ").join(parts),
                )
            )
            self._keep(cursor, reading)
        return reading

    def take(self, reading: StagedReading, chunk: Chunk) -> StagedReading:
        """Stages a chunk with its checkpoint: both, or neither. Raises Fenced, TooManyBadRows."""
        reading = self._adapt(reading, chunk.columns)
        target = self._target(reading, chunk)
        chunk = _place_rows(reading, chunk)
        try:
            with self._writing() as cursor:
                if chunk.rows:
                    copy_rows(cursor, target, chunk)
                return self._settle(cursor, reading, target, chunk, chunk.bad)
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded):
            with self._writing() as cursor:
                bad = copy_good_rows(cursor, target, chunk, check=self._check)
                return self._settle(cursor, reading, target, chunk, (*chunk.bad, *bad), len(bad))

    def finish(self, reading: StagedReading) -> StagedReading:
        """Notes that the pass has come to its end."""
        return self._write(replace(reading, finished=True, resume=None))

    def begin_pass(self, reading: StagedReading, *, whole: bool) -> StagedReading:
        """Rows that come from here on are newer than those that are staged. `whole`: all of them come again."""
        reading = replace(reading, segment=reading.segment + 1, without_cursor=0)
        with self._writing() as cursor:
            if whole:
                reading = replace(reading, failed=0, nulled=0)
                cursor.execute(FORGET_BAD, [self._place.table_id])
                if (
                    not reading.key and not reading.by_place
                ):  # nothing else tells that a row has come again
                    cursor.execute(sql.SQL("TRUNCATE {}").format(self._place.staged))
                    reading = replace(reading, rows=0)
            need_segment(cursor, self._place)
            cursor.execute(
                sql.SQL(
                    "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}, ALTER COLUMN _segment SET DEFAULT {}"
                ).format(
                    self._place.staged,
                    sql.Identifier(
                        f"s_{self._place.table_id.hex}_pkey"
                    ),  # an earlier attempt's proof
                    sql.Literal(reading.segment),
                )
            )
            self._keep(cursor, reading)
        return reading

    def drop(self, cursor: psycopg.Cursor[Any], *, but_bad: bool = False) -> None:
        """Within the caller's transaction: nothing of it stays, unless the rows that could not be loaded are to."""
        if not but_bad:
            self._forget(cursor)
            return
        for table in (self._place.staged, self._place.swept):
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        cursor.execute(_FORGET_STATE, [self._place.table_id])

    def throw_away(self) -> None:
        """What was staged is of a source that a person is to look at, or of no use any more."""
        with self._session.transaction(), self._session.cursor() as cursor:
            self._set_up(cursor)
            self._fence(cursor)
            self._forget(cursor)

    @contextmanager
    def _writing(self) -> Iterator[psycopg.Cursor[Any]]:
        """A transaction behind the fence. Its commit does not wait for the disk: a crash of PostgreSQL, which alone could lose
        it, empties the checkpoint in any case."""
        with self._session.transaction(), self._session.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
            self._fence(cursor)
            yield cursor

    def _set_up(self, cursor: psycopg.Cursor[Any]) -> None:
        cursor.execute("SELECT to_regclass(%s)", [f"{STAGING}.checkpoint"])
        [found] = cursor.fetchone() or [None]
        if found is not None:
            return
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [STAGING])
        create_schema(cursor, STAGING)
        for statement in _SET_UP:
            cursor.execute(statement)

    def _forget(self, cursor: psycopg.Cursor[Any]) -> None:
        forget_staged(cursor, self._place)

    def _keep(self, cursor: psycopg.Cursor[Any], reading: StagedReading) -> None:
        cursor.execute(_KEEP, [self._place.table_id, Jsonb(asdict(reading))])

    def _write(self, reading: StagedReading) -> StagedReading:
        with self._writing() as cursor:
            self._keep(cursor, reading)
        return reading

    def _settle(
        self,
        cursor: psycopg.Cursor[Any],
        reading: StagedReading,
        target: RowTarget,
        chunk: Chunk,
        bad: Sequence[BadRow],
        refused: int = 0,
    ) -> StagedReading:
        reading = replace(
            reading,
            resume=chunk.resume,
            rows=reading.rows + len(chunk.rows) - refused,
            failed=reading.failed + len(bad),
            nulled=reading.nulled + chunk.nulled,
            without_cursor=reading.without_cursor + chunk.without_cursor,
        )
        if reading.failed > KEPT_BAD_MAX:
            raise TooManyBadRows(f"more than {KEPT_BAD_MAX} rows could not be loaded")
        if bad:
            add_bad_rows(cursor, self._place.table_id, target, chunk, bad)
        self._keep(cursor, reading)
        return reading

    def _target(self, reading: StagedReading, chunk: Chunk) -> RowTarget:
        named = {column.source_name: column.name for column in reading.columns}
        sources = tuple(column.name for column in chunk.columns)
        columns = tuple(named[name] for name in sources)
        if reading.by_place:
            columns, sources = (*PLACE_KEY, *columns), (*PLACE_KEY, *sources)
        return RowTarget(self._place.staged, columns, sources, reading.key)

    def _adapt(self, reading: StagedReading, columns: Sequence[Column]) -> StagedReading:
        """The source has learned of columns or wider types while it was read."""
        staged = {column.source_name: column for column in reading.columns}
        if all(
            column.name in staged and staged[column.name].type == column.type for column in columns
        ):
            return reading
        fresh = [column for column in columns if column.name not in staged]
        taken = RESERVED | {column.name for column in reading.columns}
        names = make_names([column.name for column in fresh], taken)
        with self._writing() as cursor:
            for column in columns:
                known = staged.get(column.name)
                name = known.name if known else names[column.name]
                if known is None:
                    words = "ALTER TABLE {table} ADD COLUMN {name} {type}"
                elif known.type != column.type:
                    words = (
                        "ALTER TABLE {table} ALTER COLUMN {name} TYPE {type} USING {name}::{type}"
                    )
                else:
                    continue
                cursor.execute(
                    sql.SQL(words).format(
                        table=self._place.staged,
                        name=sql.Identifier(name),
                        type=type_sql(column.type),
                    )
                )
                staged[column.name] = StagedColumn(
                    column.name, column.source_type, column.type, name, column.nullable
                )
            reading = replace(reading, columns=tuple(staged.values()))
            self._keep(cursor, reading)
        return reading


def forget_staged(cursor: psycopg.Cursor[Any], place: TablePlace) -> None:
    """Within the caller's transaction: nothing of it stays."""
    for table in (place.staged, place.swept):
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    cursor.execute("SELECT to_regclass(%s)", [f"{STAGING}.checkpoint"])
    [found] = cursor.fetchone() or [None]
    if found is not None:
        for statement in (_FORGET_STATE, FORGET_BAD):
            cursor.execute(statement, [place.table_id])


def _place_rows(reading: StagedReading, chunk: Chunk) -> Chunk:
    """Each row begins with its place in its file, where that is what names it."""
    if not reading.by_place or not chunk.rows:
        return chunk
    if chunk.encoding is Encoding.TEXT:
        places = [encode_row((path, str(line)))[:-1] + b"\t" for path, line in chunk.places]
    else:
        places = [
            b'"%s",%d,' % (path.replace('"', '""').encode(), line) for path, line in chunk.places
        ]
    return replace(chunk, rows=[a + b for a, b in zip(places, chunk.rows, strict=True)])
