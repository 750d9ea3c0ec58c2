"""What a guard holds stays as it was until a person releases it, and is read anew then."""

from __future__ import annotations

import pytest
from django.db import connection

from datasets.models import Version
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.records.asking import release
from tests.rows import run
from tests.rowwork.conftest import held_as, rows_of, table_of
from tests.rowwork.memory import MemoryTable

pytestmark = pytest.mark.django_db(transaction=True)


def staged_of(job: SyncJob) -> list[str]:
    """Whatever is left of a table in the staging."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE %s AND relkind = 'r'",
            [f"%\\_{table_of(job).pk.hex}"],
        )
        left = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "SELECT count(*) FROM syncproject_staging.checkpoint WHERE table_id = %s",
            [table_of(job).pk],
        )
        assert cursor.fetchone() == (0,)
    return [name for name in left if not name.startswith("h_")]


def go_on(record: SyncRecord) -> SyncRecord:
    assert release(record.pk, by="a person")
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    return record


def test_t07_an_emptied_source_is_held_and_a_release_applies_it(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    orders.rows.clear()
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.error_code) == (State.HELD, "empty_source")
    assert record.verdict == "guard.empty_source"
    assert len(rows_of(job)) == 100
    assert staged_of(job) == []
    assert record.hold is not None
    held = record.hold["tables"]["public.orders"]
    assert (held["removed"], held["table_rows"], len(held["sample_keys"])) == (100, 100, 20)
    assert held["sample_keys"] == [{"id": str(number)} for number in range(1, 21)]
    assert record.hold["files"] == 100
    go_on(record)
    assert (record.state, record.rows_removed) == (State.SUCCEEDED, 100)
    assert rows_of(job) == []


def test_t08_a_source_that_recovers_before_the_release_removes_nothing(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    rows = list(orders.rows)
    del orders.rows[:60]
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.error_code) == (State.HELD, "mass_removal")
    assert "60 of 100 rows would be removed" in record.error
    orders.rows[:] = rows
    go_on(record)
    assert (record.state, record.rows_removed, record.rows_unchanged) == (State.SUCCEEDED, 0, 100)
    assert rows_of(job) == held_as(orders)
    assert Version.objects.count() == 1


def test_a_release_covers_what_was_shown_and_no_more(job: SyncJob, orders: MemoryTable) -> None:
    run(job)
    del orders.rows[:60]
    record = run(job, mode=SyncMode.FULL)
    del orders.rows[:10]
    go_on(record)
    assert (record.state, record.error_code) == (State.HELD, "mass_removal")
    assert len(rows_of(job)) == 100
    go_on(record)
    assert (record.state, record.rows_removed) == (State.SUCCEEDED, 70)


def test_fewer_rows_than_fifty_and_a_tenth_are_removed_without_a_person(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    del orders.rows[:49]
    assert run(job, mode=SyncMode.FULL).rows_removed == 49


def test_a_dry_run_says_what_would_be_held(job: SyncJob, orders: MemoryTable) -> None:
    run(job)
    del orders.rows[:60]
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    assert (plan.state, plan.rows_removed) == (State.SUCCEEDED, 60)
    assert plan.tables is not None
    assert plan.tables[0]["held"]["rule"] == "mass_removal"
    assert "would not be published" in plan.events.last().reason  # type: ignore[union-attr]
