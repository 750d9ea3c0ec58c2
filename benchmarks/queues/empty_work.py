"""Loaded by the benchmark's workers (`celery -I`): a record's work is to succeed at once, so that what is
measured is bell, claim, heartbeat, finish and all the rows they write. And Celery's own no-op, the peer."""

from __future__ import annotations

from celery import shared_task

from syncjobs.attempt import execution
from syncjobs.attempt.execution import Ending
from syncjobs.claims.heartbeat import Lease
from syncjobs.core.states import Event
from syncjobs.models import SyncRecord


def _succeed(record: SyncRecord, lease: Lease) -> Ending:
    lease.check()
    return Ending(Event.SUCCEEDED, "nothing to do", {"verdict": "ok"}, {})


execution._sync_files = _succeed


@shared_task(name="benchmark.nothing", queue="sync", ignore_result=True)  # type: ignore[untyped-decorator]
def nothing(number: int) -> None:
    """The least that Celery can do."""
