"""Many jobs at once, as rows: without the care that `save_job` takes of each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from connectors.models import Connector
from datasets.models import Dataset
from datasets.store import ensure_store
from syncjobs.models import SyncJob
from timing.clock import database_now
from timing.schedules import Every, first_due
from workspaces.models import Workspace

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")


def mixed_fields(number: int) -> dict[str, Any]:
    """Mostly daily, some hourly, some in minutes; in several zones."""
    zone = ZONES[number % len(ZONES)]
    if number % 10 == 0:
        return {"schedule": {"every_s": 300 + number % 7 * 60}}
    if number % 10 < 4:
        return {"schedule": {"cron": f"{number % 60} * * * *", "timezone": zone}}
    return {"schedule": {"cron": f"{number % 60} {number % 24} * * *", "timezone": zone}}


def make_many_jobs(
    count: int,
    *,
    workspaces: int = 1,
    prefix: str = "many",
    fields: Callable[[int], dict[str, Any]] = mixed_fields,
    now: datetime | None = None,
) -> list[SyncJob]:
    """Each workspace has one connector; a job is due when its first fire comes, from now on."""
    ensure_store()
    owners = [
        Connector.objects.create(
            workspace=Workspace.objects.create(name=f"{prefix}-{number}"),
            name="host",
            kind="sftp",
            host=f"{prefix}-{number}.example.com",
            port=22,
            options={"username": "x"},
        )
        for number in range(workspaces)
    ]
    made: list[SyncJob] = []
    for begin in range(0, count, 5_000):
        numbers = range(begin, min(begin + 5_000, count))
        datasets = [
            Dataset(workspace_id=owners[n % workspaces].workspace_id, name=f"job-{n}")
            for n in numbers
        ]
        Dataset.objects.bulk_create(datasets)
        jobs = [
            SyncJob(
                workspace_id=owners[n % workspaces].workspace_id,
                connector=owners[n % workspaces],
                dataset=dataset,
                name=f"job-{n}",
                **fields(n),
            )
            for n, dataset in zip(numbers, datasets, strict=True)
        ]
        made += SyncJob.objects.bulk_create(_planned(jobs, now or database_now()))
    return made


def _planned(jobs: list[SyncJob], now: datetime) -> list[SyncJob]:
    for job in jobs:
        if job.next_run_at is None:
            job.next_run_at = first_due(job.parsed_schedule, now, job.offset)
            if isinstance(job.parsed_schedule, Every):  # not all at once
                job.next_run_at = now + timedelta(seconds=job.parsed_schedule.every_s)
    return jobs
