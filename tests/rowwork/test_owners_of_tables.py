"""What the source or the destination wants of keys and constraints beyond what a reading shows."""

from __future__ import annotations

import pytest
from django.db import connection

from connectors.models import Connector
from farends.errors import ConnectionLost
from syncjobs.configuration.jobs import delete_workspace
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode
from tests.rows import run
from tests.rowwork.conftest import MakeJob, held_as, history_of, rows_of, table_of
from tests.rowwork.memory import MemoryDatabase, MemoryTable

pytestmark = pytest.mark.django_db(transaction=True)


def alter(job: SyncJob, statement: str) -> None:
    table = table_of(job)
    with connection.cursor() as cursor:
        cursor.execute(
            statement.format(table=f"{table.schema}.{table.relation}", schema=table.schema)
        )


@pytest.fixture
def swapped(job: SyncJob, orders: MemoryTable) -> SyncJob:
    """Its table's owner wants each name once; two rows swap theirs at the source."""
    run(job)
    alter(job, "ALTER TABLE {table} ADD CONSTRAINT name_once UNIQUE (name)")
    orders.touch(orders.find(id="7"), name="name 8")
    orders.touch(orders.find(id="8"), name="name 7", qty="5")
    return job


def test_rows_that_swap_a_unique_value_are_taken_out_and_put_back(
    swapped: SyncJob, orders: MemoryTable
) -> None:
    record = run(swapped)
    assert (record.state, record.error, record.rows_changed) == (State.SUCCEEDED, "", 2)
    orders_now = held_as(orders)
    assert rows_of(swapped) == orders_now
    assert [row[1:4] for row in history_of(swapped)] == [("c", "7", "name 7"), ("c", "8", "name 8")]


def test_rows_that_something_hangs_on_are_held(swapped: SyncJob) -> None:
    alter(swapped, "CREATE TABLE {schema}.notes (order_id bigint REFERENCES {table} (id))")
    record = run(swapped)
    assert (record.state, record.error_code) == (State.HELD, "constraint")
    assert "name_once" in record.error


def test_a_unique_that_the_rows_really_break_refuses_them(
    swapped: SyncJob, orders: MemoryTable
) -> None:
    orders.touch(orders.find(id="9"), name="name 10")
    record = run(swapped)
    assert (record.state, record.error_code) == (State.FAILED, "destination")
    assert "name_once" in record.error


def test_a_key_that_another_row_of_the_source_has_too_is_held(
    make_row_job: MakeJob, orders: MemoryTable
) -> None:
    job = make_row_job(key=["name"])
    run(job)
    orders.add(id="200", name="name 7", qty="1")
    record = run(job)
    assert (record.state, record.error_code) == (State.HELD, "duplicate_key")
    held = (record.hold or {})["tables"]["public.orders"]
    assert held["sample_keys"] == [{"name": "name 7"}]
    assert "7" in [row["id"] for row in rows_of(job)]


def test_rows_that_are_gone_are_marked_where_the_job_says_so(
    make_row_job: MakeJob, orders: MemoryTable
) -> None:
    job = make_row_job(on_delete="mark", sync_mode="full")
    run(job)
    gone = orders.find(id="7")
    orders.remove(id="7")
    record = run(job)
    assert (record.state, record.rows_removed) == (State.SUCCEEDED, 1)
    marked = {row["id"] for row in rows_of(job) if row["_deleted_at"] is not None}
    assert marked == {"7"}
    assert len(rows_of(job)) == 100
    assert run(job).rows_removed == 0
    orders.rows.append(gone)
    assert run(job).rows_changed == 1
    assert all(row["_deleted_at"] is None for row in rows_of(job))
    assert run(job, mode=SyncMode.FULL).rows_changed == 0


def test_the_tables_of_a_workspace_go_with_it_but_what_a_view_needs(
    make_row_job: MakeJob, orders: MemoryTable
) -> None:
    jobs = [make_row_job(name=name) for name in ("one", "two")]
    for job in jobs:
        run(job)
    orders.touch(orders.find(id="7"), name="new")
    for job in jobs:
        run(job)
    alter(jobs[1], "CREATE VIEW public.of_somebody AS SELECT * FROM {table}")
    tables = [table_of(job) for job in jobs]
    workspace = jobs[0].workspace
    connectors = Connector.objects.filter(workspace=workspace)
    SyncJob.objects.filter(workspace=workspace).delete()
    connectors.delete()
    delete_workspace(workspace)
    with connection.cursor() as cursor:
        places = [f"{table.schema}.{table.relation}" for table in tables]
        places += [f"syncproject_history.h_{table.pk.hex}" for table in tables]
        cursor.execute(
            "SELECT p FROM unnest(%s::text[]) p WHERE to_regclass(p) IS NOT NULL", [places]
        )
        assert cursor.fetchall() == [(places[1],)]
        cursor.execute("DROP VIEW public.of_somebody")


def test_what_is_staged_of_a_table_that_was_never_published_goes_with_its_workspace(
    job: SyncJob, orders: MemoryTable, database: MemoryDatabase
) -> None:
    for number in range(500, 550):
        orders.add(id=str(number), name="later", qty="1")

    def lose(number: int) -> None:
        if number == 3:
            raise ConnectionLost

    database.before_chunk = lose
    assert run(job).state == State.QUEUED
    table = table_of(job)
    staged = f"syncproject_staging.s_{table.pk.hex}"
    counted = "SELECT to_regclass(%s)::text, count(*) FROM syncproject_staging.checkpoint WHERE table_id = %s"
    with connection.cursor() as cursor:
        cursor.execute(counted, [staged, table.pk])
        assert (table.version, cursor.fetchone()) == (None, (staged, 1))
    workspace = job.workspace
    SyncJob.objects.filter(workspace=workspace).delete()
    Connector.objects.filter(workspace=workspace).delete()
    delete_workspace(workspace)
    with connection.cursor() as cursor:
        cursor.execute(counted, [staged, table.pk])
        assert cursor.fetchone() == (None, 0)
