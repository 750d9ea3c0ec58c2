"""What benchmarks measure on is made by SQL: a new column of a model must not stop them."""

from __future__ import annotations

import pytest
from django.db.models import Count

from benchmarks.queues.rows import queue_records
from benchmarks.schedules.rows import WORKSPACES, Crowd, make_due, make_jobs, rest_all
from benchmarks.surfaces.rows import fill
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queueing.dispatching import dispatch_due
from timing.clock import database_now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("times", [1, 3])
def test_records_are_queued_for_each_job(times: int) -> None:
    made = queue_records(workspaces=2, jobs=3, times=times)
    rows = SyncRecord.either.filter(pk__in=made, state=State.QUEUED, dry_run=times > 1)
    counts = rows.values("job").annotate(count=Count("pk")).values_list("count", flat=True)
    assert list(counts) == [times] * 6
    assert SyncRecord.either.count() == len(made)


def test_jobs_are_made_and_fire_together() -> None:
    make_jobs(Crowd(count=3 * WORKSPACES, every_s=3600, first_s=60))
    assert SyncJob.objects.filter(next_run_at__gt=database_now()).count() == 3 * WORKSPACES
    assert dispatch_due().jobs == 0
    make_due(7, seconds=-2.0)
    assert dispatch_due().queued == 7
    rest_all()
    assert dispatch_due().jobs == 0


def test_a_workspace_is_filled_with_records_of_its_jobs() -> None:
    fill(jobs=4, records=40)
    rows = SyncRecord.objects.filter(workspace__name="bench")
    assert rows.count() == 40
    assert rows.values("job").distinct().count() == 4
