"""Rows out of quarantine are sent again, and a table is read from nothing."""

from __future__ import annotations

import pytest

from datasets.models import Version
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import QuarantinedRow, SyncJob, SyncRecord
from syncjobs.queueing.redriving import send_again
from syncjobs.queueing.requesting import request_resync
from tests.rows import fresh, run
from tests.rowwork.conftest import held_as, rows_of, table_of
from tests.rowwork.memory import MemoryDatabase, MemoryTable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spoilt(job: SyncJob, orders: MemoryTable) -> SyncRecord:
    """A record with two rows in quarantine: 5 has too many cells, 77 a day that is none."""
    for number in range(101, 1001):
        orders.add(id=str(number), name="more", qty="1")
    orders.raw = {
        ("5",): b"5\tname\t1\t\\N\ttoo many\n",
        ("77",): b"77\tname\t1\t2026-13-01\n",
    }
    return run(job)


def do(record: SyncRecord) -> SyncRecord:
    execute(record.pk, Heart("test"))
    return fresh(record)


def states(record: SyncRecord) -> list[str]:
    return list(QuarantinedRow.objects.filter(record=record).values_list("state", flat=True))


def test_t15_a_corrected_row_is_in_the_table(spoilt: SyncRecord, orders: MemoryTable) -> None:
    mark = table_of(spoilt.job).mark
    orders.touch(orders.find(id="9"), name="later")
    row = QuarantinedRow.objects.get(record=spoilt, code="value")
    values = {row.pk: {"updated_at": "2026-12-13 00:00:00+00"}}
    record = do(send_again(spoilt, by="a person", ids=[row.pk], values=values))
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert (record.rows_read, record.rows_added, record.rows_changed) == (1, 1, 0)
    assert rows_of(spoilt.job)[75]["updated_at"] == "2026-12-13 00:00:00+00"
    assert states(spoilt) == ["open", "redriven"]
    assert table_of(spoilt.job).mark == mark
    assert run(spoilt.job).rows_changed == 1


def test_a_row_without_values_is_read_again_by_its_key(
    spoilt: SyncRecord, orders: MemoryTable
) -> None:
    orders.raw = {}
    record = do(send_again(spoilt, by="a person"))
    assert (record.state, record.rows_added) == (State.SUCCEEDED, 2)
    assert rows_of(spoilt.job) == held_as(orders)
    assert states(spoilt) == ["redriven", "redriven"]


def test_a_row_that_is_bad_again_is_in_the_new_records_quarantine(spoilt: SyncRecord) -> None:
    record = do(send_again(spoilt, by="a person"))
    assert (record.state, record.rows_failed) == (State.PARTIAL, 2)
    assert states(spoilt) == ["redriven", "redriven"]
    assert states(record) == ["open", "open"]
    assert Version.objects.count() == 1


def test_a_resync_reads_all_rows_and_keeps_the_history(
    job: SyncJob, orders: MemoryTable, database: MemoryDatabase
) -> None:
    run(job)
    orders.remove(id="7")
    record = do(request_resync(job, by="a person"))
    assert (record.state, record.rows_read, record.rows_removed) == (State.SUCCEEDED, 99, 1)
    assert database.readings[-1][1] is None
    assert Version.objects.count() == 2
