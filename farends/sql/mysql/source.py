"""MySQL and MariaDB as sources of rows.

Each reading is one statement in one snapshot, in the order of the key. The server writes each row in the text form
of COPY (`types.make_line`), so no value becomes a Python object here. A row that the server cannot write so (over
its `max_allowed_packet`) is NULL and goes to quarantine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pymysql

from farends.contract import Context
from farends.errors import SchemaGone, Unstable
from farends.rows.contract import (
    CHUNK_BYTES,
    CHUNK_S,
    BadRow,
    Begun,
    Chunk,
    Entity,
    Preview,
    Reading,
    RowCapabilities,
)
from farends.rows.copy_text import NULL, decode_row, show_bytes
from farends.spec import Target
from farends.sql.mysql.catalog import (
    MysqlRelation,
    get_mysql_relation,
    list_mysql_relations,
    tell_column,
)
from farends.sql.mysql.connection import MysqlSession, connect_mysql, kill_statement
from farends.sql.mysql.errors import mysql_mapped
from farends.sql.mysql.marks import begin_mysql_reading, newer_than_mark
from farends.sql.mysql.types import ZERO, MysqlColumn, make_line, quote

_KEYS_AT_ONCE = 1000
_RAW_BYTES_MAX = 65_536
_SNAPSHOT = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
_REPEATABLE = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_BIG = "the row is larger than the server may send (max_allowed_packet), or than a row may be here"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is read of one relation. `columns` are in the order of a row."""

    found: MysqlRelation
    reading: Reading
    columns: list[MysqlColumn]
    key: list[MysqlColumn]

    @property
    def table(self) -> str:
        return f"{quote(self.found.schema)}.{quote(self.found.name)}"

    @property
    def resumes(self) -> bool:
        return bool(self.key) and all(one.resumes and not one.is_nullable for one in self.key)

    def keys_only(self) -> _Plan:
        return replace(self, columns=self.key)


@dataclass
class _Gathered:
    """Rows on their way into a chunk."""

    rows: list[bytes] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    size_bytes: int = 0
    nulled: int = 0
    began_at: float = field(default_factory=time.monotonic)

    @property
    def is_full(self) -> bool:
        return self.size_bytes >= CHUNK_BYTES or time.monotonic() - self.began_at >= CHUNK_S


def open_mysql_source(target: Target, context: Context) -> MysqlSource:
    """Connects and logs in. Raises TransportError's children."""
    return MysqlSource(target, context, connect_mysql(target, context))


class MysqlSource:
    def __init__(self, target: Target, context: Context, session: MysqlSession) -> None:
        self._target = target
        self._context = context
        self._session = session
        self._plan: _Plan | None = None
        self.capabilities = RowCapabilities(
            server_software=tell_server(session),
            sweeps_keys=True,
            resumes=True,
            counts_doubles=True,
            reads_by_key=True,
        )

    @property
    def drifted(self) -> bool:
        return False

    def entities(self, prefix: str = "") -> Iterator[Entity]:
        with self._guarded():
            found = list_mysql_relations(self._session, prefix)
        yield from (one.to_entity() for one in found if one.columns)

    def describe(self, spec: Mapping[str, Any]) -> Entity:
        return self._find(spec).to_entity()

    def preview(self, spec: Mapping[str, Any], limit: int) -> Preview:
        found = self._find(spec)
        columns = list(found.columns.values())
        plan = _Plan(found, Reading(spec, (), ()), columns, [])
        with self._guarded():
            rows = [
                row
                for batch in self._session.stream(_select(plan, [], f" LIMIT {limit + 1}"))
                for row in batch
            ]
        shown = tuple(_show(columns, row) for row in rows[:limit])
        return Preview(tuple(map(tell_column, columns)), shown, complete=len(rows) <= limit)

    def begin(self, reading: Reading) -> Begun:
        plan = _make_plan(self._find(reading.spec), reading)
        with self._guarded():
            begun = begin_mysql_reading(self._session, plan.found, reading)
        self._plan = plan if begun.lost is None else replace(plan, reading=reading.whole())
        return begun

    def read(self, after: Any | None = None) -> Iterator[Chunk]:
        plan = self._begun()
        told = after or {}
        if told.get("is_whole"):
            return
        conditions = [newer_than_mark(plan.found, plan.reading), _behind(plan, told.get("key"))]
        order = ", ".join(quote(one.name) for one in plan.key)
        query = _select(plan, conditions, f" ORDER BY {order}" if order else "")
        last: list[str | None] | None = told.get("key")
        with self._snapshot():
            gathered = _Gathered()
            for batch in self._session.stream(query):
                last = _gather(plan, batch, gathered, last)
                if gathered.is_full:
                    yield _chunk(plan, gathered, last)
                    gathered = _Gathered()
            nulls = self._count_nulls(plan)
            if gathered.rows or gathered.bad or nulls:
                made = _chunk(plan, gathered, last, is_whole=True)
                yield replace(made, without_cursor=nulls)

    def read_keys(self) -> Iterator[Chunk]:
        plan = self._begun().keys_only()
        with self._snapshot():
            yield from self._read_plainly(plan, _select(plan, [], ""))

    def read_rows(self, keys: Iterable[Mapping[str, str | None]]) -> Iterator[Chunk]:
        plan = self._begun()
        wanted = iter(keys)
        while some := list(islice(wanted, _KEYS_AT_ONCE)):
            with self._snapshot():
                yield from self._read_plainly(plan, _select(plan, [_is_among(plan, some)], ""))

    def count_doubles(
        self, keys: Iterable[Mapping[str, str | None]]
    ) -> list[Mapping[str, str | None]]:
        plan = self._begun()
        wanted = iter(keys)
        names = [one.name for one in plan.key]
        group = ", ".join(map(quote, names))
        found: list[Mapping[str, str | None]] = []
        while some := list(islice(wanted, _KEYS_AT_ONCE)):
            ending = f" GROUP BY {group} HAVING COUNT(*) > 1"
            query = _select(plan.keys_only(), [_is_among(plan, some)], ending)
            with self._guarded():
                rows = [row for batch in self._session.stream(query) for row in batch]
            found += [dict(zip(names, decode_row(row), strict=True)) for row in rows if row]
        return found

    def close(self) -> None:
        with contextlib.suppress(pymysql.Error):
            self._session.abandon()

    def _read_plainly(self, plan: _Plan, query: str) -> Iterator[Chunk]:
        gathered = _Gathered()
        for batch in self._session.stream(query):
            _gather(plan, batch, gathered, None)
            if gathered.is_full:
                yield _chunk(plan, gathered, None)
                gathered = _Gathered()
        if gathered.rows or gathered.bad:
            yield _chunk(plan, gathered, None)

    def _find(self, spec: Mapping[str, Any]) -> MysqlRelation:
        with self._guarded():
            return get_mysql_relation(self._session, spec, self._target.options.database)

    def _begun(self) -> _Plan:
        if self._plan is None:
            raise RuntimeError("`begin` comes before anything is read")
        return self._plan

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Errors leave mysql_mapped. Where the work is over in the middle of a statement, the server is told to end it."""
        try:
            with mysql_mapped():
                yield
        except GeneratorExit:
            raise
        except BaseException:
            if not self._session.open:
                kill_statement(self._target, self._context, self._session.thread)
            raise

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        with self._guarded():
            if not self._session.open:  # a reading that was left has closed it
                self._session = connect_mysql(self._target, self._context)
            self._session.ask(_REPEATABLE)
            self._session.ask(_SNAPSHOT)
            try:
                yield
            finally:
                if self._session.open:
                    with contextlib.suppress(pymysql.Error):
                        self._session.ask("ROLLBACK")

    def _count_nulls(self, plan: _Plan) -> int:
        cursor = plan.reading.cursor
        if cursor is None or not plan.found.columns[cursor.field].is_nullable:
            return 0
        query = f"SELECT COUNT(*) FROM {plan.table} WHERE {quote(cursor.field)} IS NULL"  # noqa: S608 — names are quoted
        return int(self._session.ask(query)[0][0])


def tell_server(session: MysqlSession) -> str:
    told = session.server_version_text
    return f"MariaDB {told.removeprefix('5.5.5-')}" if "MariaDB" in told else f"MySQL {told}"


def _make_plan(found: MysqlRelation, reading: Reading) -> _Plan:
    """Raises SchemaGone where the key or the cursor is not there any more."""
    for name in reading.key:
        if name not in found.columns:
            raise SchemaGone(f"{found.full_name} has no column {name}, which is of the key")
    cursor = reading.cursor
    if cursor is not None and cursor.field not in found.columns:
        raise SchemaGone(f"{found.full_name} has no column {cursor.field}, which is the cursor")
    gone = [one.name for one in reading.columns if one.name not in found.columns]
    if gone:
        raise Unstable(f"{found.full_name} has lost the column {gone[0]} a moment ago")
    columns = [found.columns[one.name] for one in reading.columns]
    return _Plan(found, reading, columns, [found.columns[name] for name in reading.key])


def _select(plan: _Plan, conditions: Iterable[str], ending: str) -> str:
    held = [condition for condition in conditions if condition]
    where = f" WHERE {' AND '.join(held)}" if held else ""
    return f"SELECT {make_line(plan.columns)} FROM {plan.table}{where}{ending}"  # noqa: S608 — names and values are quoted


def _behind(plan: _Plan, key: Sequence[str] | None) -> str:
    """The condition of rows behind that key, in a form that an index serves."""
    if not key:
        return ""
    pairs = list(zip(plan.key, key, strict=True))
    ways = []
    for place, (column, cell) in enumerate(pairs):
        same = [f"{quote(one.name)} = {one.write(text)}" for one, text in pairs[:place]]
        ways.append(" AND ".join([*same, f"{quote(column.name)} > {column.write(cell)}"]))
    return "(" + " OR ".join(f"({way})" for way in ways) + ")"


def _is_among(plan: _Plan, wanted: Sequence[Mapping[str, str | None]]) -> str:
    rows = [
        "(" + " AND ".join(_equals(column, row[column.name]) for column in plan.key) + ")"
        for row in wanted
    ]
    return "(" + " OR ".join(rows) + ")"


def _equals(column: MysqlColumn, cell: str | None) -> str:
    if cell is None:
        return f"{quote(column.name)} IS NULL"
    return f"{quote(column.name)} = {column.write(cell)}"


def _gather(
    plan: _Plan, batch: list[bytes | None], into: _Gathered, last: list[str | None] | None
) -> list[str | None] | None:
    """Takes a batch in; the key of its last row."""
    whole = b"".join([row for row in batch if row])
    if not all(batch) or b"\0" in whole or ZERO in whole:
        for row in batch:
            _take_odd(plan, row, into)
    else:
        into.rows += batch  # type: ignore[arg-type]  # all of them are bytes
    into.size_bytes += len(whole)
    if plan.resumes and (row := next((one for one in reversed(batch) if one), None)):
        cells = decode_row(row)
        names = [one.name for one in plan.columns]
        last = [cells[names.index(one.name)] for one in plan.key]
    return last


def _take_odd(plan: _Plan, row: bytes | None, into: _Gathered) -> None:
    if not row:
        into.bad.append(BadRow("too_large", _BIG))
        return
    cells = row[:-1].split(b"\t")
    zeros = cells.count(ZERO)
    if zeros:
        row = b"\t".join([NULL if cell == ZERO else cell for cell in cells]) + b"\n"
    places = [place for place, cell in enumerate(cells) if b"\0" in cell]
    if places:
        into.bad.append(_tell_nul(plan, row, plan.columns[places[0]]))
        return
    into.nulled += zeros
    into.rows.append(row)


def _tell_nul(plan: _Plan, row: bytes, column: MysqlColumn) -> BadRow:
    values = dict(zip((one.name for one in plan.columns), decode_row(row), strict=True))
    return BadRow(
        "encoding",
        f"{column.name} holds a NUL character, which no text of PostgreSQL can hold",
        column.name,
        {one.name: values[one.name] for one in plan.key},
        raw=row[:_RAW_BYTES_MAX],
        values=values,
    )


def _chunk(
    plan: _Plan, gathered: _Gathered, last: list[str | None] | None, *, is_whole: bool = False
) -> Chunk:
    resume = {"key": last, "is_whole": is_whole} if plan.resumes else None
    return Chunk(
        columns=tuple(map(tell_column, plan.columns)),
        rows=gathered.rows,
        resume=resume,
        bad=tuple(gathered.bad),
        nulled=gathered.nulled,
    )


def _show(columns: Sequence[MysqlColumn], row: bytes | None) -> tuple[str | None, ...]:
    if not row:
        return tuple(None for _ in columns)
    zero_told = b"\t".join(NULL if cell == ZERO else cell for cell in row[:-1].split(b"\t"))
    cells = decode_row(zero_told)
    return tuple(
        None if cell is None else column.show(show_bytes(cell.encode()))
        for column, cell in zip(columns, cells, strict=True)
    )
