"""Saving a job: its dataset exists, its next fire follows its schedule."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from datasets.models import Dataset
from syncjobs.core.schedules import first_fire
from syncjobs.models import SyncJob


def save_job(job: SyncJob) -> None:
    """Saves a new or edited job. A job that is off has no next fire; an unchanged schedule keeps its own."""
    with transaction.atomic():
        stored = SyncJob.objects.select_for_update().filter(pk=job.pk).first()
        if stored is None:
            job.dataset = _take_dataset(job)
        elif stored.name != job.name:
            _rename_dataset(job)
        job.next_run_at = _next_run_at(job, stored)
        job.save()


def _take_dataset(job: SyncJob) -> Dataset:
    """A new one, or the one that a deleted job of this name left: data outlive their job."""
    left = Dataset.objects.filter(workspace=job.workspace, name=job.name, job=None).first()
    return left or Dataset.objects.create(workspace=job.workspace, name=job.name)


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
    return first_fire(job.parsed_schedule, timezone.now())
