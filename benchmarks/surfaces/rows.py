"""Many jobs and records at once, written by SQL: copies of one row of each, with what tells them apart."""

from __future__ import annotations

from typing import Any

from django.db import connection, models
from django.utils import timezone

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
    _copy(first, CONNECTORS - 1, {"id": "gen_random_uuid()", "name": "'host-' || n"})
    _copy(job.dataset, jobs - 1, {"id": "gen_random_uuid()", "name": "'job-' || n"})
    _copy(
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
    of_workspace = f"{_table(SyncJob)} WHERE workspace_id = %(workspace)s"
    number = "id, connector_id, row_number() OVER (ORDER BY id) - 1 AS number"
    numbered = f"JOIN (SELECT {number} FROM {of_workspace}) each ON each.number = n %% {jobs}"  # noqa: S608 — our own names
    _copy(
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


def _copy(
    row: models.Model, count: int, other: dict[str, str], *, join: str = "", **parameters: Any
) -> None:
    columns = [str(field.column) for field in row._meta.concrete_fields]
    names = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(other.get(column, f'template."{column}"') for column in columns)
    table = _table(type(row))
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20min'")
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} template"  # noqa: S608 — our own names
            f" CROSS JOIN generate_series(1, %(count)s) n {join} WHERE template.id = %(template)s",
            {"count": count, "template": row.pk, **parameters},
        )


def _named(model: type[models.Model], name: str) -> str:
    """The key of the row of the workspace that has this name, as an expression."""
    table = _table(model)
    return f"(SELECT x.id FROM {table} x WHERE x.workspace_id = template.workspace_id AND x.name = {name})"  # noqa: S608 — our own names


def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'
