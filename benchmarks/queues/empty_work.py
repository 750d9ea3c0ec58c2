"""Loaded by the benchmark's workers (`celery -I`): a record's work is to succeed at once, so that what is
measured is bell, claim, heartbeat, finish and all the rows they write. And Celery's own no-op, the peer."""

from __future__ import annotations

from celery import shared_task

from datasets.models import DatasetKind
from farends.spec import FILES
from syncjobs.core.states import Event
from syncjobs.works.contract import Assignment, Ending, end
from syncjobs.works.table import WORKS


class NothingToDo:
    dataset_kind = DatasetKind.FILES

    def run(self, assignment: Assignment) -> Ending:
        assignment.lease.check()
        return end(Event.SUCCEEDED, "nothing to do", verdict="ok")


WORKS[FILES] = NothingToDo()


@shared_task(name="benchmark.nothing", queue="sync", ignore_result=True)  # type: ignore[untyped-decorator]
def nothing(number: int) -> None:
    """The least that Celery can do."""
