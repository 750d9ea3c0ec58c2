"""`…/datasets/{dataset}/schema`, `…/rows` and `…/versions/{number}/changes`: tables of a dataset, as any version holds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any

import psycopg
from django.db import DataError
from django.http import HttpRequest
from ninja import Path, Query, Router, Schema
from pydantic import Field

from api.rest.answers import CONFLICTS, GONE, Refused, not_found
from api.rest.callers import VIEWER, caller_of
from api.rest.datasets import DatasetIn, need_kind, need_version, refuse_expired_version
from api.rest.finding import WorkspaceIn, need_row
from api.rest.keyed import KeyedQuery, no_such_page, pack_key, unpack_key
from api.shapes.answers import Problem
from api.shapes.datasets import NUMBER_MAX
from api.shapes.tables import (
    RowChangePage,
    TableRowPage,
    TableSchemaOut,
    tell_row,
    tell_row_change,
    tell_schema,
)
from database.rows import Cursor
from datasets.diffs import EntryChange
from datasets.models import Dataset, DatasetKind
from datasets.tables.as_of import RowPage, find_row_of_key, page_of_rows
from datasets.tables.columns import TableAt, TableGone, describe_table, see_table
from datasets.tables.keys import InvalidKey, read_key
from syncjobs.queries.datasets import described_tables
from syncjobs.queries.tables import (
    NoSuchTable,
    SeveralTables,
    TableAway,
    TableKey,
    choose_table,
    list_changed_rows,
    moment_of_table,
)

router = Router(tags=["datasets"])
ANSWERS: Any = {**CONFLICTS, **GONE, 503: Problem}
TABLE = (
    "A table's name, or what its source calls it; may be left out where the version has one alone."
)
_NO_VALUES = (DataError, psycopg.DataError)  # of the home database, and of another
_NAME = r"^[^\x00]+$"
VersionNumber = Annotated[
    int | None,
    Field(ge=1, le=NUMBER_MAX, description="A version's number; the current one where left out."),
]
TableName = Annotated[str | None, Field(max_length=1_000, pattern=_NAME, description=TABLE)]


class TableQuery(Schema):
    version: VersionNumber = None
    table: TableName = None


class RowQuery(KeyedQuery, TableQuery):
    key: list[Annotated[str, Field(max_length=8_000)]] = Field(
        [],
        max_length=32,
        description='Only the row of this key: `{"id": "5"}`, or for each column of the key, in the key\'s order, a'
        " parameter such as `5` or `id:5`.",
    )


class ChangeQuery(KeyedQuery):
    table: TableName = None
    change: EntryChange | None = Field(None, description="Only rows that were changed so.")


@router.get("/{dataset}/schema", response={200: TableSchemaOut, **ANSWERS}, auth=VIEWER)
def read_schema(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    query: Annotated[TableQuery, Query()],
) -> dict[str, Any]:
    """Tells which columns a table has in a version, and which of them its source no longer has."""
    held = _get_dataset_of_tables(request, dataset)
    number = need_version(held, query.version).number
    with refusing():
        chosen = choose_table(held, number, query.table)
        told = described_tables().get(pk=chosen.pk)
        if chosen.connector_id is not None:
            return tell_schema(told, describe_table(chosen, number))
        with moment_of_table(chosen) as cursor:
            return tell_schema(told, see_table(cursor, chosen, number))


@router.get("/{dataset}/rows", response={200: TableRowPage, **ANSWERS}, auth=VIEWER)
def list_rows(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    query: Annotated[RowQuery, Query()],
) -> dict[str, Any]:
    """Lists rows by key. `next` means the same version, whatever is published meanwhile."""
    held = _get_dataset_of_tables(request, dataset)
    wanted, named, after = query.version, query.table, None
    if query.cursor is not None:
        [wanted], [named, *after] = unpack_key(query.cursor, 1)
        if query.version not in (None, wanted) or query.table not in (None, named):
            raise no_such_page()
    number = need_version(held, wanted).number
    with refusing():
        table = choose_table(held, number, named)
        with moment_of_table(table) as cursor:
            seen = see_table(cursor, table, number)
            if query.key:
                page = _page_of_key(cursor, seen, query.key)
            else:
                page = _page_behind(cursor, seen, after, query.limit)
    return {
        "items": [tell_row(seen, row) for row in page.rows],
        "next": None if page.last is None else pack_key([number, table.name, *page.last]),
        "version": number,
    }


@router.get(
    "/{dataset}/versions/{number}/changes", response={200: RowChangePage, **ANSWERS}, auth=VIEWER
)
def list_changes(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    number: Annotated[int, Path(ge=1, le=NUMBER_MAX)],
    query: Annotated[ChangeQuery, Query()],
) -> dict[str, Any]:
    """Lists the rows that a version changed against the version before, by table and key. A page can be shorter than
    `limit` and have a `next` all the same."""
    held = _get_dataset_of_tables(request, dataset)
    need_version(held, number)
    if number > 1:  # what it changed is told by the version before
        refuse_expired_version(held, number - 1)
    return page_of_row_changes(held, number - 1, number, query)


def page_of_row_changes(
    dataset: Dataset, before: int, after: int, query: ChangeQuery
) -> dict[str, Any]:
    """Raises Refused."""
    start = None
    if query.cursor is not None:
        versions, [table, *key] = unpack_key(query.cursor, 2)
        if versions != [before, after]:
            raise no_such_page()
        start = TableKey(table, tuple(key))
    try:
        with refusing():
            found, following = list_changed_rows(
                dataset,
                before,
                after,
                table=query.table,
                start=start,
                only=query.change,
                limit=query.limit,
            )
    except (InvalidKey, DataError):
        raise no_such_page() from None
    return {
        "items": [tell_row_change(each.tables, each.row) for each in found],
        "next": following and pack_key([before, after, following.table, *following.key]),
    }


@contextmanager
def refusing() -> Iterator[None]:
    """What cannot be read of a table is refused. Raises Refused."""
    try:
        yield
    except NoSuchTable:
        raise not_found("table") from None
    except SeveralTables as exc:
        raise Refused(HTTPStatus.CONFLICT, f"Say which by `table`: {exc}.") from None
    except (TableAway, TableGone) as exc:
        words = f"This table cannot be read: {exc}."
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, words) from None


def _get_dataset_of_tables(request: HttpRequest, called: str) -> Dataset:
    """Raises Refused."""
    found = need_row(Dataset.objects.all(), caller_of(request).workspace, called, "dataset")
    need_kind(found, DatasetKind.TABLE)
    return found


def _page_of_key(cursor: Cursor, table: TableAt, given: list[str]) -> RowPage:
    """Raises Refused."""
    try:
        row = find_row_of_key(cursor, table, read_key(table.key, given))
    except InvalidKey as exc:
        words = str(exc)
    except _NO_VALUES:
        words = "no value of the key's type is written so"
    else:
        return RowPage([] if row is None else [row], None)
    raise Refused(HTTPStatus.BAD_REQUEST, f"{words}.", errors={"key": [words]})


def _page_behind(cursor: Cursor, table: TableAt, after: list[str] | None, limit: int) -> RowPage:
    """Raises Refused."""
    if after is not None and len(after) != len(table.key):
        raise no_such_page()
    try:
        return page_of_rows(cursor, table, after=tuple(after or ()) or None, limit=limit)
    except _NO_VALUES:
        raise no_such_page() from None
