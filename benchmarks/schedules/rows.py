"""Many jobs at once, written by SQL, with the models' own defaults for what is not said here."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import connection

from connectors.models import Connector
from datasets.models import Dataset
from syncjobs.models import SyncJob
from workspaces.models import Workspace

WORKSPACES = 10


@dataclass(frozen=True, slots=True)
class Crowd:
    """`count` jobs: each is due every `every_s` seconds, the first times spread evenly over as long from
    `first_s` on."""

    count: int
    every_s: int
    first_s: float = 5.0


def make_jobs(crowd: Crowd) -> None:
    for number in range(WORKSPACES):
        workspace = Workspace.objects.create(name=f"bench-{uuid.uuid4().hex[:12]}")
        connector = Connector.objects.create(
            workspace=workspace, name="host", kind="sftp", host="192.0.2.1", port=22 + number
        )
        _insert(workspace, connector, crowd)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) syncjobs_syncjob")


def make_due(count: int, seconds: float = 2.0) -> None:
    """So many jobs, of all workspaces in turn, fire together in so many seconds."""
    _execute(
        "UPDATE syncjobs_syncjob SET next_run_at = date_trunc('second', now())"
        " + make_interval(secs => %s) WHERE id IN (SELECT id FROM syncjobs_syncjob ORDER BY id LIMIT %s)",
        [seconds, count],
    )


def clear() -> None:
    _execute("TRUNCATE syncjobs_syncrecord, events_syncevent, syncjobs_syncitem CASCADE", [])


def rest_all() -> None:
    """No job is due for a day."""
    _execute("UPDATE syncjobs_syncjob SET next_run_at = now() + interval '1 day'", [])
    _execute("VACUUM (ANALYZE) syncjobs_syncjob", [])


def _insert(workspace: Workspace, connector: Connector, crowd: Crowd) -> None:
    count = crowd.count // WORKSPACES
    datasets = _constants(Dataset, {"id", "workspace_id", "name", "created_at"})
    jobs = _constants(
        SyncJob,
        {
            "id", "workspace_id", "connector_id", "dataset_id", "name", "schedule", "next_run_at",
            "created_at", "updated_at",
        },
    )  # fmt: skip
    _execute(
        f"""
        WITH made AS (
          INSERT INTO datasets_dataset (id, workspace_id, name, created_at{_names(datasets)})
          SELECT gen_random_uuid(), %s, 'bench-' || n, now(){", %s" * len(datasets)}
            FROM generate_series(1, %s) n
          RETURNING id, name)
        INSERT INTO syncjobs_syncjob (id, workspace_id, connector_id, dataset_id, name, schedule, next_run_at,
               created_at, updated_at{_names(jobs)})
        SELECT gen_random_uuid(), %s, %s, id, name, %s::jsonb,
               now() + make_interval(secs => %s + random() * %s), now(), now(){", %s" * len(jobs)}
          FROM made""",  # noqa: S608 — names of columns
        [
            workspace.pk, *datasets.values(), count, workspace.pk, connector.pk,
            json.dumps({"every_s": crowd.every_s}), crowd.first_s, crowd.every_s, *jobs.values(),
        ],
    )  # fmt: skip


def _constants(model: Any, given: set[str]) -> dict[str, Any]:
    columns = model._meta.concrete_fields
    return {
        column.attname: column.get_db_prep_save(column.get_default(), connection)
        for column in columns
        if column.attname not in given and column.has_default()
    }


def _names(columns: dict[str, Any]) -> str:
    return "".join(f", {name}" for name in columns)


def _execute(statement: str, parameters: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20min'")
        cursor.execute(statement, parameters)
