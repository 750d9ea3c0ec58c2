"""Rolls a dataset back to an older version: files or rows, and what later syncs compare with, in one transaction.

Versions are never changed or taken away: what the older one holds is published as the next. The fencing token
grows as at a claim, so that nobody who read the dataset before can publish over it.
"""

from __future__ import annotations

import uuid

import structlog
from django.db import connection, transaction
from django.db.models import Q

from datasets.fencing import take_token
from datasets.models import DatasetKind, Version
from datasets.rollbacks import write_rollback
from datasets.tables.going_back import write_rollback_of_tables
from search.indexing.marking import note_published
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.works.following import wake_readers
from workspaces import auditing

_WRITERS = {DatasetKind.FILES: write_rollback, DatasetKind.TABLE: write_rollback_of_tables}

log = structlog.get_logger(__name__)


class VersionMissing(LookupError):
    """The dataset has no version of that number."""


class NothingToRollBack(Exception):
    """The dataset holds just what that version holds."""


class DatasetBusy(Exception):
    """A record of the dataset's job runs; `record` is that one."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(f"job {record.job.name} is running ({record.percentage:.0f} %)")
        self.record = record


def roll_back(dataset_id: uuid.UUID, number: int, *, by: str) -> Version:
    """The new, current version. The next sync brings what the source has by then: whoever wants the dataset to
    stay as it is switches its job off. Raises VersionMissing, NothingToRollBack, DatasetBusy, CannotGoBack."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '15min'")
            take_token(cursor, dataset_id)  # from here until the end nobody claims or publishes
        running = SyncRecord.objects.filter(job__dataset_id=dataset_id, state=State.RUNNING)
        if record := running.select_related("job").first():
            raise DatasetBusy(record)
        versions = Version.objects.filter(dataset_id=dataset_id).select_related("dataset")
        asked = {row.number: row for row in versions.filter(Q(is_current=True) | Q(number=number))}
        current = next((row for row in asked.values() if row.is_current), None)
        if current is None or number not in asked:
            raise VersionMissing(f"there is no version {number}")
        write = _WRITERS[DatasetKind(current.dataset.kind)]
        published = write(dataset_id, current=current.number, target=number, by=by[:150])
        if published.number is None:
            raise NothingToRollBack(
                f"version {current.number} holds just what version {number} does"
            )
        with connection.cursor() as cursor:
            wake_readers(cursor, dataset_id)
            note_published(cursor, dataset_id)
        version = versions.get(number=published.number)
        auditing.note(version.dataset, "rolled back", {"version": [current.number, number]})
    log.info(
        "dataset.rolled_back", dataset=str(dataset_id), to=number, version=version.number, by=by
    )
    return version
