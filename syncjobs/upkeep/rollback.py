"""Rolls a dataset back to an older version: files or rows, and what later syncs compare with, in one transaction.

Versions are never changed or taken away: what the older one holds is published as the next. The fencing token
grows as at a claim, so that nobody who read the dataset before can publish over it.
"""

from __future__ import annotations

import uuid

import structlog
from django.db import connection, transaction
from django.db.models import Q

from datasets.fencing import Fenced, take_token
from datasets.models import DatasetKind, Version
from datasets.rollbacks import write_rollback
from datasets.tables.going_back import CannotGoBack, write_rollback_of_tables
from search.indexing.marking import note_published
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.upkeep.rollback_elsewhere import lies_elsewhere, roll_back_elsewhere
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
    stay as it is switches its job off. Raises VersionMissing, NothingToRollBack, DatasetBusy, CannotGoBack, TableGone,
    DestinationAway."""
    if lies_elsewhere(dataset_id):
        version = _roll_back_elsewhere(dataset_id, number, by=by[:150])
    else:
        version = _roll_back_at_home(dataset_id, number, by=by[:150])
    log.info(
        "dataset.rolled_back", dataset=str(dataset_id), to=number, version=version.number, by=by
    )
    return version


def _roll_back_at_home(dataset_id: uuid.UUID, number: int, *, by: str) -> Version:
    with transaction.atomic():
        current, _ = _take(dataset_id, number)
        write = _WRITERS[DatasetKind(current.dataset.kind)]
        published = write(dataset_id, current=current.number, target=number, by=by)
        if published.number is None:
            raise _nothing(current, number)
        with connection.cursor() as cursor:
            wake_readers(cursor, dataset_id)
            note_published(cursor, dataset_id)
        version = current.dataset.versions.get(number=published.number)
        auditing.note(version.dataset, "rolled back", {"version": [current.number, number]})
    return version


def _roll_back_elsewhere(dataset_id: uuid.UUID, number: int, *, by: str) -> Version:
    """The rows go back in a transaction of their own database, and home follows."""
    with transaction.atomic():
        current, token = _take(dataset_id, number)
    try:
        version = roll_back_elsewhere(current.dataset, number, token=token, by=by)
    except Fenced:
        _refuse_running(dataset_id)
        raise CannotGoBack("the dataset was claimed meanwhile: try again") from None
    if version is None:
        raise _nothing(current, number)
    auditing.note(version.dataset, "rolled back", {"version": [current.number, number]})
    return version


def _take(dataset_id: uuid.UUID, number: int) -> tuple[Version, int]:
    """The current version, and a token: from here until the transaction ends nobody claims or publishes."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '15min'")
        token = take_token(cursor, dataset_id)
    _refuse_running(dataset_id)
    versions = Version.objects.filter(dataset_id=dataset_id).select_related("dataset")
    asked = {row.number: row for row in versions.filter(Q(is_current=True) | Q(number=number))}
    current = next((row for row in asked.values() if row.is_current), None)
    if current is None or number not in asked:
        raise VersionMissing(f"there is no version {number}")
    return current, token


def _refuse_running(dataset_id: uuid.UUID) -> None:
    """Raises DatasetBusy."""
    running = SyncRecord.objects.filter(job__dataset_id=dataset_id, state=State.RUNNING)
    if record := running.select_related("job").first():
        raise DatasetBusy(record)


def _nothing(current: Version, number: int) -> NothingToRollBack:
    return NothingToRollBack(f"version {current.number} holds just what version {number} does")
