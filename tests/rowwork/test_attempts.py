"""An attempt that was cut is gone on with, and nothing that moved meanwhile is missed."""

from __future__ import annotations

import pytest

from datasets.fencing import take_token
from datasets.models import Version
from farends.errors import ConnectionLost
from farends.rows.contract import CursorChoice, CursorOrder, MarkLostReason
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from tests.rows import at_work, fresh, run
from tests.rowwork.conftest import MakeJob, events_by_name, held_as, rows_of, table_of
from tests.rowwork.memory import MemoryDatabase, MemoryTable
from tests.rowwork.test_guards import staged_of
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


class Cut:
    """Loses the connection before this chunk, once."""

    def __init__(self, database: MemoryDatabase, number: int) -> None:
        self._number: int | None = number
        database.before_chunk = self

    def __call__(self, number: int) -> None:
        if number == self._number:
            self._number = None
            raise ConnectionLost


def try_again(record: SyncRecord) -> SyncRecord:
    SyncRecord.objects.filter(pk=record.pk, state=State.QUEUED).update(not_before=None)
    execute(record.pk, Heart("test"))
    return fresh(record)


def test_a_second_attempt_goes_on_and_reads_again_what_moved_meanwhile(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    Cut(database, 5)
    record = run(job)
    assert (record.state, record.attempt) == (State.QUEUED, 2)
    read_before = sorted(orders.rows, key=lambda row: row["id"] or "")[3]
    orders.touch(read_before, name="meanwhile")
    try_again(record)
    assert (record.state, record.rows_read, record.rows_added) == (State.SUCCEEDED, 100, 100)
    assert rows_of(job) == held_as(orders)
    begun, resumed, second = database.readings
    assert (begun[1:], resumed[1]) == ((None, None), None)
    assert resumed[2] is not None  # it went on behind what was kept
    assert second[1] is not None
    assert second[1].text == "100"  # from where the first attempt began
    assert events_by_name(record.pk)["second_pass"]["reason"] == "resumed"
    assert staged_of(job) == []


def test_a_row_that_went_between_two_attempts_is_not_in_a_first_load(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    Cut(database, 5)
    record = run(job)
    orders.remove(id="1")  # staged already
    try_again(record)
    assert (record.state, record.rows_read, record.rows_added) == (State.SUCCEEDED, 99, 99)
    assert rows_of(job) == held_as(orders)


def test_a_row_that_went_between_two_attempts_is_removed_by_a_full_record(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    run(job)
    orders.touch(orders.find(id="99"), name="changed")
    Cut(database, 5)
    record = run(job, mode=SyncMode.FULL)
    assert record.state == State.QUEUED
    orders.remove(id="1")
    try_again(record)
    assert (record.state, record.rows_removed, record.rows_changed) == (State.SUCCEEDED, 1, 1)
    assert rows_of(job) == held_as(orders)


def test_an_attempt_that_is_cut_in_its_second_pass_owes_it_still(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    Cut(database, 5)
    record = run(job)
    orders.touch(orders.find(id="1"), name="meanwhile")
    Cut(database, 0)  # of the pass that begins anew
    database.readings.clear()
    try_again(record)
    assert record.state == State.QUEUED
    try_again(record)
    assert record.state == State.SUCCEEDED
    assert rows_of(job) == held_as(orders)


def test_a_source_whose_rows_moved_is_read_once_more(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    database.drifts = 1
    orders.add(**orders.find(id="5") | {"name": "read twice"})
    database.before_chunk = lambda number: None
    record = run(job)
    assert events_by_name(record.pk)["second_pass"]["reason"] == "drifted"
    assert record.state == State.HELD  # two rows of one key are still there
    orders.rows.pop()
    database.drifts = 1
    assert run(job).state == State.SUCCEEDED


def test_a_source_that_cannot_resume_begins_anew(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    database.resumes = False
    Cut(database, 5)
    record = run(job)
    try_again(record)
    assert (record.state, record.rows_read) == (State.SUCCEEDED, 100)
    assert [after for _, _, after in database.readings] == [None, None]
    assert rows_of(job) == held_as(orders)


def test_another_record_does_not_go_on_with_what_was_staged(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    Cut(database, 5)
    record = run(job)
    cancel(record.pk, by="a person")
    del orders.rows[:20]
    assert run(job).rows_added == 80
    assert rows_of(job) == held_as(orders)


def test_a_worker_that_was_fenced_off_writes_nothing_more(
    job: SyncJob, database: MemoryDatabase
) -> None:
    def take_over(number: int) -> None:
        if number == 4:
            from django.db import connection

            with connection.cursor() as cursor:
                take_token(cursor, job.dataset_id)

    database.before_chunk = take_over
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert execute(record.pk, Heart("test")) is None
    assert fresh(record).state == State.RUNNING
    assert not Version.objects.exists()


def test_a_lost_mark_reads_the_whole_and_says_so(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    run(job)
    orders.remove(id="7")
    database.lost = MarkLostReason.WENT_BACK
    record = run(job)
    assert (record.rows_read, record.rows_removed) == (99, 1)
    assert events_by_name(record.pk)["mark_lost"]["reason"] == "went_back"


def test_another_cursor_reads_the_whole(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    run(job)
    SyncJob.objects.filter(pk=job.pk).update(cursor={"field": "updated_at"})
    job.refresh_from_db()
    record = run(job)
    assert (record.rows_read, record.cursor_column) == (100, "updated_at")
    mark = table_of(job).mark
    assert mark is not None
    assert mark["field"] == "updated_at"
    assert database.readings[-1][1] is None


def test_t03_rows_without_a_cursor_are_read_each_time_and_counted(
    make_row_job: MakeJob, orders: MemoryTable
) -> None:
    orders.cursors = (CursorChoice(CursorOrder("updated_at"), proposed=True),)
    for number in ("3", "4", "5"):
        orders.touch(orders.find(id=number), updated_at=None)
    job = make_row_job()
    assert run(job).rows_without_cursor == 3
    record = run(job)
    assert record.rows_without_cursor == 3
    assert events_by_name(record.pk)["rows_without_cursor"] == {
        "table": "public.orders",
        "column": "updated_at",
        "rows": 3,
    }
    assert rows_of(job) == held_as(orders)


def test_a_cancel_ends_the_reading(job: SyncJob, database: MemoryDatabase) -> None:
    with at_work(job) as record:
        seen = []

        def wait(number: int) -> None:
            seen.append(number)
            until(lambda: fresh(record).cancel_asked_at is not None, "nobody cancelled")

        database.before_chunk = wait
        cancel(record.pk, by="a person")
    assert fresh(record).state in (State.CANCELLED, State.SUCCEEDED)


def test_a_full_record_forgets_the_mark(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    run(job)
    run(job, mode=SyncMode.FULL)
    assert [since for _, since, _ in database.readings] == [None, None]
