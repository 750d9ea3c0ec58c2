"""Records of jobs whose rows come from a MariaDB: the table equals its source."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from datasets.models import Table
from syncjobs.core.states import State
from syncjobs.models import QuarantinedRow, SyncJob, SyncMode, SyncRecord
from tests.hosts.mariadb import MysqlDatabase, run_all
from tests.rows import make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = (
    "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100), day DATE, updated DATETIME(6))"
)


@pytest.fixture
def stock(mysql_database: MysqlDatabase) -> MysqlDatabase:
    """With 1,000 rows."""
    mysql_database.run(
        ITEMS,
        "INSERT INTO items SELECT seq, CONCAT('name ', seq), '2026-01-01',"
        " TIMESTAMP('2026-01-01') + INTERVAL seq SECOND FROM seq_1_to_1000",
    )
    return mysql_database


def job_of(stock: MysqlDatabase, **fields: Any) -> SyncJob:
    connector = make_connector(stock.target(), kind="sql")
    fields = {"entity": {"table": "items"}, "sync_mode": SyncMode.INCREMENTAL} | fields
    return make_job(connector, **fields)


def home_rows(job: SyncJob) -> list[tuple[Any, ...]]:
    table = Table.objects.get(dataset=job.dataset)
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, name, day, updated FROM {quote(table.schema)}.{quote(table.relation)} ORDER BY id"  # noqa: S608 — names are quoted
        )
        return list(cursor.fetchall())


def source_rows(stock: MysqlDatabase) -> list[tuple[Any, ...]]:
    with stock.session.cursor() as cursor:
        cursor.execute("SELECT id, name, NULLIF(day, 0), updated FROM items ORDER BY id")
        return list(cursor.fetchall())


def changes(record: SyncRecord) -> tuple[int | None, int | None, int | None]:
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    return (record.rows_added, record.rows_changed, record.rows_removed)


def test_t05_t06_only_what_differs_is_written_and_full_removes_what_is_gone(
    stock: MysqlDatabase,
) -> None:
    job = job_of(stock)
    assert changes(run(job)) == (1000, 0, 0)
    assert changes(run(job)) == (0, 0, 0)
    stock.run(
        "UPDATE items SET name = 'new', updated = '2026-02-01' WHERE id = 7",
        "INSERT INTO items VALUES (1001, 'tie', '2026-01-02', '2026-02-01')",
        "DELETE FROM items WHERE id <= 3",
    )
    assert changes(run(job)) == (1, 1, 0)
    assert changes(run(job, mode=SyncMode.FULL)) == (0, 0, 3)
    assert home_rows(job) == source_rows(stock)


def test_t02_a_row_that_is_committed_late_is_in_the_next_record(stock: MysqlDatabase) -> None:
    job = job_of(stock)
    writer = stock.connect()
    run_all(writer, "INSERT INTO items VALUES (2000, 'late', '2026-01-01', UTC_TIMESTAMP(6))")
    stock.run("INSERT INTO items VALUES (2001, 'in time', '2026-01-01', UTC_TIMESTAMP(6))")
    assert changes(run(job)) == (1001, 0, 0)
    writer.commit()
    writer.close()
    assert changes(run(job)) == (1, 0, 0)
    assert home_rows(job) == source_rows(stock)


def test_t14_dates_of_zeros_are_counted_and_a_part_of_zero_goes_to_quarantine(
    stock: MysqlDatabase,
) -> None:
    stock.run(
        "UPDATE items SET day = '0000-00-00' WHERE id IN (1, 2)",
        "UPDATE items SET day = '2025-00-15' WHERE id = 3",
    )
    job = job_of(stock)
    record = run(job)
    assert record.state == State.PARTIAL
    assert (record.rows_added, record.rows_failed, record.values_nulled) == (999, 1, 2)
    bad = QuarantinedRow.objects.get(record=record)
    assert (bad.code, bad.column, bad.key) == ("value", "day", {"id": "3"})
    stock.run("UPDATE items SET day = '2025-01-15' WHERE id = 3")
    assert changes(run(job, mode=SyncMode.FULL)) == (1, 0, 0)
    assert home_rows(job) == source_rows(stock)
