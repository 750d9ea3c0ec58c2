"""Saving a job: its dataset exists, its next fire follows its schedule."""

from __future__ import annotations

import itertools
from datetime import datetime

from django.db import transaction

from connectors.models import Connector
from datasets.models import Dataset
from syncjobs.core.schedules import first_due
from syncjobs.lifecycle.transition import NOT_PAUSED
from syncjobs.models import SyncJob
from workspaces.clock import database_now


def save_job(job: SyncJob) -> None:
    """Saves a new or edited job. A job that is off has no next fire; an unchanged schedule keeps its own."""
    with transaction.atomic():
        stored = SyncJob.objects.select_for_update(no_key=True).filter(pk=job.pk).first()
        if stored is None:
            job.dataset = _take_dataset(job)
        elif stored.name != job.name:
            _rename_dataset(job)
        job.next_run_at = _next_run_at(job, stored)
        if stored is not None and job.enabled and not stored.enabled:
            for name, value in NOT_PAUSED.items():
                setattr(job, name, value)
        job.save()


def resume_job(job: SyncJob) -> bool:
    """Lets a paused job go on, a missed fire first; False where it was not paused."""
    paused = SyncJob.objects.filter(pk=job.pk).exclude(paused_at=None)
    return paused.update(**NOT_PAUSED) == 1


def resume_jobs_of(connector: Connector) -> int:
    """Whoever changed a connector may have mended what its paused jobs failed at; their count."""
    paused = SyncJob.objects.filter(connector=connector).exclude(paused_at=None)
    return paused.update(**NOT_PAUSED)


def follow_auto_sync(connector: Connector) -> None:
    """A connector with `auto_sync` has a default job, due every `sync_interval_s`; without, it rests.

    Call it in the transaction that saves the connector.
    """
    job = SyncJob.objects.filter(connector=connector, is_default=True).first()
    if job is None and connector.auto_sync:
        job = SyncJob(
            workspace=connector.workspace,
            connector=connector,
            name=_free_name(connector),
            is_default=True,
        )
    if job is not None:
        job.schedule = {"every_s": connector.sync_interval_s}
        job.enabled = connector.auto_sync
        save_job(job)


def _free_name(connector: Connector) -> str:
    taken = set(connector.workspace.sync_jobs.values_list("name", flat=True))
    return _find_free(f"{connector.name[:85]}-auto", taken)


def _find_free(name: str, taken: set[str]) -> str:
    """The name itself, or with the first number that nobody has."""
    numbered = (f"{name[:90]}-{number}" for number in itertools.count(2))
    return next(found for found in itertools.chain([name], numbered) if found not in taken)


def _take_dataset(job: SyncJob) -> Dataset:
    """A new one, or the one that a deleted job of this name left: data outlive their job."""
    named = Dataset.objects.filter(workspace=job.workspace, name=job.name).first()
    if named is not None and not SyncJob.objects.filter(dataset=named).exists():
        return named
    taken = set(job.workspace.datasets.values_list("name", flat=True))
    return Dataset.objects.create(workspace=job.workspace, name=_find_free(job.name, taken))


def _rename_dataset(job: SyncJob) -> None:
    """A dataset is called as its job, unless another has that name already."""
    if not Dataset.objects.filter(workspace=job.workspace, name=job.name).exists():
        Dataset.objects.filter(pk=job.dataset_id).update(name=job.name)


def _next_run_at(job: SyncJob, stored: SyncJob | None) -> datetime | None:
    if not job.enabled:
        return None
    unchanged = stored is not None and stored.enabled and stored.schedule == job.schedule
    if unchanged and stored is not None:
        return stored.next_run_at
    return first_due(job.parsed_schedule, database_now(), job.offset)
