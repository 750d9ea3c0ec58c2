"""Many queued records at once, written by SQL: making them is not what is measured."""

from __future__ import annotations

import uuid

from django.db import connection

from benchmarks.copying import copy_row
from connectors.models import Connector
from datasets.models import Dataset
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from workspaces.models import Workspace


def queue_records(*, workspaces: int, jobs: int, times: int = 1) -> list[uuid.UUID]:
    """`jobs` jobs in each of some workspaces, and so many queued records of each. More than one of a job
    are dry runs, because a job has one other queued record at most."""
    made = []
    for number in range(workspaces):
        workspace = Workspace.objects.create(name=f"bench-{uuid.uuid4().hex[:12]}")
        connector = Connector.objects.create(
            workspace=workspace, name="host", kind="sftp", host="192.0.2.1", port=22 + number
        )
        made.append(workspace.pk)
        _make_jobs(connector, jobs)
    job = SyncJob.objects.filter(workspace_id=made[0]).select_related("connector")[0]
    first = SyncRecord.either.create(
        workspace_id=job.workspace_id, job=job, connector=job.connector, address=job.address,
        trigger=Trigger.MANUAL, state=State.HELD, dry_run=times > 1,
    )  # fmt: skip
    copy_row(
        first,
        times,
        {
            "id": "gen_random_uuid()",
            "workspace_id": "j.workspace_id",
            "job_id": "j.id",
            "connector_id": "j.connector_id",
            "state": "'queued'",
            "queued_at": "now() - make_interval(secs => random() * 60)",
        },
        join="JOIN syncjobs_syncjob j ON j.workspace_id = ANY(%(workspaces)s)",
        workspaces=made,
    )
    first.delete()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE syncjobs_syncrecord")
    return list(SyncRecord.either.filter(workspace__in=made).values_list("pk", flat=True))


def _make_jobs(connector: Connector, count: int) -> None:
    names = [f"bench-{number}" for number in range(count)]
    datasets = [Dataset(workspace_id=connector.workspace_id, name=name) for name in names]
    jobs = [
        SyncJob(
            workspace_id=connector.workspace_id,
            connector=connector,
            dataset=dataset,
            name=dataset.name,
        )
        for dataset in datasets
    ]
    Dataset.objects.bulk_create(datasets, 5_000)
    SyncJob.objects.bulk_create(jobs, 5_000)
