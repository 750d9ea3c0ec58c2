from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from connectors.models import Connector
from datasets.models import Table
from events.models import SyncEvent
from farends.registry import SPECS
from farends.rows.contract import Column
from farends.spec import Target
from syncjobs.models import SyncJob
from tests.rows import make_connector, make_job
from tests.rowwork.memory import (
    DATABASES,
    KIND,
    SPEC,
    MemoryDatabase,
    MemoryRowOptions,
    MemoryRowSecret,
    MemoryTable,
)

MakeJob = Callable[..., SyncJob]

ORDERS = [
    Column("id", "int", "bigint", nullable=False),
    Column("name", "varchar(40)", "character varying(40)"),
    Column("qty", "int", "integer"),
    Column("updated_at", "timestamptz", "timestamp with time zone"),
]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryDatabase]:
    """With a table of 100 orders."""
    monkeypatch.setitem(SPECS, KIND, SPEC)
    made = MemoryDatabase({"orders": MemoryTable(list(ORDERS))})
    DATABASES["memory"] = made
    for number in range(1, 101):
        made.tables["orders"].add(
            id=str(number),
            name=f"name {number}",
            qty=str(number % 7),
            updated_at=f"2026-01-01 00:00:{number % 60:02}+00",
        )
    yield made
    del DATABASES["memory"]


@pytest.fixture
def orders(database: MemoryDatabase) -> MemoryTable:
    return database.tables["orders"]


@pytest.fixture
def connector_of_rows(database: MemoryDatabase) -> Connector:
    target = Target("192.0.2.1", 1, MemoryRowOptions(root="memory"), MemoryRowSecret())
    return make_connector(target, kind=KIND)


@pytest.fixture
def make_row_job(connector_of_rows: Connector) -> MakeJob:
    def make(**fields: Any) -> SyncJob:
        fields = {"entity": {"table": "orders"}} | fields
        return make_job(connector_of_rows, **fields)

    return make


@pytest.fixture
def job(make_row_job: MakeJob) -> SyncJob:
    return make_row_job()


def table_of(job: SyncJob, name: str = "public.orders") -> Table:
    return Table.objects.get(dataset=job.dataset, name=name)


def rows_of(job: SyncJob, name: str = "public.orders") -> list[dict[str, str | None]]:
    """What the destination holds, each value as text, in the order of the keys."""
    table = table_of(job, name)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE nspname = %s AND relname = %s AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum",
            [table.schema, table.relation],
        )
        names = [row[0] for row in cursor.fetchall()]
        quote = connection.ops.quote_name
        cells = ", ".join(f"{quote(name)}::text" for name in names)
        order = ", ".join(f"t.{quote(name)}" for name in table.key)
        cursor.execute(
            f"SELECT {cells} FROM {quote(table.schema)}.{quote(table.relation)} t ORDER BY {order}"  # noqa: S608
        )
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def held_as(source: MemoryTable) -> list[dict[str, str | None]]:
    """The source's rows, as `rows_of` would tell them."""
    return sorted(source.rows, key=lambda row: int(row["id"] or 0))


def system_columns(job: SyncJob, column: str = "xmin") -> list[str]:
    """Of each row, when it was written."""
    table = table_of(job)
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {column}::text FROM {quote(table.schema)}.{quote(table.relation)} ORDER BY id"  # noqa: S608
        )
        return [row[0] for row in cursor.fetchall()]


def history_of(job: SyncJob) -> list[tuple[Any, ...]]:
    """Version, change, key and image of each row of the history."""
    table = table_of(job)
    with connection.cursor() as cursor:
        cells = "_version, _change::text, id::text, name, qty, updated_at"
        place = f"syncproject_history.h_{table.pk.hex}"
        cursor.execute(f"SELECT {cells} FROM {place} h ORDER BY h.id, _version")  # noqa: S608
        return list(cursor.fetchall())


def events_by_name(record_id: Any) -> dict[str, dict[str, Any]]:
    """The data of the record's events that move it nowhere."""
    told = SyncEvent.objects.filter(record=record_id, to_state="running", from_state="running")
    return {event.event: event.data for event in told}
