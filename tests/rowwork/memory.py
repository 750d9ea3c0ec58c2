"""A source of rows in memory, that follows the contract as a database would: with a mark taken before the reading,
chunks in key order, a resume and NULL cursors that are always read.

Each writing raises the clock of the table, which is what `xmin` is in PostgreSQL. Connectors name their database by `root`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from farends.contract import Context
from farends.errors import RootMissing, SchemaGone
from farends.reaching import Reach, ReachSecret
from farends.rows.contract import (
    BadRow,
    Begun,
    Chunk,
    Column,
    CursorChoice,
    CursorOrder,
    Encoding,
    Entity,
    EntityKind,
    KeyFrom,
    Mark,
    MarkKind,
    MarkLostReason,
    Preview,
    Reading,
    RowCapabilities,
)
from farends.rows.copy_text import encode_row
from farends.spec import ROWS, Spec, Target, option

KIND = "memory-rows"
Row = dict[str, str | None]


@dataclass
class MemoryTable:
    """`raw` are bytes that come in the place of a row, by its key."""

    columns: list[Column]
    key: tuple[str, ...] = ("id",)
    rows: list[Row] = field(default_factory=list)
    cursors: tuple[CursorChoice, ...] = (CursorChoice(CursorOrder("xmin"), proposed=True),)
    clock: int = 0
    stamps: dict[int, int] = field(default_factory=dict)  # by the row's identity in memory
    raw: dict[tuple[str | None, ...], bytes] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)

    def key_of(self, row: Row) -> tuple[str | None, ...]:
        return tuple(row[name] for name in self.key)

    def add(self, **cells: str | None) -> Row:
        row: Row = {column.name: cells.get(column.name) for column in self.columns}
        self.rows.append(row)
        self.touch(row)
        return row

    def touch(self, row: Row, **cells: str | None) -> None:
        row.update(cells)
        self.clock += 1
        self.stamps[id(row)] = self.clock

    def find(self, **key: str) -> Row:
        return next(row for row in self.rows if all(row[name] == key[name] for name in key))

    def remove(self, **key: str) -> None:
        self.rows.remove(self.find(**key))


@dataclass
class MemoryDatabase:
    tables: dict[str, MemoryTable] = field(default_factory=dict)
    chunk_rows: int = 10
    resumes: bool = True
    lost: MarkLostReason | None = None
    drifts: int = 0  # so many readings say that the rows moved
    before_chunk: Callable[[int], None] = lambda number: None
    readings: list[tuple[str, Mark | None, Any]] = field(default_factory=list)
    opened: int = 0
    closed: int = 0


DATABASES: dict[str, MemoryDatabase] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRowOptions(Reach):
    root: str = option("Database", "Which of the databases in memory.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MemoryRowSecret(ReachSecret):
    """Nobody has to log in."""


class MemoryRows:
    def __init__(self, database: MemoryDatabase, context: Context) -> None:
        self._database = database
        self._context = context
        self._reading: Reading | None = None
        self._since: Mark | None = None
        self._drifted = False

    @property
    def capabilities(self) -> RowCapabilities:
        return RowCapabilities(
            "memory", sweeps_keys=True, resumes=self._database.resumes, counts_doubles=True,
            reads_by_key=True,
        )  # fmt: skip

    @property
    def drifted(self) -> bool:
        return self._drifted

    def entities(self, prefix: str = "") -> Iterator[Entity]:
        for name in sorted(self._database.tables):
            if name.startswith(prefix):
                yield self.describe({"table": name})

    def describe(self, spec: Mapping[str, Any]) -> Entity:
        table = self._table(spec)
        return Entity(
            name=f"public.{spec['table']}",
            kind=EntityKind.TABLE,
            spec={"schema": "public", "table": spec["table"]},
            columns=tuple(table.columns),
            key=table.key,
            key_from=KeyFrom.PRIMARY if table.key else KeyFrom.NONE,
            cursors=table.cursors,
            estimated_rows=len(table.rows),
        )

    def preview(self, spec: Mapping[str, Any], limit: int) -> Preview:
        raise NotImplementedError("nobody looks at it here")

    def begin(self, reading: Reading) -> Begun:
        table = self._table(reading.spec)
        names = {column.name for column in table.columns}
        cursor = reading.cursor
        wanted = [*reading.key, *([cursor.field] if cursor and not cursor.is_xmin else [])]
        if missing := [name for name in wanted if name not in names]:
            raise SchemaGone(f"no column {missing[0]}")
        lost, self._database.lost = self._database.lost if reading.since else None, None
        self._reading = reading
        self._since = None if lost else reading.since
        self._drifted = False
        return Begun(self._take_mark(table, cursor), lost)

    def _take_mark(self, table: MemoryTable, cursor: CursorOrder | None) -> Mark | None:
        if cursor is None:
            return None
        if cursor.is_xmin:
            return Mark(MarkKind.XMIN, "xmin", str(table.clock))
        values = [value for row in table.rows if (value := row[cursor.field]) is not None]
        return Mark(MarkKind.COLUMN, cursor.field, max(values)) if values else None

    def read(self, after: Any | None = None) -> Iterator[Chunk]:
        assert self._reading is not None
        reading = self._reading
        table = self._table(reading.spec)
        self._database.readings.append((reading.spec["table"], reading.since, after))
        found = sorted(
            (row for row in table.rows if self._is_due(table, row)),
            key=lambda row: [cell or "" for cell in table.key_of(row)],
        )
        if after is not None:
            found = [row for row in found if [*table.key_of(row)] > after]
        size = self._database.chunk_rows
        for number, first in enumerate(range(0, max(len(found), 1), size)):
            self._context.check()
            self._database.before_chunk(number)
            yield self._chunk(
                table, reading, found[first : first + size], last=first + size >= len(found)
            )
        self._drifted, self._database.drifts = (
            self._database.drifts > 0,
            max(0, self._database.drifts - 1),
        )

    def _is_due(self, table: MemoryTable, row: Row) -> bool:
        if self._since is None:
            return True
        if self._since.kind is MarkKind.XMIN:
            return table.stamps[id(row)] > int(self._since.text)
        value = row[self._since.field]
        return value is None or value >= self._since.text

    def _chunk(self, table: MemoryTable, reading: Reading, rows: list[Row], *, last: bool) -> Chunk:
        cursor = reading.cursor
        return Chunk(
            columns=reading.columns,
            rows=[
                table.raw.get(table.key_of(row))
                or encode_row([row[column.name] for column in reading.columns])
                for row in rows
            ],
            encoding=Encoding.TEXT,
            resume=[*table.key_of(rows[-1])] if rows and self._database.resumes else None,
            bad=tuple(table.bad) if last else (),
            without_cursor=0
            if cursor is None or cursor.is_xmin
            else sum(row[cursor.field] is None for row in rows),
        )

    def read_keys(self) -> Iterator[Chunk]:
        assert self._reading is not None
        reading = self._reading
        table = self._table(reading.spec)
        columns = tuple(column for column in reading.columns if column.name in reading.key)
        yield Chunk(columns, [encode_row([row[one.name] for one in columns]) for row in table.rows])

    def read_rows(self, keys: Iterable[Mapping[str, str | None]]) -> Iterator[Chunk]:
        assert self._reading is not None
        reading = self._reading
        table = self._table(reading.spec)
        wanted = [tuple(key[name] for name in reading.key) for key in keys]
        yield self._chunk(
            table,
            reading,
            [row for row in table.rows if tuple(row[name] for name in reading.key) in wanted],
            last=False,
        )

    def count_doubles(
        self, keys: Iterable[Mapping[str, str | None]]
    ) -> list[Mapping[str, str | None]]:
        assert self._reading is not None
        table = self._table(self._reading.spec)
        return [
            key
            for key in keys
            if sum(all(row[name] == key[name] for name in key) for row in table.rows) > 1
        ]

    def close(self) -> None:
        self._database.closed += 1

    def _table(self, spec: Mapping[str, Any]) -> MemoryTable:
        try:
            return self._database.tables[spec["table"]]
        except KeyError:
            raise RootMissing(f"there is no table {spec['table']}") from None


def _open(target: Target, context: Context) -> MemoryRows:
    database = DATABASES[target.options.root]
    database.opened += 1
    return MemoryRows(database, context)


def _open_files(target: Target, context: Context) -> NoReturn:
    raise NotImplementedError("there are no files")


SPEC = Spec(
    KIND,
    "Rows in memory",
    1,
    MemoryRowOptions,
    MemoryRowSecret,
    _open_files,
    open_rows=_open,
    far_end=ROWS,
)
