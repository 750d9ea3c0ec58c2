"""Tables of a real PostgreSQL come to the home database, through every ordinary misfortune."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from datasets.models import TableColumn, Version
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.records.asking import release
from tests.hosts.databases import Database, making_database
from tests.rows import fresh, make_connector, make_job, run
from tests.rowwork.conftest import events_by_name, history_of, rows_of, system_columns, table_of

pytestmark = pytest.mark.django_db(transaction=True)

_ORDERS = """
CREATE TABLE orders (id bigint PRIMARY KEY, name varchar(10), qty int, amount numeric(10, 2),
    updated_at timestamptz DEFAULT now());
INSERT INTO orders SELECT n, 'name ' || n, n % 7, n / 3.0, '2026-01-01'::timestamptz + n * interval '1 second'
  FROM generate_series(1, 1000) n
"""


@pytest.fixture
def shop(settings: Settings) -> Iterator[Database]:
    """On the test run's own server, which is no far end otherwise."""
    settings.OWN_LISTENERS = ()
    with making_database() as database:
        database.session.execute(_ORDERS)
        yield database


def job_of(shop: Database, **fields: Any) -> SyncJob:
    fields = {"entity": {"table": "orders"}} | fields
    return make_job(make_connector(shop.target(), kind="sql"), **fields)


def source_rows(shop: Database, table: str = "orders") -> list[dict[str, Any]]:
    cursor = shop.session.execute(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608
    names = [column.name for column in cursor.description or ()]
    cells = ", ".join(f'"{name}"::text' for name in names)
    found = shop.session.execute(f"SELECT {cells} FROM {table} t ORDER BY t.id")  # noqa: S608
    return [dict(zip(names, row, strict=True)) for row in found]


def at_home(statement: str, job: SyncJob) -> list[tuple[Any, ...]]:
    """The statement's rows; `{table}` stands for the table of the job."""
    table = table_of(job)
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(
            statement.format(
                table=f"{quote(table.schema)}.{quote(table.relation)}", schema=quote(table.schema)
            )
        )
        return list(cursor.fetchall()) if cursor.description else []


def test_t01_a_row_with_the_cursors_own_value_is_there_once(shop: Database) -> None:
    job = job_of(shop, cursor={"field": "updated_at"})
    run(job)
    shop.session.execute(
        "INSERT INTO orders SELECT 2000, 'late', 1, 1, max(updated_at) FROM orders"
    )
    record = run(job)
    assert (record.state, record.rows_added, record.rows_changed) == (State.SUCCEEDED, 1, 0)
    assert rows_of(job) == source_rows(shop)


@pytest.mark.parametrize("cursor", [{}, {"field": "updated_at"}])
def test_t02_a_transaction_that_commits_after_the_sync_is_read_by_the_next(
    shop: Database, cursor: dict[str, Any]
) -> None:
    job = job_of(shop, cursor=cursor)
    run(job)
    with shop.connect() as late:
        late.execute("INSERT INTO orders VALUES (3000, 'late', 1, 1, now())")
        shop.session.execute("INSERT INTO orders VALUES (3001, 'soon', 1, 1, now())")
        assert run(job).rows_added == 1
    assert run(job).rows_added == 1
    assert rows_of(job) == source_rows(shop)


@pytest.mark.parametrize("mode", [SyncMode.INCREMENTAL, SyncMode.FULL])
def test_t05_nothing_changed_writes_nothing(shop: Database, mode: SyncMode) -> None:
    job = job_of(shop)
    assert run(job).rows_added == 1000
    written = system_columns(job)
    record = run(job, mode=mode)
    counted = (record.rows_added, record.rows_changed, record.rows_removed)
    assert (record.state, counted) == (State.SUCCEEDED, (0, 0, 0))
    assert system_columns(job) == written
    assert Version.objects.count() == 1


def test_t06_a_verification_that_is_due_reads_the_keys_and_removes_what_is_gone(
    shop: Database,
) -> None:
    job = job_of(shop)
    run(job)
    shop.session.execute("DELETE FROM orders WHERE id % 100 = 0")
    shop.session.execute("INSERT INTO orders VALUES (5000, 'new', 1, 1, now())")
    record = run(job)
    assert (record.rows_removed, record.rows_added) == (0, 1)
    assert "deletes_not_looked_for" in events_by_name(record.pk)
    record = verify(job)
    assert (record.state, record.rows_removed, record.rows_read) == (State.SUCCEEDED, 10, 0)
    assert rows_of(job) == source_rows(shop)
    assert [row[:3] for row in history_of(job) if row[0] == 3] == [
        (3, "r", str(number)) for number in range(100, 1001, 100)
    ]
    shop.session.execute("DELETE FROM orders")
    record = verify(job)
    assert (record.state, record.error_code) == (State.HELD, "empty_source")


def verify(job: SyncJob) -> SyncRecord:
    """A record as beat makes it where a verification is due."""
    from events.writing import NewEvent, write_events
    from syncjobs.models import Trigger
    from syncjobs.queueing.enqueueing import enqueue

    record = enqueue(job, trigger=Trigger.SCHEDULE, mode=SyncMode.FULL)
    due = NewEvent(event="verification_due", workspace_id=record.workspace_id, record_id=record.pk)
    write_events([due])
    execute(record.pk, Heart("test"))
    return fresh(record)


def test_t09_a_column_that_was_added_appears_and_what_hangs_on_the_table_stays(
    shop: Database,
) -> None:
    job = job_of(shop)
    run(job)
    at_home("CREATE VIEW {schema}.named AS SELECT id, name FROM {table}", job)
    at_home("CREATE INDEX own_index ON {table} (qty)", job)
    at_home("GRANT SELECT ON {table} TO PUBLIC", job)
    at_home("CREATE TABLE {schema}.notes (order_id bigint REFERENCES {table} (id))", job)
    at_home("ALTER TABLE {table} ADD COLUMN own text DEFAULT 'mine'", job)
    shop.session.execute("ALTER TABLE orders ADD COLUMN shipped date")
    shop.session.execute("INSERT INTO orders VALUES (2000, 'new', 1, 1, now(), '2026-02-03')")
    record = run(job)
    assert (record.state, record.rows_added) == (State.SUCCEEDED, 1)
    told = events_by_name(record.pk)["schema_changed"]
    assert (told["column"], told["change"], told["to"]) == ("shipped", "added", "date")
    [new] = at_home("SELECT shipped::text, own FROM {table} WHERE id = 2000", job)
    assert new == ("2026-02-03", "mine")
    assert at_home("SELECT count(*) FROM {schema}.named", job) == [(1001,)]
    assert at_home("SELECT to_regclass('{schema}.own_index') IS NOT NULL", job) == [(True,)]
    assert at_home("SELECT has_table_privilege('public', '{table}', 'SELECT')", job) == [(True,)]
    shop.session.execute("UPDATE orders SET shipped = '2026-01-01' WHERE id < 3")
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.rows_changed) == (State.SUCCEEDED, 2)


def test_t10_a_dropped_column_is_kept_and_the_keys_and_the_cursors_are_missed(
    shop: Database,
) -> None:
    job = job_of(shop, cursor={"field": "updated_at"})
    run(job)
    shop.session.execute("ALTER TABLE orders DROP COLUMN qty")
    shop.session.execute("INSERT INTO orders VALUES (2000, 'new', 1, now())")
    record = run(job)
    assert (record.state, record.rows_added, record.rows_changed) == (State.SUCCEEDED, 1, 0)
    assert events_by_name(record.pk)["schema_changed"]["change"] == "dropped"
    assert at_home("SELECT qty FROM {table} WHERE id IN (3, 2000) ORDER BY id", job) == [
        (3,),
        (None,),
    ]
    assert TableColumn.objects.get(name="qty").until == 2
    assert "schema_changed" not in events_by_name(run(job).pk)
    shop.session.execute("ALTER TABLE orders DROP COLUMN updated_at")
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "schema")
    SyncJob.objects.filter(pk=job.pk).update(cursor={})
    job.refresh_from_db()
    shop.session.execute("ALTER TABLE orders DROP COLUMN id")
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "schema")


def test_t11_wider_types_are_taken_over_with_values_past_the_old_ones(shop: Database) -> None:
    job = job_of(shop)
    run(job)
    at_home("CREATE VIEW {schema}.wide AS SELECT id, qty, name FROM {table}", job)
    at_home("CREATE VIEW {schema}.wider AS SELECT qty FROM {schema}.wide", job)
    at_home("GRANT SELECT ON {schema}.wide TO PUBLIC", job)
    shop.session.execute(
        "ALTER TABLE orders ALTER qty TYPE bigint, ALTER amount TYPE numeric(20, 4), ALTER name TYPE text"
    )
    shop.session.execute(
        "INSERT INTO orders VALUES (2000, repeat('long ', 9), 1 << 40, 1234567890123.1234, now())"
    )
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert rows_of(job) == source_rows(shop)
    assert record.rows_changed == 0
    assert at_home("SELECT count(*) FROM {schema}.wider", job) == [(1001,)]
    assert at_home("SELECT has_table_privilege('public', '{schema}.wide', 'SELECT')", job) == [
        (True,)
    ]


def test_a_materialized_view_on_a_column_that_is_widened_is_there_afterwards(
    shop: Database,
) -> None:
    job = job_of(shop)
    run(job)
    at_home("CREATE MATERIALIZED VIEW {schema}.kept AS SELECT id, qty FROM {table}", job)
    at_home("CREATE UNIQUE INDEX kept_id ON {schema}.kept (id)", job)
    at_home("COMMENT ON MATERIALIZED VIEW {schema}.kept IS 'quantities'", job)
    at_home("GRANT SELECT ON {schema}.kept TO PUBLIC", job)
    at_home("CREATE VIEW {schema}.on_kept AS SELECT qty FROM {schema}.kept", job)
    at_home("CREATE MATERIALIZED VIEW {schema}.empty AS SELECT qty FROM {table} WITH NO DATA", job)
    shop.session.execute("ALTER TABLE orders ALTER qty TYPE bigint")
    shop.session.execute("UPDATE orders SET qty = 1::bigint << 40 WHERE id = 7")
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert at_home("SELECT count(*) FROM {schema}.on_kept", job) == [(1000,)]
    at_home("REFRESH MATERIALIZED VIEW CONCURRENTLY {schema}.kept", job)  # needs the index
    assert at_home("SELECT qty FROM {schema}.kept WHERE id = 7", job) == [(1 << 40,)]
    assert at_home(
        "SELECT obj_description('{schema}.kept'::regclass, 'pg_class'),"
        " has_table_privilege('public', '{schema}.kept', 'SELECT'),"
        " (SELECT relispopulated FROM pg_class WHERE oid = '{schema}.empty'::regclass)",
        job,
    ) == [("quantities", True, False)]


@pytest.fixture
def changed(shop: Database) -> SyncRecord:
    """Held, because a number became text."""
    job = job_of(shop)
    run(job)
    shop.session.execute("ALTER TABLE orders ALTER qty TYPE text")
    shop.session.execute("UPDATE orders SET qty = 'abc' WHERE id = 7")
    return run(job)


def answer(record: SyncRecord, choice: str | None) -> SyncRecord:
    assert release(record.pk, by="a person", schema_changes=choice)
    execute(record.pk, Heart("test"))
    return fresh(record)


def test_t12_another_type_is_held_with_three_offers(changed: SyncRecord) -> None:
    assert (changed.state, changed.error_code) == (State.HELD, "schema_change")
    held = (changed.hold or {})["tables"]["public.orders"]
    assert held["schema_changes"] == [
        {
            "table": "public.orders",
            "column": "qty",
            "change": "changed",
            "from": "integer",
            "to": "text",
            "offers": ["rebuild", "new_column", "stop"],
        }
    ]
    assert len(rows_of(changed.job)) == 1000


def test_t12_a_column_is_built_anew(changed: SyncRecord, shop: Database) -> None:
    record = answer(changed, "rebuild")
    assert (record.state, record.error, record.rows_changed) == (State.SUCCEEDED, "", 1)
    assert rows_of(changed.job) == source_rows(shop)
    assert run(changed.job).rows_changed == 0


def test_t12_values_go_into_a_new_column(changed: SyncRecord, shop: Database) -> None:
    record = answer(changed, "new_column")
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    rows = rows_of(changed.job)
    assert [row["qty_2"] for row in rows] == [row["qty"] for row in source_rows(shop)]
    assert rows[6]["qty"] == "0"
    shop.session.execute("UPDATE orders SET qty = 'later' WHERE id = 8")
    again = run(changed.job)
    assert (again.state, again.rows_changed) == (State.SUCCEEDED, 1)
    assert rows_of(changed.job)[7]["qty_2"] == "later"


def test_t12_a_person_may_stop_it(changed: SyncRecord) -> None:
    record = answer(changed, "stop")
    assert (record.state, record.error_code) == (State.FAILED, "schema_change")
    assert len(rows_of(changed.job)) == 1000


def test_each_change_of_the_schema_is_held_or_ignored_where_the_job_says_so(
    shop: Database,
) -> None:
    holding = job_of(shop, name="holding", on_schema_change="hold")
    ignoring = job_of(shop, name="ignoring", on_schema_change="ignore")
    run(holding)
    run(ignoring)
    shop.session.execute("ALTER TABLE orders ADD COLUMN shipped date")
    shop.session.execute("UPDATE orders SET qty = 5 WHERE id = 1")
    record = run(holding)
    assert (record.state, record.error_code) == (State.HELD, "schema_change")
    record = run(ignoring)
    assert (record.state, record.rows_changed) == (State.SUCCEEDED, 1)
    assert "shipped" not in rows_of(ignoring)[0]
    held = SyncRecord.objects.get(job=holding, state=State.HELD)
    assert answer(held, None).state == State.SUCCEEDED  # a new column asks no question
    assert "shipped" in rows_of(holding)[0]


def test_t16_names_of_any_kind_are_quoted(shop: Database) -> None:
    odd = [
        'a"b',
        "x; DROP TABLE victim;--",
        "select",
        "%s {}",
        "a\tb",
        "Größe",
        "xmin2",
        "_version",
    ]
    odd += ["n" * 62, "_change"]
    columns = ", ".join('"' + name.replace('"', '""') + '" text' for name in odd)
    shop.session.execute(f'CREATE TABLE "t %s {{}} ""q" (id int PRIMARY KEY, {columns})')
    words = ", ".join(f"'{name}'" for name in odd)
    shop.session.execute(f'INSERT INTO "t %s {{}} ""q" VALUES (1, {words})')  # noqa: S608
    job = job_of(shop, entity={"schema": "public", "table": 't %s {} "q'})
    for mode in (SyncMode.FULL, SyncMode.INCREMENTAL, SyncMode.FULL):
        record = run(job, mode=mode)
        assert (record.state, record.error) == (State.SUCCEEDED, "")
        shop.session.execute('UPDATE "t %s {} ""q" SET "select" = "select" || 1')
    table = table_of(job, 'public.t %s {} "q')
    assert table.relation == 't %s {} "q'
    named = {
        one.source_name: one.name for one in TableColumn.objects.filter(table=table, until=None)
    }
    assert {name: named[name] for name in odd if named[name] != name} == {
        "_version": "_version_2",
        "_change": "_change_2",
    }


def test_a_source_that_is_lost_is_not_the_lost_home_database(shop: Database) -> None:
    job = job_of(shop, max_attempts=1)
    run(job)
    job.get_connector().options |= {"database": "nowhere"}
    job.get_connector().save()
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "root_missing")
