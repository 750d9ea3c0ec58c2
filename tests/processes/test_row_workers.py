"""Rows by real workers, from a PostgreSQL of another server and another major."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from psycopg import sql

from datasets.models import Table
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.databases import Database, making_database
from tests.hosts.debian_postgres import running_postgres
from tests.processes.conftest import Start
from tests.processes.records import events_of, owner_pid, until_final
from tests.proxy import proxying
from tests.rows import fresh, make_connector, make_job
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

FILL = (
    "INSERT INTO items SELECT g, repeat('x', %s), timestamptz '2026-01-01' + g * interval '1 ms'"
    " FROM generate_series(1, %s) g"
)


@pytest.fixture(scope="module")
def other_server() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def shop(other_server: str) -> Iterator[Database]:
    """A source with an empty table `items`."""
    with making_database(other_server) as made:
        made.session.execute(
            "CREATE TABLE items (id bigint PRIMARY KEY, name text, updated_at timestamptz)"
        )
        yield made


def job_of(shop: Database, *, port: int | None = None, **fields: Any) -> SyncJob:
    connector = make_connector(shop.target(port=port), kind="sql")
    given = {"entity": {"table": "items"}, "sync_mode": SyncMode.INCREMENTAL} | fields
    return make_job(connector, **given)


def sync(job: SyncJob, mode: SyncMode | None = None) -> SyncRecord:
    record = until_final(enqueue(job, trigger=Trigger.MANUAL, mode=mode))
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    return record


def changes(record: SyncRecord) -> tuple[int | None, int | None, int | None]:
    return (record.rows_added, record.rows_changed, record.rows_removed)


def held(job: SyncJob) -> list[str]:
    """The table's rows, as text; none before there is a table."""
    table = Table.objects.filter(dataset=job.dataset, version__isnull=False).first()
    if table is None:
        return []
    with connection.cursor() as cursor:
        place = sql.Identifier(table.schema, table.relation)
        query = sql.SQL("SELECT md5(t::text) FROM {} t ORDER BY id").format(place)
        cursor.execute(query.as_string(connection.connection))
        return [row[0] for row in cursor.fetchall()]


def offered(shop: Database) -> list[str]:
    rows = shop.session.execute("SELECT md5(t::text) FROM items t ORDER BY id")
    return [row[0] for row in rows]


@pytest.mark.parametrize("cursor", ["xmin", {"field": "updated_at"}], ids=["xmin", "column"])
def test_t01_t02_t03_t04_t05_t06_a_worker_misses_nothing(
    start: Start, shop: Database, cursor: Any
) -> None:
    start("worker")
    start("beat")
    shop.session.execute(FILL, [10, 1000])
    job = job_of(shop, cursor=cursor)
    with shop.connect() as late:
        late.execute("INSERT INTO items VALUES (2000, 'late', now())")
        shop.session.execute("INSERT INTO items VALUES (2001, 'in time', now()), (2002, 'n', NULL)")
        assert changes(sync(job)) == (1002, 0, 0)
        late.commit()
    shop.session.execute("INSERT INTO items SELECT 2003, 'tie', max(updated_at) FROM items")
    assert changes(sync(job)) == (2, 0, 0)
    assert held(job) == offered(shop)
    assert changes(sync(job)) == (0, 0, 0)
    assert job.dataset.versions.count() == 2
    shop.session.execute("DELETE FROM items WHERE id % 100 = 3")
    assert changes(sync(job)) == (0, 0, 0)
    removed = sync(job, SyncMode.FULL)
    assert changes(removed)[2] == 11
    assert held(job) == offered(shop)


def test_a_worker_that_is_killed_in_mid_load_leaves_nothing_and_the_next_goes_on(
    start: Start, shop: Database
) -> None:
    shop.session.execute(FILL, [100_000, 400])
    with proxying(shop.port, bytes_per_s=8_000_000) as far:
        job = job_of(shop, port=far.port)
        first = start("worker")
        start("beat")
        record = enqueue(job, trigger=Trigger.MANUAL)
        until(
            lambda: fresh(record).state == State.RUNNING and record.bytes_transferred > 8_000_000,
            "no chunk was staged",
        )
        assert owner_pid(record) == first.popen.pid
        first.popen.kill()
        first.popen.wait(90)
        assert held(job) == []
        shop.session.execute("UPDATE items SET name = 'changed meanwhile' WHERE id = 1")
        far.bytes_per_s = None
        start("worker")
        until_final(record, within_s=90)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert "second_pass" in events_of(record)
    assert held(job) == offered(shop)


def test_a_source_that_dies_in_mid_load_is_tried_again(start: Start, shop: Database) -> None:
    shop.session.execute(FILL, [100_000, 400])
    with proxying(shop.port, bytes_per_s=8_000_000) as far:
        job = job_of(shop, port=far.port)
        start("worker")
        start("beat")
        record = enqueue(job, trigger=Trigger.MANUAL)
        until(
            lambda: fresh(record).state == State.RUNNING and record.bytes_transferred > 8_000_000,
            "no chunk was staged",
        )
        far.cut()
        far.bytes_per_s = None
        until(lambda: fresh(record).state == State.QUEUED, "the attempt did not end")
        SyncRecord.objects.filter(pk=record.pk).update(not_before=None)
        until_final(record, within_s=90)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert record.attempt > 1
    assert held(job) == offered(shop)
