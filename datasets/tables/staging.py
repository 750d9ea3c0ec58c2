"""Staged rows of one table, and the checkpoint that says what they are.

Both are written in one transaction. The checkpoint lies in an UNLOGGED table, and so do the rows, unless theirs may
become the relation: a crash of PostgreSQL empties the checkpoint at the latest with the rows, so it never speaks of
rows that are gone. A stale worker is fenced off before it writes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from database.rows import fetch_rows
from datasets.tables.place import RESERVED, STAGING, Sql, TablePlace, names_sql, type_sql
from datasets.tables.row_copy import RowTarget, add_cells, copy_good_rows, copy_rows
from farends.names import printable
from farends.rows.contract import BadRow, Chunk, Column, Encoding
from farends.rows.copy_text import encode_row, show_bytes
from farends.rows.names import make_names

RAW_BYTES_MAX = 65_536
KEPT_BAD_MAX = 100_000  # rows that a person could still look at
SAMPLE = 20
KEYS_AT_ONCE = 1_000
PLACE_KEY = ("_path", "_line")  # names a row of a file without a key
CONTENT_KEY = (
    "_row",
)  # names a row that has neither: its content, and the how-manieth of its like it is

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
_ADD_BAD = f"""
COPY {STAGING}.bad_row (table_id, key, path, line, "column", code, message, raw, raw_complete, "values") FROM STDIN
"""

_READ_BAD = f"""
SELECT key, path, line, "column", code, message, raw, raw_complete, "values" FROM {STAGING}.bad_row
 WHERE table_id = %s
"""
_FORGET_BAD = f"DELETE FROM {STAGING}.bad_row WHERE table_id = %s"
_FORGET_STATE = f"DELETE FROM {STAGING}.checkpoint WHERE table_id = %s"

Fence = Callable[[psycopg.Cursor[Any]], None]


class KeyNotUnique(Exception):
    """Rows that differ have one key. `samples` are some of the keys, `rows` counts the rows."""

    def __init__(self, samples: list[dict[str, str | None]], rows: int) -> None:
        super().__init__(f"{rows} rows share their key with another row that differs")
        self.samples = samples
        self.rows = rows


class TooManyBadRows(Exception):
    """More rows could not be loaded than anybody would look at."""


@dataclass(frozen=True, slots=True)
class StagedColumn:
    """A column as it is staged: `name` is the staging's, which the relation's need not be."""

    source_name: str
    source_type: str
    type: str
    name: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class StagedReading:
    """What is staged: for which record, on which terms, and how far the reading came.

    `mark` is where the next reading begins. `segment` counts passes over the source: of two rows of one key the later
    segment's is the newer one (a lasting table has no column for it until there is a second). `rows` counts those of the table, all segments together.
    """

    record_id: str
    terms: dict[str, Any]
    columns: tuple[StagedColumn, ...]
    key: tuple[str, ...]  # source names; empty: rows are named by their place or content
    mark: dict[str, Any] | None = None
    full: bool = False
    finished: bool = False
    resume: Any | None = None
    segment: int = 0
    rows: int = 0
    failed: int = 0
    nulled: int = 0
    without_cursor: int = 0
    duplicates: int = 0
    by_place: bool = False
    lasting: bool = False  # the staged table may become the relation

    @property
    def key_names(self) -> tuple[str, ...]:
        """The key's columns, by their names in the staging."""
        if not self.key:
            return PLACE_KEY if self.by_place else CONTENT_KEY
        named = {column.source_name: column.name for column in self.columns}
        return tuple(named[name] for name in self.key)

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> StagedReading:
        columns = tuple(StagedColumn(**column) for column in given["columns"])
        return cls(**given | {"columns": columns, "key": tuple(given["key"])})


def stage_columns(columns: Iterable[Column]) -> tuple[StagedColumn, ...]:
    """Names for the columns of a reading."""
    columns = list(columns)
    names = make_names([column.name for column in columns], RESERVED)
    return tuple(
        StagedColumn(
            column.name, column.source_type, column.type, names[column.name], column.nullable
        )
        for column in columns
    )


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
                parts.append(_SEGMENT)
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
                cursor.execute(_FORGET_BAD, [self._place.table_id])
                if (
                    not reading.key and not reading.by_place
                ):  # nothing else tells that a row has come again
                    cursor.execute(sql.SQL("TRUNCATE {}").format(self._place.staged))
                    reading = replace(reading, rows=0)
            self._need_segment(cursor)
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

    def prove_key(self, reading: StagedReading) -> StagedReading:
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

    def iter_keys(self, reading: StagedReading) -> Iterator[list[dict[str, str | None]]]:
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

    def stage_keys(self, reading: StagedReading, chunks: Iterable[Chunk]) -> int:
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

    def forget_unswept(self, reading: StagedReading) -> StagedReading:
        """Drops the staged rows whose keys `stage_keys` did not bring."""
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
            self._keep_bad(cursor, target, chunk, bad)
        self._keep(cursor, reading)
        return reading

    def _keep_bad(
        self,
        cursor: psycopg.Cursor[Any],
        target: RowTarget,
        chunk: Chunk,
        bad: Sequence[BadRow],
    ) -> None:
        with cursor.copy(_ADD_BAD) as copy:
            copy.set_types(
                ["uuid", "jsonb", "text", "int8", "text", "text", "text", "bytea", "bool", "jsonb"]
            )
            for found in bad:
                row = add_cells(found, target, chunk.encoding)
                copy.write_row(
                    (
                        self._place.table_id,
                        _cells(row.key),
                        row.path,
                        row.line,
                        None if row.column is None else printable(row.column),
                        row.code,
                        printable(row.message),
                        row.raw[:RAW_BYTES_MAX],
                        len(row.raw) <= RAW_BYTES_MAX,
                        _cells(row.values) if len(row.raw) <= RAW_BYTES_MAX else None,
                    )
                )

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
            self._need_segment(cursor)
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

    def _need_segment(self, cursor: psycopg.Cursor[Any]) -> None:
        cursor.execute(
            sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {}").format(
                self._place.staged, _SEGMENT
            )
        )

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


@dataclass(frozen=True, slots=True)
class KeptBadRow:
    """A row that could not be loaded, as the quarantine keeps it."""

    key: dict[str, str | None] | None
    path: str | None
    line: int | None
    column: str | None
    code: str
    message: str
    raw: bytes
    raw_complete: bool
    values: dict[str, str | None] | None


def read_bad_rows(session: psycopg.Connection[Any], table_id: uuid.UUID) -> list[KeptBadRow]:
    """The rows of a table that could not be loaded."""
    with session.cursor() as cursor:
        cursor.execute(_READ_BAD, [table_id])
        return fetch_rows(cursor, KeptBadRow)


def forget_bad_rows(session: psycopg.Connection[Any], table_id: uuid.UUID) -> None:
    session.execute(_FORGET_BAD, [table_id])


def forget_staged(cursor: psycopg.Cursor[Any], place: TablePlace) -> None:
    """Within the caller's transaction: nothing of it stays."""
    for table in (place.staged, place.swept):
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    cursor.execute("SELECT to_regclass(%s)", [f"{STAGING}.checkpoint"])
    [found] = cursor.fetchone() or [None]
    if found is not None:
        for statement in (_FORGET_STATE, _FORGET_BAD):
            cursor.execute(statement, [place.table_id])


_SEGMENT = sql.SQL("_segment smallint NOT NULL DEFAULT 0")
_NUMBERED = sql.SQL("digest || '-' || row_number() OVER (PARTITION BY digest) AS _row")


def _as_record(columns: Sequence[StagedColumn], alias: str) -> sql.Composed:
    return sql.SQL("ROW({})").format(names_sql([column.name for column in columns], alias))


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


def _cells(cells: Any) -> Jsonb | None:
    if cells is None:
        return None
    return Jsonb(
        {
            name: None if text is None else show_bytes(text.encode(errors="surrogateescape"))
            for name, text in cells.items()
        }
    )


def create_schema(cursor: psycopg.Cursor[Any], name: str) -> None:
    """Makes a schema where there is none: who may not create schemas may still use what is there."""
    cursor.execute("SELECT to_regnamespace(quote_ident(%s))", [name])
    [found] = cursor.fetchone() or [None]
    if found is None:
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
