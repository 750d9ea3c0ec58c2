"""Many queued records at once, written by SQL: making them is not what is measured."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connection

from connectors.models import Connector
from datasets.models import Dataset
from syncjobs.models import SyncJob
from workspaces.models import Workspace

_RECORDS = """
INSERT INTO syncjobs_syncrecord (id, workspace_id, job_id, connector_id, address, trigger, mode, dry_run,
    state, queued_at, {zeros}, {texts})
SELECT gen_random_uuid(), j.workspace_id, j.id, j.connector_id, %(address)s, 'manual', 'incremental',
       %(times)s > 1, 'queued', now() - make_interval(secs => random() * 60), {zero_values}, {text_values}
  FROM syncjobs_syncjob j CROSS JOIN generate_series(1, %(times)s)
 WHERE j.workspace_id = ANY(%(workspaces)s)
RETURNING id
"""

_ZEROS = (
    "percentage", "current_file_index", "files_added", "files_changed", "files_removed", "files_unchanged",
    "files_failed", "files_skipped", "files_deferred", "bytes_transferred", "attempt", "vain_attempts",
    "crash_count", "token", "files_cleared", "files_left",
)  # fmt: skip
_TEXTS = (
    "verdict", "stage", "requested_by", "dialled", "cancel_asked_by", "warning", "waiting_for", "error_code", "error",
)  # fmt: skip


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
    statement = _RECORDS.format(
        zeros=", ".join((*_ZEROS, "guards_waived")),
        zero_values=", ".join(("0",) * len(_ZEROS) + ("false",)),
        texts=", ".join(_TEXTS),
        text_values=", ".join(("''",) * len(_TEXTS)),
    )
    found = _execute(
        statement, {"address": "192.0.2.1:22", "times": times, "workspaces": made}, fetch=True
    )
    _execute("ANALYZE syncjobs_syncrecord", {})
    return [row[0] for row in found]


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


def _execute(statement: str, parameters: dict[str, Any], *, fetch: bool = False) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20min'")
        cursor.execute(statement, parameters)
        return cursor.fetchall() if fetch else []
