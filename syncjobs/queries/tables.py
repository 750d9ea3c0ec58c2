"""Which rows a dataset's tables hold at a version, and which differ between two: wherever the tables lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
from django.db import DataError
from django.db.models import Min

from connectors.models import Connector
from connectors.opening import open_database
from database.rows import Cursor
from datasets.diffs import EntryChange
from datasets.models import Dataset, Table
from datasets.tables.as_of import Key
from datasets.tables.changes import RowChange, TwoTables, page_of_changes
from datasets.tables.columns import see_twice
from datasets.tables.keys import InvalidKey
from datasets.tables.moments import PAGE_S, moment_of, moment_of_home
from farends.errors import Stalled, TransportError


class TableAway(Exception):
    """The database that the table lies in cannot be asked; the message says why."""


class NoSuchTable(LookupError):
    """The version has no table of that name, or none at all."""


class SeveralTables(Exception):
    """The version has several tables, and nobody said which; the message names them."""


@dataclass(frozen=True, slots=True)
class TableKey:
    """Where a list of rows of several tables goes on: behind this key of this table; without one at its first row."""

    table: str
    key: Key


@dataclass(frozen=True, slots=True)
class ChangedRow:
    tables: TwoTables
    row: RowChange


@contextmanager
def moment_of_table(table: Table, *, longest_s: float = PAGE_S) -> Iterator[Cursor]:
    """A cursor of the table's database; all that is read within belongs together. Raises TableAway."""
    if table.connector_id is None:
        with moment_of_home(longest_s=longest_s) as cursor:
            yield cursor
        return
    owner = table.dataset.workspace_id
    connector = Connector.objects.filter(pk=table.connector_id, workspace=owner).first()
    if connector is None:
        raise TableAway("the connector of its database is not there any more")
    try:
        with (
            closing(open_database(connector, check=_end_after(longest_s))) as session,
            moment_of(session, longest_s=longest_s) as cursor,
        ):
            yield cursor
    except psycopg.DataError as exc:  # as the home database tells it
        raise DataError(str(exc)) from exc
    except (psycopg.Error, TransportError) as exc:
        lines = str(exc).splitlines()
        raise TableAway(lines[0] if lines else type(exc).__name__) from exc


def _end_after(longest_s: float) -> Callable[[], None]:
    """The check of a wait that a person, or a program, is at the other end of. 0: as long as it takes."""
    end = time.monotonic() + longest_s

    def check() -> None:
        if longest_s and time.monotonic() > end:
            raise Stalled(f"no answer within {longest_s:.0f} s")

    return check


def choose_table(dataset: Dataset, number: int, called: str | None) -> Table:
    """The table of the version that is called so, by its source, with or without the source's schema, or in its own
    schema; its only one where it is not said which. Raises NoSuchTable, SeveralTables."""
    known = dataset.tables.annotate(first=Min("versions__number")).order_by("name")
    tables = list(known.filter(first__lte=number))
    if called is not None:
        named = [table for table in tables if table.name == called]
        named = named or [table for table in tables if table.relation == called]
        named = named or [table for table in tables if table.name.endswith(f".{called}")]
        if len(named) != 1:
            raise NoSuchTable(f"version {number} of {dataset.name} has no table {called}")
        return named[0]
    if not tables:
        raise NoSuchTable(f"version {number} of {dataset.name} has no table")
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables[:20])
        raise SeveralTables(f"version {number} of {dataset.name} has several tables: {names}")
    return tables[0]


def list_changed_rows(
    dataset: Dataset,
    before: int,
    after: int,
    *,
    table: str | None = None,
    start: TableKey | None = None,
    only: EntryChange | None = None,
    limit: int,
) -> tuple[list[ChangedRow], TableKey | None]:
    """The next rows that differ, by table and key, and where the next page begins; None: there is none. A page may be short.
    Raises TableAway, TableGone, NoSuchTable, InvalidKey."""
    found: list[ChangedRow] = []
    for each in _touched_tables(dataset, before, after, table):
        if start is not None and each.name < start.table:
            continue
        if len(found) == limit:
            return found, TableKey(each.name, ())
        key = start.key if start is not None and each.name == start.table else ()
        if key and len(key) != len(each.key):
            raise InvalidKey(f"{each.name} has a key of {len(each.key)} columns")
        with moment_of_table(each) as cursor:
            tables = TwoTables(*see_twice(cursor, each, before, after))
            page = page_of_changes(
                cursor, tables, after=key or None, only=only, limit=limit - len(found)
            )
        found += [ChangedRow(tables, row) for row in page.changes]
        if page.last is not None:
            return found, TableKey(each.name, page.last)
    return found, None


def iter_changed_rows(dataset: Dataset, before: int, after: int) -> Iterator[ChangedRow]:
    """All of them. Raises as `list_changed_rows`."""
    start = None
    while True:
        found, start = list_changed_rows(dataset, before, after, start=start, limit=2_000)
        yield from found
        if start is None:
            return


def _touched_tables(dataset: Dataset, before: int, after: int, called: str | None) -> list[Table]:
    low, high = sorted((before, after))
    if called is not None:
        chosen = choose_table(dataset, high, called)
        return [chosen]
    touched = dataset.tables.filter(versions__number__gt=low, versions__number__lte=high)
    return sorted(touched.distinct(), key=lambda table: table.name)
