"""Rows go to another PostgreSQL, which keeps a fence and the words of what was committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pytest_django import Settings

from datasets.models import Table, Version
from syncjobs.attempt.execution import execute
from syncjobs.configuration.jobs import delete_job
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import QuarantinedRow, SyncJob, SyncMode, SyncRecord
from syncjobs.works.contract import Failed
from syncjobs.works.rows.publishing import Publisher
from tests.hosts.databases import Database, making_database
from tests.rows import fresh, make_connector, run
from tests.rowwork.conftest import MakeJob, held_as
from tests.rowwork.memory import MemoryDatabase, MemoryTable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Database]:
    """On the test run's own server, which is no far end otherwise."""
    settings.OWN_LISTENERS = ()
    with making_database() as database:
        yield database


@pytest.fixture
def make_filling_job(make_row_job: MakeJob, warehouse: Database) -> MakeJob:
    connector = make_connector(warehouse.target(writable=True, schemas=("shop",)), kind="sql")

    def make(adopt: bool = False, **fields: Any) -> SyncJob:
        place = {"connector": str(connector.pk), "schema": "shop", "adopt": adopt}
        return make_row_job(destination=place, **fields)

    return make


@pytest.fixture
def job(make_filling_job: MakeJob) -> SyncJob:
    return make_filling_job()


def rows_there(warehouse: Database) -> list[dict[str, str | None]]:
    found = warehouse.session.execute(
        "SELECT id::text, name::text, qty::text, updated_at::text FROM shop.orders o ORDER BY o.id"
    )
    names = ("id", "name", "qty", "updated_at")
    return [dict(zip(names, row, strict=True)) for row in found]


def state_there(warehouse: Database) -> tuple[Any, ...]:
    return (
        warehouse.session.execute(
            "SELECT token, record_id, version, counts FROM syncproject.table_state"
        ).fetchone()
        or ()
    )


def try_again(record: SyncRecord) -> SyncRecord:
    SyncRecord.objects.filter(pk=record.pk, state=State.QUEUED).update(not_before=None)
    execute(record.pk, Heart("test"))
    return fresh(record)


def test_rows_go_to_the_database_of_a_connector_and_their_versions_are_told_at_home(
    job: SyncJob, warehouse: Database, orders: MemoryTable
) -> None:
    record = run(job)
    assert (record.state, record.error, record.rows_added) == (State.SUCCEEDED, "", 100)
    assert rows_there(warehouse) == held_as(orders)
    assert state_there(warehouse) == (record.token, record.pk, 1, None)
    orders.touch(orders.find(id="7"), name="another")
    orders.remove(id="8")
    record = run(job, mode=SyncMode.FULL)
    assert (record.rows_changed, record.rows_removed, record.dataset_version) == (1, 1, 2)
    assert rows_there(warehouse) == held_as(orders)
    [table] = Table.objects.all()
    assert (table.schema, table.relation, table.version, table.rows) == ("shop", "orders", 2, 99)
    images = warehouse.session.execute(
        f"SELECT _version, _change::text, id, name FROM syncproject_history.h_{table.pk.hex} ORDER BY id"  # noqa: S608
    ).fetchall()
    assert images == [(2, "c", 7, "name 7"), (2, "r", 8, "name 8")]
    assert run(job).rows_changed == 0
    assert Version.objects.count() == 2
    left = warehouse.session.execute(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE nspname = 'syncproject_staging' AND relkind = 'r' AND relname LIKE '%_\\_________%'"
    ).fetchall()
    assert left == []


def test_an_answer_that_was_lost_is_told_by_the_database_itself(
    job: SyncJob, warehouse: Database, orders: MemoryTable, database: MemoryDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for number in range(101, 1001):
        orders.add(id=str(number), name="more", qty="1")
    orders.raw = {("5",): b"5\tname\tmany\t\\N\n"}

    def lose(*_: Any) -> None:
        raise Failed("connection_lost", "the answer was lost", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "tell_home", lose)
        record = run(job)
    assert record.state == State.QUEUED
    assert len(rows_there(warehouse)) == 999
    assert not Version.objects.exists()
    database.readings.clear()
    try_again(record)
    assert (record.state, record.rows_added, record.rows_failed) == (State.PARTIAL, 999, 1)
    assert database.readings == []
    assert [row.code for row in QuarantinedRow.objects.filter(record=record)] == ["value"]
    assert Version.objects.get().rows_added == 999
    assert state_there(warehouse)[2:] == (1, None)


def test_what_another_record_committed_is_told_before_the_next_begins(
    job: SyncJob, warehouse: Database, orders: MemoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: Any) -> None:
        raise Failed("destination", "it was lost for good")

    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "tell_home", lose)
        lost = run(job)
    assert lost.state == State.FAILED
    orders.touch(orders.find(id="7"), name="another")
    record = run(job)
    assert (record.state, record.rows_added, record.rows_changed) == (State.SUCCEEDED, 0, 1)
    told = Version.objects.order_by("number").values_list("number", "record_id", "rows_added")
    assert list(told) == [(1, lost.pk, 100), (2, record.pk, 0)]
    assert rows_there(warehouse) == held_as(orders)


def test_a_worker_of_an_older_claim_is_fenced_off(
    job: SyncJob, warehouse: Database, database: MemoryDatabase
) -> None:
    run(job)
    database.tables["orders"].add(id="200", name="new")

    def take_over(_number: int) -> None:
        with psycopg.connect(warehouse.url, autocommit=True) as other:
            other.execute("UPDATE syncproject.table_state SET token = token + 1")

    database.before_chunk = take_over
    record = run(job)
    assert record.state == State.RUNNING
    assert len(rows_there(warehouse)) == 100


def test_a_destination_that_is_away_is_no_failure_of_the_source(
    make_row_job: MakeJob, warehouse: Database
) -> None:
    away = make_connector(warehouse.target(port=1, writable=True, schemas=("shop",)), kind="sql")
    record = run(make_row_job(destination={"connector": str(away.pk), "schema": "shop"}))
    assert (record.state, record.error_code) == (State.QUEUED, "unreachable")
    assert record.error.startswith("the destination: ")
    away.refresh_from_db()
    record.get_connector().refresh_from_db()
    assert record.get_connector().last_sync_error == ""


def test_a_table_that_no_job_made_is_filled_only_where_the_job_adopts_it(
    make_filling_job: MakeJob, warehouse: Database, orders: MemoryTable
) -> None:
    warehouse.session.execute(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (id bigint, name varchar(40), qty int,"
        " updated_at timestamptz, own text DEFAULT 'mine')"
    )
    warehouse.session.execute(
        "INSERT INTO shop.orders VALUES (1, 'old', 1, NULL), (2, 'name 2', 2, NULL)"
    )
    strange = make_filling_job(name="strange")
    record = run(strange)
    assert (record.state, record.error_code) == (State.FAILED, "destination")
    Table.objects.all().delete()
    delete_job(strange)
    record = run(make_filling_job(adopt=True, name="adopting"))
    assert (record.state, record.rows_added, record.rows_changed) == (State.SUCCEEDED, 98, 2)
    assert rows_there(warehouse) == held_as(orders)
    [own] = warehouse.session.execute("SELECT DISTINCT own FROM shop.orders").fetchall()
    assert own == ("mine",)


def test_a_constraint_of_the_destinations_owner_refuses_the_publication(
    job: SyncJob, warehouse: Database, orders: MemoryTable
) -> None:
    run(job)
    warehouse.session.execute("ALTER TABLE shop.orders ADD CONSTRAINT few CHECK (qty < 10)")
    orders.touch(orders.find(id="7"), qty="77", name="secret words")
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "destination")
    assert "few" in record.error
    assert "secret" not in record.error
    assert Version.objects.count() == 1
