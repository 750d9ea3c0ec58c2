"""Records of jobs whose rows come from a PostgreSQL: the table equals its source."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from psycopg import sql
from pytest_django import Settings

from datasets.models import Table
from events.models import SyncEvent
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from tests.hosts.databases import Database
from tests.rows import make_connector, make_job, run
from tests.sql.values import TYPES, VALUES

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = "CREATE TABLE items (id bigint PRIMARY KEY, name text, qty int, updated_at timestamptz)"
FILL = (
    "INSERT INTO items SELECT g, 'name ' || g, g %% 7, timestamptz '2026-01-01' + g * interval '1 ms'"
    " FROM generate_series(1, %s) g"
)


@pytest.fixture(autouse=True)
def _may_be_dialled(settings: Settings) -> None:
    """The source stands on the product's own server."""
    settings.OWN_LISTENERS = []


@pytest.fixture
def items(database: Database) -> Database:
    """With 1,000 rows."""
    database.session.execute(ITEMS)
    database.session.execute(FILL, [1000])
    return database


def job_of(database: Database, **fields: Any) -> SyncJob:
    connector = make_connector(database.target(), kind="sql")
    fields = {"entity": {"table": "items"}, "sync_mode": SyncMode.INCREMENTAL} | fields
    return make_job(connector, **fields)


def succeed(job: SyncJob, **given: Any) -> SyncRecord:
    record = run(job, **given)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    return record


def changes(record: SyncRecord) -> tuple[int | None, int | None, int | None]:
    return (record.rows_added, record.rows_changed, record.rows_removed)


def table_of(job: SyncJob) -> Table:
    return Table.objects.get(dataset=job.dataset)


def home_rows(job: SyncJob) -> list[tuple[Any, ...]]:
    table = table_of(job)
    with connection.cursor() as cursor:
        place = sql.Identifier(table.schema, table.relation)
        query = sql.SQL("SELECT t::text, xmin::text FROM {} t ORDER BY 1").format(place)
        cursor.execute(query.as_string(connection.connection))
        return list(cursor.fetchall())


def assert_equal(job: SyncJob, database: Database, table: str = "items") -> None:
    query = sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(table))
    expected = [row[0] for row in database.session.execute(query)]
    assert [row[0] for row in home_rows(job)] == expected


def event_names(record: SyncRecord) -> set[str]:
    return set(SyncEvent.objects.filter(record=record).values_list("event", flat=True))


@pytest.mark.parametrize("cursor", ["xmin", {"field": "updated_at"}], ids=["xmin", "column"])
def test_t01_a_row_with_the_cursors_own_value_comes_once(items: Database, cursor: Any) -> None:
    job = job_of(items, cursor=cursor)
    assert changes(succeed(job)) == (1000, 0, 0)
    items.session.execute("INSERT INTO items SELECT 2000, 'tie', 1, max(updated_at) FROM items")
    assert changes(succeed(job)) == (1, 0, 0)
    assert_equal(job, items)


@pytest.mark.parametrize("cursor", ["xmin", {"field": "updated_at"}], ids=["xmin", "column"])
def test_t02_a_late_commit_is_in_the_next_record(items: Database, cursor: Any) -> None:
    job = job_of(items, cursor=cursor)
    with items.connect() as late:
        late.execute("INSERT INTO items VALUES (2000, 'late', 1, now())")
        items.session.execute("INSERT INTO items VALUES (2001, 'in time', 1, now())")
        assert changes(succeed(job)) == (1001, 0, 0)
        late.commit()
    assert changes(succeed(job)) == (1, 0, 0)
    assert_equal(job, items)


def test_t03_rows_without_a_cursor_are_counted_and_named(items: Database) -> None:
    items.session.execute("UPDATE items SET updated_at = NULL WHERE id <= 3")
    job = job_of(items, cursor={"field": "updated_at"})
    for _ in range(2):
        record = succeed(job)
        assert record.rows_without_cursor == 3
        assert record.cursor_column == "updated_at"
        assert "rows_without_cursor" in event_names(record)
    items.session.execute("UPDATE items SET name = 'new' WHERE id = 2")
    assert changes(succeed(job)) == (0, 1, 0)
    assert_equal(job, items)


def test_t04_the_mark_is_the_sources_own_text(items: Database) -> None:
    items.session.execute("INSERT INTO items VALUES (1001, 'us', 1, '2026-02-01 00:00:00.123457')")
    job = job_of(items, cursor={"field": "updated_at"})
    record = succeed(job)
    assert record.mark is not None
    assert record.mark["text"] == "2026-02-01 00:00:00.123457+00"
    items.session.execute("INSERT INTO items VALUES (1002, 'us', 1, '2026-02-01 00:00:00.123458')")
    assert changes(succeed(job)) == (1, 0, 0)


def test_t04_a_day_as_the_cursor_misses_nothing_of_that_day(database: Database) -> None:
    database.session.execute("CREATE TABLE items (id int PRIMARY KEY, day date)")
    database.session.execute("INSERT INTO items VALUES (1, '2026-01-01'), (2, '2026-01-02')")
    job = job_of(database, cursor={"field": "day"})
    succeed(job)
    database.session.execute("INSERT INTO items VALUES (3, '2026-01-02')")
    assert changes(succeed(job)) == (1, 0, 0)
    assert_equal(job, database)


@pytest.mark.parametrize("mode", [SyncMode.FULL, SyncMode.INCREMENTAL])
@pytest.mark.parametrize("cursor", ["xmin", {"field": "updated_at"}], ids=["xmin", "column"])
def test_t05_nothing_is_written_where_nothing_changed(
    items: Database, cursor: Any, mode: SyncMode
) -> None:
    job = job_of(items, cursor=cursor)
    first = succeed(job)
    before = home_rows(job)
    second = succeed(job, mode=mode)
    assert changes(second) == (0, 0, 0)
    assert second.dataset_version in (None, first.dataset_version)
    assert job.dataset.versions.count() == 1
    assert home_rows(job) == before  # with each row's xmin


def test_t06_deleted_rows_stay_until_somebody_looks_for_them(items: Database) -> None:
    job = job_of(items)
    succeed(job)
    items.session.execute("DELETE FROM items WHERE id % 100 = 3")
    record = succeed(job)
    assert changes(record) == (0, 0, 0)
    assert "deletes_not_looked_for" in event_names(record)
    assert changes(succeed(job, mode=SyncMode.FULL)) == (0, 0, 10)
    assert_equal(job, items)


def test_t13_each_value_is_the_same_in_the_home_database(database: Database) -> None:
    database.session.execute(TYPES.encode())
    for name, (kind, value, _) in VALUES.items():
        made = "CREATE TABLE {0} (id int PRIMARY KEY, v {1}); INSERT INTO {0} VALUES (1, {2}), (2, NULL)"
        database.session.execute(made.format(name, kind, value).encode())
    job = make_job(make_connector(database.target(), kind="sql"))
    record = succeed(job)
    assert len(record.tables or []) == len(VALUES)
    for table in Table.objects.filter(dataset=job.dataset):
        name = table.name.removeprefix("public.")
        query = sql.SQL("SELECT v::text FROM {} ORDER BY id").format(sql.Identifier(name))
        expected = [row[0] for row in database.session.execute(query)]
        with connection.cursor() as cursor:
            cursor.execute("SET extra_float_digits = 1")
            place = sql.Identifier(table.schema, table.relation)
            cursor.execute(
                sql.SQL("SELECT v::text FROM {} ORDER BY id")
                .format(place)
                .as_string(connection.connection)
            )
            assert [row[0] for row in cursor.fetchall()] == expected, name


def test_t16_hostile_names_are_copied(database: Database) -> None:
    names = ('a"b', "x; DROP TABLE victim;--", "select", "%s {}", "tab\t", "Größe", "n" * 63)
    database.session.execute("CREATE TABLE victim (id int PRIMARY KEY)")
    for name in names:
        quoted = sql.Identifier(name)
        made = sql.SQL("CREATE TABLE {0} ({0} text PRIMARY KEY, at date)").format(quoted)
        database.session.execute(made)
        fill = sql.SQL("INSERT INTO {} VALUES ({}, now())").format(quoted, sql.Literal(name))
        database.session.execute(fill)
    job = make_job(make_connector(database.target(), kind="sql"), sync_mode=SyncMode.INCREMENTAL)
    for _ in range(2):
        record = succeed(job)
        assert {one["state"] for one in record.tables or []} == {"succeeded"}
    assert {table.name for table in Table.objects.filter(dataset=job.dataset)} == {
        "public.victim",
        *(f"public.{name}" for name in names),
    }


def test_a_source_that_is_away_is_not_taken_for_the_home_database(items: Database) -> None:
    job = job_of(items)
    succeed(job)
    target = items.target(password="wrong")
    record = run(make_job(make_connector(target, kind="sql"), entity={"table": "items"}))
    assert (record.state, record.error_code) == (State.FAILED, "auth_refused")
    gone = items.target(port=1)
    record = run(make_job(make_connector(gone, kind="sql"), entity={"table": "items"}))
    assert (record.state, record.error_code) == (State.QUEUED, "unreachable")
