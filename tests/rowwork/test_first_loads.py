"""Rows come in, equal their source, and are written only where they differ."""

from __future__ import annotations

import pytest
from django.db import connection

from datasets.models import TableColumn, TableVersion, Version
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode
from tests.rows import run
from tests.rowwork.conftest import (
    MakeJob,
    events_by_name,
    held_as,
    history_of,
    rows_of,
    system_columns,
    table_of,
)
from tests.rowwork.memory import MemoryDatabase, MemoryTable

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_first_load_equals_its_source_and_is_a_version(job: SyncJob, orders: MemoryTable) -> None:
    record = run(job)
    assert (record.state, record.verdict, record.error) == (State.SUCCEEDED, "ok", "")
    assert rows_of(job) == held_as(orders)
    counted = (record.rows_read, record.rows_added, record.rows_changed, record.rows_removed)
    assert counted == (100, 100, 0, 0)
    assert (record.files_added, record.dataset_version) == (0, 1)
    table = table_of(job)
    assert (table.relation, table.key, table.rows, table.version) == ("orders", ["id"], 100, 1)
    assert table.schema == f"w_acme_{job.workspace_id.hex[:6]}"
    version = Version.objects.get(dataset=job.dataset)
    assert (version.rows, version.rows_added, version.tables_changed) == (
        100,
        100,
        ["public.orders"],
    )
    assert version.size_bytes > 0
    assert TableVersion.objects.get(table=table).rows_added == 100
    columns = TableColumn.objects.filter(table=table)
    assert [(one.name, one.type, one.in_key) for one in columns] == [
        ("id", "bigint", True),
        ("name", "character varying(40)", False),
        ("qty", "integer", False),
        ("updated_at", "timestamp with time zone", False),
    ]


@pytest.mark.parametrize("mode", [SyncMode.INCREMENTAL, SyncMode.FULL])
def test_t05_a_second_run_without_a_change_writes_nothing(
    job: SyncJob, orders: MemoryTable, mode: SyncMode
) -> None:
    run(job)
    written = system_columns(job)
    mark = table_of(job).mark
    orders.clock += 5
    record = run(job, mode=mode)
    assert record.state == State.SUCCEEDED
    counted = (record.rows_added, record.rows_changed, record.rows_removed)
    assert counted == (0, 0, 0)
    assert record.rows_unchanged == record.rows_read == (100 if mode == SyncMode.FULL else 0)
    assert system_columns(job) == written
    assert Version.objects.count() == 1
    assert record.dataset_version == 1
    assert table_of(job).mark != mark  # what is older need not be read again


def test_an_incremental_reads_what_changed_and_keeps_images_of_what_was(
    job: SyncJob, orders: MemoryTable, database: MemoryDatabase
) -> None:
    run(job)
    orders.touch(orders.find(id="7"), name="another", qty=None)
    orders.add(id="101", name="new", qty="1", updated_at=None)
    record = run(job)
    assert (record.rows_read, record.rows_added, record.rows_changed) == (2, 1, 1)
    assert rows_of(job) == held_as(orders)
    assert history_of(job) == [
        (2, "c", "7", "name 7", "0", "2026-01-01 00:00:07+00"),
        (2, "a", "101", None, None, None),
    ]
    assert "deletes_not_looked_for" in events_by_name(record.pk)
    assert [since is None for _, since, _ in database.readings] == [True, False]
    assert record.mark is not None
    assert record.mark["text"] == str(orders.clock)


def test_an_incremental_leaves_deleted_rows_and_a_full_removes_exactly_them(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    orders.remove(id="3")
    orders.remove(id="98")
    assert run(job).rows_removed == 0
    assert len(rows_of(job)) == 100
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.rows_removed, record.rows_unchanged) == (State.SUCCEEDED, 2, 98)
    assert rows_of(job) == held_as(orders)
    assert "deletes_not_looked_for" not in events_by_name(record.pk)
    assert [row[:3] for row in history_of(job)] == [(2, "r", "3"), (2, "r", "98")]


def test_what_the_source_removes_stays_where_the_job_says_so(
    make_row_job: MakeJob, orders: MemoryTable
) -> None:
    job = make_row_job(on_delete="ignore", sync_mode="full")
    run(job)
    orders.remove(id="3")
    assert run(job).rows_removed == 0
    assert len(rows_of(job)) == 100


def test_an_empty_source_makes_an_empty_table(make_row_job: MakeJob, orders: MemoryTable) -> None:
    orders.rows.clear()
    job = make_row_job()
    record = run(job)
    assert (record.state, record.rows_read, record.dataset_version) == (State.SUCCEEDED, 0, 1)
    assert rows_of(job) == []


def test_equal_rows_of_one_key_are_one_row(job: SyncJob, orders: MemoryTable) -> None:
    orders.add(**orders.find(id="5"))
    orders.add(**orders.find(id="6"))
    record = run(job)
    assert (record.state, record.rows_read, record.rows_added) == (State.SUCCEEDED, 102, 100)
    assert record.rows_duplicate == 2
    again = run(job, mode=SyncMode.FULL)
    assert (again.rows_read, again.rows_duplicate, again.rows_unchanged) == (102, 2, 100)


def test_different_rows_of_one_key_are_held(job: SyncJob, orders: MemoryTable) -> None:
    orders.add(**orders.find(id="5") | {"name": "another"})
    record = run(job)
    assert (record.state, record.verdict) == (State.HELD, "guard.duplicate_key")
    assert record.hold is not None
    [held] = record.hold["tables"].values()
    assert held["sample_keys"] == [{"id": "5"}]


def test_a_dry_run_counts_and_writes_nothing(job: SyncJob, orders: MemoryTable) -> None:
    plan = run(job, dry_run=True)
    assert (plan.state, plan.verdict, plan.rows_added) == (State.SUCCEEDED, "dry_run", 100)
    assert not Version.objects.exists()
    run(job)
    orders.touch(orders.find(id="7"), name="another")
    orders.remove(id="8")
    written = system_columns(job)
    plan = run(job, dry_run=True, mode=SyncMode.FULL)
    assert (plan.rows_added, plan.rows_changed, plan.rows_removed) == (0, 1, 1)
    assert system_columns(job) == written
    assert Version.objects.count() == 1
    assert run(job, mode=SyncMode.FULL).rows_changed == 1


def test_a_table_without_a_key_is_compared_by_content(
    make_row_job: MakeJob, orders: MemoryTable
) -> None:
    orders.key = ()
    orders.add(**orders.find(id="5"))
    job = make_row_job(sync_mode="full", cursor=None)
    record = run(job)
    assert (record.state, record.rows_added, record.rows_duplicate) == (State.SUCCEEDED, 101, 0)
    again = run(job)
    assert (again.rows_added, again.rows_changed, again.rows_removed) == (0, 0, 0)
    orders.touch(orders.find(id="9"), name="another")
    changed = run(job)
    assert (changed.rows_added, changed.rows_removed) == (1, 1)


def test_columns_are_chosen(make_row_job: MakeJob, orders: MemoryTable) -> None:
    job = make_row_job(columns={"exclude": ["na*"]})
    run(job)
    assert list(rows_of(job)[0]) == ["id", "qty", "updated_at"]


def test_what_a_first_load_stages_becomes_the_table(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    staged: list[int] = []

    def look(_number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT oid FROM pg_class WHERE relname = %s", [f"s_{table_of(job).pk.hex}"]
            )
            staged.extend(row[0] for row in cursor.fetchall())

    database.before_chunk = look
    assert run(job).state == State.SUCCEEDED
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.oid, relpersistence::text, reloptions, relnamespace::regnamespace::text, relname,"
            " (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0)"
            " FROM pg_class c WHERE c.oid = %s",
            [staged[-1]],
        )
        table = table_of(job)
        assert cursor.fetchone() == (staged[-1], "p", None, table.schema, "orders", 4)
    assert rows_of(job) == held_as(orders)


def test_a_first_load_leaves_the_privileges_of_its_schema_to_postgresql(
    job: SyncJob, make_row_job: MakeJob
) -> None:
    run(job)
    schema = table_of(job).schema
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO PUBLIC"
        )
        other = make_row_job(name="other")
        assert run(other).state == State.SUCCEEDED
        table = table_of(other)
        assert table.relation == "orders_2"
        cursor.execute(
            "SELECT has_table_privilege('pg_monitor', %s, 'SELECT')", [f"{schema}.orders_2"]
        )
        assert cursor.fetchone() == (True,)


def test_a_dry_run_shows_keys_of_what_would_change(job: SyncJob, orders: MemoryTable) -> None:
    plan = run(job, dry_run=True)
    [table] = plan.tables or []
    first = [{"id": str(number)} for number in range(1, 21)]
    assert (table["state"], table["sample"]) == (
        "planned",
        {"added": first, "changed": [], "removed": []},
    )
    run(job)
    orders.add(id="101", name="new", qty="1", updated_at=None)
    orders.touch(orders.find(id="12"), name="changed")
    orders.remove(id="3")
    [table] = run(job, dry_run=True, mode=SyncMode.FULL).tables or []
    wanted = {"added": [{"id": "101"}], "changed": [{"id": "12"}], "removed": [{"id": "3"}]}
    assert table["sample"] == wanted
    [table] = run(job, mode=SyncMode.FULL).tables or []
    assert table["sample"] is None
