"""Many jobs and records at once, written by SQL: copies of one row of each, with what tells them apart."""

from __future__ import annotations

from django.db import connection, models
from django.utils import timezone

from benchmarks.copying import copy_row, table_of
from connectors.models import Connector
from datasets.models import Dataset
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from workspaces.models import Workspace

CONNECTORS = 100
TIED = 200  # records of one moment: a dispatcher queues many in one transaction

# By number: of a thousand records nine have failed, one is partial, and of ten thousand one is held.
_STATE = (
    "CASE WHEN n %% 10000 = 7 THEN 'held' WHEN n %% 1000 < 9 THEN 'failed'"
    " WHEN n %% 1000 = 9 THEN 'partial' ELSE 'succeeded' END"
)


def fill(*, jobs: int, records: int) -> None:
    """A workspace `bench` with all of it, and `small` with a thousandth of it, older than the rest."""
    _fill("bench", jobs=jobs, records=records, before_s=0)
    _fill("small", jobs=max(1, jobs // 1000), records=max(1, records // 1000), before_s=90 * 86_400)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _fill(name: str, *, jobs: int, records: int, before_s: int) -> None:
    workspace = Workspace.objects.create(name=name)
    first = Connector.objects.create(
        workspace=workspace, name="host-0", kind="sftp", host="192.0.2.1", port=22,
        options={"username": "sync"},
    )  # fmt: skip
    job = SyncJob(workspace=workspace, connector=first, name="job-0", schedule={"every_s": 3600})
    save_job(job)
    record = SyncRecord.objects.create(
        workspace=workspace, job=job, connector=first, address=first.address, trigger=Trigger.SCHEDULE,
        state=State.SUCCEEDED, started_at=timezone.now(), finished_at=timezone.now(), verdict="ok",
        total_files=1000, files_added=3, files_unchanged=997, bytes_transferred=12345,
        dataset_version=1, attempt=1, percentage=100.0,
    )  # fmt: skip
    copy_row(first, CONNECTORS - 1, {"id": "gen_random_uuid()", "name": "'host-' || n"})
    copy_row(job.dataset, jobs - 1, {"id": "gen_random_uuid()", "name": "'job-' || n"})
    copy_row(
        job,
        jobs - 1,
        {
            "id": "gen_random_uuid()",
            "name": "'job-' || n",
            "dataset_id": _named(Dataset, "'job-' || n"),
            "connector_id": _named(Connector, f"'host-' || n %% {CONNECTORS}"),
        },
    )
    at = f"template.queued_at - make_interval(secs => {before_s} + (n / {TIED}) * 600)"
    of_workspace = f"{table_of(SyncJob)} WHERE workspace_id = %(workspace)s"
    number = "id, connector_id, row_number() OVER (ORDER BY id) - 1 AS number"
    numbered = f"JOIN (SELECT {number} FROM {of_workspace}) each ON each.number = n %% {jobs}"  # noqa: S608 — our own names
    copy_row(
        record,
        records - 1,
        {
            "id": "gen_random_uuid()",
            "job_id": "each.id",
            "connector_id": "each.connector_id",
            "state": _STATE,
            "queued_at": at,
            "started_at": at,
            "finished_at": f"CASE WHEN n %% 10000 <> 7 THEN {at} + interval '40 s' END",
        },
        join=numbered,
        workspace=workspace.pk,
    )


def _named(model: type[models.Model], name: str) -> str:
    """The key of the row of the workspace that has this name, as an expression."""
    table = table_of(model)
    return f"(SELECT x.id FROM {table} x WHERE x.workspace_id = template.workspace_id AND x.name = {name})"  # noqa: S608 — our own names
