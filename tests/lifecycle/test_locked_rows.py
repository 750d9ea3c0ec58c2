"""Dispatchers and bells pass over rows that others hold: nobody waits, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import pytest
from django.db import connection, transaction
from django.utils import timezone

from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queueing.dispatching import Dispatched, dispatch_due
from syncjobs.queueing.ringing import take_unrung
from tests.lifecycle.test_limits import host, queue
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)
_T = TypeVar("_T")


def elsewhere(work: Callable[[], _T]) -> _T:
    """Done by another session, which fails where it would have to wait for a lock."""

    def unwaiting() -> _T:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '500ms'")
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(unwaiting).result()


@pytest.fixture
def due_jobs() -> list[SyncJob]:
    connector = host()
    jobs = [make_job(connector, schedule={"every_s": 60}) for _ in range(6)]
    due = timezone.now() - timedelta(seconds=5)
    SyncJob.objects.filter(pk__in=[job.pk for job in jobs]).update(next_run_at=due)
    return jobs


def test_two_dispatchers_take_different_jobs(due_jobs: list[SyncJob]) -> None:
    """The second one looks while the first one's transaction is open."""
    with transaction.atomic():
        assert dispatch_due(limit=4) == Dispatched(queued=4, coalesced=0)
        assert elsewhere(lambda: dispatch_due(limit=6)) == Dispatched(queued=2, coalesced=0)
    taken = SyncRecord.objects.values_list("job_id", flat=True)
    assert sorted(taken) == sorted(job.pk for job in due_jobs)
    assert dispatch_due() == Dispatched(0, 0)


def test_a_job_that_somebody_changes_is_left_for_the_next_round(
    due_jobs: list[SyncJob],
) -> None:
    changed = due_jobs[0]
    with transaction.atomic():
        SyncJob.objects.select_for_update(no_key=True).get(pk=changed.pk)
        assert elsewhere(dispatch_due) == Dispatched(queued=5, coalesced=0)
        SyncJob.objects.filter(pk=changed.pk).update(next_run_at=None)
    assert dispatch_due() == Dispatched(0, 0)
    assert not SyncRecord.objects.filter(job=changed).exists()


def test_bells_pass_over_records_that_are_moving() -> None:
    records = queue(host(), 4)
    with transaction.atomic():
        SyncRecord.objects.select_for_update().get(pk=records[0].pk)
        assert elsewhere(lambda: take_unrung(2)) == [records[1].pk, records[2].pk]
    assert take_unrung(1) == [records[0].pk]


def test_two_that_ring_take_different_records() -> None:
    records = queue(host(), 5)
    with transaction.atomic():
        first = take_unrung(2)
        second = elsewhere(lambda: take_unrung(2))
    assert first == [record.pk for record in records[:2]]
    assert second == [record.pk for record in records[2:4]]
