"""PostgreSQL as a source of rows.

Each reading is one COPY in one snapshot, in the order of the key, so rows that move under it are neither missed nor
read twice, and a reading that was cut goes on behind the last key that is kept. Settings are made in each
transaction, for poolers that share sessions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import psycopg
from psycopg import pq, sql

from farends.contract import Context
from farends.errors import ProtocolViolation, SchemaGone, Unstable
from farends.pacing import Pace
from farends.reaching import way_to
from farends.rows.contract import (
    BadRow,
    Begun,
    Chunk,
    Encoding,
    Entity,
    Preview,
    Reading,
    RowCapabilities,
)
from farends.rows.read_ahead import read_ahead
from farends.spec import Target
from farends.sql.postgresql.catalog import Found, FoundColumn, get_relation, list_relations
from farends.sql.postgresql.connection import connect
from farends.sql.postgresql.copying import CopiedRows, CopyOut, find_cells, print_values
from farends.sql.postgresql.errors import mapped
from farends.sql.postgresql.marks import begin_reading, identify_server, newer_than
from farends.watched import WatchedConnection

VERSION_MIN = 130000  # pg_current_snapshot
_INTERVAL_SINCE, _TRANSACTION_TIMEOUT_SINCE = 140000, 170000
_KEYS_AT_ONCE = 1000
_CANCEL_S = 5.0
_RAW_BYTES_MAX = 65_536
_BAD_MAX = 10_000  # rows without a key that are told one by one

# What `::text` prints is then the same everywhere, and no limit of the role's cuts a long reading short.
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "10s",
}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is read of one relation. `columns` are in the order of a row."""

    found: Found
    reading: Reading
    columns: tuple[FoundColumn, ...]
    key: tuple[FoundColumn, ...]
    binary: bool

    @property
    def table(self) -> sql.Composable:
        return sql.Identifier(self.found.relation.schema, self.found.relation.name)

    @property
    def key_places(self) -> list[int]:
        names = [column.name for column in self.columns]
        return [names.index(column.name) for column in self.key]

    @property
    def counts_nulls(self) -> bool:
        cursor = self.reading.cursor
        return not (
            cursor is None or cursor.is_xmin or self.found.columns[cursor.field].is_required
        )

    @property
    def open_keys(self) -> list[FoundColumn]:
        """Those of the key's columns that may be NULL."""
        return [column for column in self.key if not column.is_required]


def open_source(target: Target, context: Context) -> PostgresSource:
    """Connects and logs in. Raises TransportError's children."""
    connection = connect(target, context)
    try:
        return PostgresSource(connection, way_to(target, context))
    except BaseException:
        connection.abandon()
        raise


class PostgresSource:
    def __init__(self, connection: WatchedConnection, way: Context) -> None:
        self._connection = connection
        version = connection.pgconn.server_version
        if version < VERSION_MIN:
            raise ProtocolViolation("the server is older than PostgreSQL 13")
        self._prologue = _make_prologue(version)
        rate = way.bandwidth_bytes_per_s
        self._take = Pace(rate, way.check).take if rate else None
        self._server: dict[str, str] | None = None
        self._plan: _Plan | None = None
        self.capabilities = RowCapabilities(
            server_software=f"PostgreSQL {connection.info.parameter_status('server_version')}",
            sweeps_keys=True,
            resumes=True,
            counts_doubles=True,
            reads_by_key=True,
        )

    @property
    def drifted(self) -> bool:
        return False

    def entities(self, prefix: str = "") -> Iterator[Entity]:
        with mapped():
            with self._transaction():
                found = list_relations(self._connection, prefix)
                is_standby = self._is_standby()
            yield from (one.to_entity(is_standby=is_standby) for one in found)

    def describe(self, spec: Mapping[str, Any]) -> Entity:
        with mapped(), self._transaction():
            found = get_relation(self._connection, spec)
            return found.to_entity(is_standby=self._is_standby())

    def preview(self, spec: Mapping[str, Any], limit: int) -> Preview:
        with mapped(), self._transaction():
            found = get_relation(self._connection, spec)
            cells = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in found.columns]
            table = sql.Identifier(found.relation.schema, found.relation.name)
            query = sql.SQL("SELECT {} FROM {} LIMIT {}").format(
                sql.SQL(", ").join(cells), table, sql.Literal(limit + 1)
            )
            rows = self._connection.execute(query).fetchall()
        columns = tuple(column.column for column in found.columns.values())
        return Preview(columns, tuple(rows[:limit]), complete=len(rows) <= limit)

    def begin(self, reading: Reading) -> Begun:
        with mapped():
            if self._server is None:
                self._server = identify_server(self._connection)
            with self._transaction():
                found = get_relation(self._connection, reading.spec)
                plan = _make_plan(found, reading, self._connection.pgconn.server_version)
                begun = begin_reading(self._connection, found, reading, self._server)
        self._plan = plan if begun.lost is None else replace(plan, reading=reading.whole())
        return begun

    def read(self, after: Any | None = None) -> Iterator[Chunk]:
        return read_ahead(self._read(after), leave=self._leave)

    def _leave(self) -> None:
        with contextlib.suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=_CANCEL_S)

    def _read(self, after: Any | None) -> Generator[Chunk, None, None]:
        plan = self._begun()
        last = _Resume.of(after)
        if last.is_whole:
            return
        with mapped(), self._transaction():
            too_large: list[bytes] = []
            with closing(self._copy(self._query(plan, last), binary=plan.binary)) as batches:
                for batch in batches:
                    too_large += batch.too_large
                    if batch.last and plan.key:
                        last = _Resume.behind(batch.last, plan)
                    if not batch.is_last:
                        yield _chunk(plan, batch.rows, last)
            last = replace(last, is_whole=True)
            count, bad = self._count_nulls(plan), self._find_bad(plan, too_large)
            if batch.rows or bad or count:
                made = _chunk(plan, batch.rows, last)
                yield replace(made, without_cursor=count, bad=tuple(bad))

    def read_keys(self) -> Iterator[Chunk]:
        plan = self._begun()
        plan = replace(plan, columns=plan.key)
        query = sql.SQL("SELECT {} FROM {}{}").format(
            _select(plan.columns), plan.table, _where(_not_null(plan.open_keys))
        )
        return read_ahead(self._read_plainly(plan, query), leave=self._leave)

    def _read_plainly(self, plan: _Plan, query: sql.Composable) -> Generator[Chunk, None, None]:
        with (
            mapped(),
            self._transaction(),
            closing(self._copy(query, binary=plan.binary)) as batches,
        ):
            for batch in batches:
                if batch.rows:
                    yield _chunk(plan, batch.rows, None)

    def read_rows(self, keys: Iterable[Mapping[str, str | None]]) -> Iterator[Chunk]:
        plan = self._begun()
        wanted = iter(keys)
        while some := list(islice(wanted, _KEYS_AT_ONCE)):
            query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
                _select(plan.columns), plan.table, _is_among(plan.key, some)
            )
            yield from self._read_plainly(plan, query)

    def count_doubles(
        self, keys: Iterable[Mapping[str, str | None]]
    ) -> list[Mapping[str, str | None]]:
        plan = self._begun()
        wanted = iter(keys)
        found: list[Mapping[str, str | None]] = []
        names = [column.name for column in plan.key]
        while some := list(islice(wanted, _KEYS_AT_ONCE)):
            columns = sql.SQL(", ").join(map(sql.Identifier, names))
            texts = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in names]
            query = sql.SQL("SELECT {} FROM {} WHERE {} GROUP BY {} HAVING count(*) > 1").format(
                sql.SQL(", ").join(texts), plan.table, _is_among(plan.key, some), columns
            )
            with mapped(), self._transaction():
                rows = self._connection.execute(query).fetchall()
            found += [dict(zip(names, row, strict=True)) for row in rows]
        return found

    def close(self) -> None:
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def _begun(self) -> _Plan:
        if self._plan is None:
            raise RuntimeError("`begin` comes before anything is read")
        return self._plan

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """One snapshot, in which nothing can be written."""
        self._connection.execute(self._prologue)
        try:
            yield
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        """Twice, where a cancel that came late has hit the first."""
        for _ in range(2):
            idle = pq.TransactionStatus.IDLE
            if self._connection.closed or self._connection.info.transaction_status == idle:
                return
            with contextlib.suppress(psycopg.Error):
                self._connection.execute("ROLLBACK")

    def _is_standby(self) -> bool:
        row = self._connection.execute("SELECT pg_is_in_recovery()").fetchone()
        return bool(row and row[0])

    def _copy(self, query: sql.Composable, *, binary: bool) -> Generator[CopiedRows, None, None]:
        copy = CopyOut(self._connection, query, binary=binary, take=self._take)
        try:
            yield from copy.batches()
        finally:
            copy.stop()

    def _query(self, plan: _Plan, resume: _Resume) -> sql.Composable:
        conditions = [
            newer_than(plan.found, plan.reading),
            *_not_null(plan.open_keys),
            self._behind(plan, resume),
        ]
        query = sql.SQL("SELECT {} FROM {} AS source{}").format(
            _select(plan.columns), plan.table, _where(conditions)
        )
        if not plan.key:
            return query
        # A bare name would mean the column that is given out, and so the order of its text.
        order = sql.SQL(", ").join(sql.Identifier("source", column.name) for column in plan.key)
        return sql.SQL("{} ORDER BY {}").format(query, order)

    def _behind(self, plan: _Plan, resume: _Resume) -> sql.Composable | None:
        if not resume.key:
            return None
        cells: Sequence[str] = resume.key
        if resume.binary:  # the server knows best how these are written
            raw = [bytes.fromhex(cell) for cell in resume.key]
            cells = print_values(self._connection, [one.sent_oid for one in plan.key], raw)
        values = sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(cell), sql.SQL(column.plain_type))
            for cell, column in zip(cells, plan.key, strict=True)
        )
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in plan.key)
        return sql.SQL("({}) > ({})").format(names, values)

    def _count_nulls(self, plan: _Plan) -> int:
        cursor = plan.reading.cursor
        if cursor is None or not plan.counts_nulls:
            return 0
        query = sql.SQL("SELECT count(*) FROM {} WHERE {} IS NULL").format(
            plan.table, sql.Identifier(cursor.field)
        )
        row = self._connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _find_bad(self, plan: _Plan, too_large: Sequence[bytes]) -> list[BadRow]:
        bad = [
            BadRow(
                "too_large",
                f"the row has {len(row)} bytes",
                key=self._tell_key(plan, row),
                raw=row[:_RAW_BYTES_MAX],
            )
            for row in too_large
        ]
        for place, column in enumerate(plan.open_keys):
            empty = sql.SQL("{} IS NULL").format(sql.Identifier(column.name))
            query = sql.SQL("SELECT {} FROM {}{} LIMIT {}").format(
                _select(plan.columns),
                plan.table,
                _where([empty, *_not_null(plan.open_keys[:place])]),
                sql.Literal(_BAD_MAX),
            )
            with closing(self._copy(query, binary=False)) as batches:
                bad += [_keyless(plan, column, row) for batch in batches for row in batch.rows]
        return bad

    def _tell_key(self, plan: _Plan, row: bytes) -> dict[str, str | None]:
        cells = [cell or b"" for cell in find_cells(row, plan.key_places, binary=plan.binary)]
        texts = (
            [cell.decode() for cell in cells]
            if not plan.binary
            else (print_values(self._connection, [one.sent_oid for one in plan.key], cells))
        )
        return dict(zip((column.name for column in plan.key), texts, strict=True))


@dataclass(frozen=True, slots=True)
class _Resume:
    """The key of the last row that is kept; in hexadecimal where it came in binary form. `is_whole`: the reading had
    come to its end."""

    key: tuple[str, ...] = ()
    binary: bool = False
    is_whole: bool = False

    @classmethod
    def of(cls, after: Any | None) -> _Resume:
        told = after or {}
        return cls(tuple(told.get("key", ())), bool(told.get("binary")), bool(told.get("is_whole")))

    @classmethod
    def behind(cls, row: bytes, plan: _Plan) -> _Resume:
        cells = [cell or b"" for cell in find_cells(row, plan.key_places, binary=plan.binary)]
        return cls(
            tuple(cell.hex() if plan.binary else cell.decode() for cell in cells), plan.binary
        )

    def to_json(self) -> dict[str, Any]:
        return {"key": list(self.key), "binary": self.binary, "is_whole": self.is_whole}


def _make_prologue(version: int) -> bytes:
    settings = dict(_SETTINGS)
    if version >= _INTERVAL_SINCE:
        settings["client_connection_check_interval"] = "10s"
    if version >= _TRANSACTION_TIMEOUT_SINCE:
        settings["transaction_timeout"] = "0"
    made = [f"SET LOCAL {name} = '{value}'" for name, value in settings.items()]
    return "; ".join(["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", *made]).encode()


def _make_plan(found: Found, reading: Reading, version: int) -> _Plan:
    """Raises SchemaGone where the key or the cursor is not there any more."""
    name, cursor = found.relation.full_name, reading.cursor
    for column in reading.key:
        if column not in found.columns:
            raise SchemaGone(f"{name} has no column {column}, which is of the key")
    if cursor is not None and cursor.is_xmin and not found.relation.has_xmin:
        raise SchemaGone(f"{name} has no xmin: it is no plain table; take a column as the cursor")
    if cursor is not None and not cursor.is_xmin and cursor.field not in found.columns:
        raise SchemaGone(f"{name} has no column {cursor.field}, which is the cursor")
    gone = [column.name for column in reading.columns if column.name not in found.columns]
    if gone:
        raise Unstable(f"{name} has lost the column {gone[0]} a moment ago")
    columns = tuple(found.columns[column.name] for column in reading.columns)
    same = reading.postgres_major == version // 10_000
    return _Plan(
        found,
        reading,
        columns,
        tuple(found.columns[column] for column in reading.key),
        binary=same and all(column.is_binary_safe for column in columns),
    )


def _select(columns: Sequence[FoundColumn]) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL("{}::text" if column.is_cast else "{}").format(sql.Identifier(column.name))
        for column in columns
    )


def _where(conditions: Iterable[sql.Composable | None]) -> sql.Composable:
    held = [condition for condition in conditions if condition is not None]
    return sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(held)) if held else sql.SQL("")


def _not_null(columns: Sequence[FoundColumn]) -> list[sql.Composable]:
    return [sql.SQL("{} IS NOT NULL").format(sql.Identifier(column.name)) for column in columns]


def _is_among(
    key: Sequence[FoundColumn], wanted: Sequence[Mapping[str, str | None]]
) -> sql.Composable:
    rows = [
        sql.SQL("({})").format(
            sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Literal(row[column.name]), sql.SQL(column.plain_type))
                for column in key
            )
        )
        for row in wanted
    ]
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in key)
    return sql.SQL("({}) IN ({})").format(names, sql.SQL(", ").join(rows))


def _chunk(plan: _Plan, rows: Sequence[bytes], resume: _Resume | None) -> Chunk:
    return Chunk(
        columns=tuple(column.column for column in plan.columns),
        rows=rows,
        encoding=Encoding.BINARY if plan.binary else Encoding.TEXT,
        resume=None if resume is None or not plan.key else resume.to_json(),
    )


def _keyless(plan: _Plan, column: FoundColumn, row: bytes) -> BadRow:
    names = [one.name for one in plan.columns]
    cells = find_cells(row, range(len(names)), binary=False)
    texts = [None if cell is None else cell.decode() for cell in cells]
    values = dict(zip(names, texts, strict=True))
    key = {one.name: values[one.name] for one in plan.key}
    words = f"{column.name} is NULL, and it is of the key"
    return BadRow("value", words, column.name, key, raw=row[:_RAW_BYTES_MAX], values=values)
