"""What of a job of rows cannot change once its dataset has versions, and what begins anew where it does change."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from datasets.models import Table, Version
from farends.spec import ROWS
from syncjobs.models import SyncJob
from syncjobs.models.jobs import Misplaced
from syncjobs.order.job import OPTIONS
from syncjobs.order.row_entities import read_table

FIXED = [option.name for option in OPTIONS.values() if option.about.fixed]
_WORDS = "cannot change while the dataset has versions, which were made with the present one: make another job"


class FixedByVersions(ValidationError):
    """The change would fit a new job, and not one whose dataset has versions."""


def refuse_fixed(job: SyncJob, stored: SyncJob) -> None:
    """Raises FixedByVersions."""
    if job.far_end != ROWS:
        return
    changed = [name for name in FIXED if _meaning(job, name) != _meaning(stored, name)]
    tables = _find_other_keys(job, stored)
    if not changed and not tables:
        return
    if not Version.objects.filter(dataset=stored.dataset_id).exists():
        return
    made = Table.objects.filter(dataset=stored.dataset_id).exclude(version=None)
    known = set(made.values_list("name", flat=True)) & {*tables}
    problems = {name: [Misplaced(_WORDS, ())] for name in changed}
    if known:
        problems["overrides"] = [Misplaced(_WORDS, (name, "key")) for name in sorted(known)]
    if problems:
        raise FixedByVersions(problems)


def forget_marks(job: SyncJob, stored: SyncJob) -> None:
    """A mark is of one cursor: where that is another one now, the next record reads everything."""
    tables = Table.objects.filter(dataset=job.dataset_id)
    if job.cursor == stored.cursor:
        changed = {
            name
            for name in {*job.overrides, *stored.overrides}
            if _override(job, name, "cursor") != _override(stored, name, "cursor")
        }
        tables = tables.filter(pk__in=[table.pk for table in tables if table.name in changed])
    tables.update(mark=None)


def _find_other_keys(job: SyncJob, stored: SyncJob) -> set[str]:
    return {
        name
        for name in {*job.overrides, *stored.overrides}
        if _override(job, name, "key") != _override(stored, name, "key")
    }


def _override(job: SyncJob, name: str, word: str) -> Any:
    return job.overrides.get(name, {}).get(word, ...)


def _meaning(job: SyncJob, name: str) -> Any:
    value = getattr(job, name)
    if name == "entity":
        return read_table(value)
    if (
        name == "destination" and value is not None
    ):  # `adopt` is asked once, when the table is taken
        return {**value, "adopt": False}
    return value
