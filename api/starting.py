"""`POST /sync`, `/sync/connection/{id}`, `/sync/force`: syncs of many jobs by one request."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Router, Schema, Status
from pydantic import Field

from api.callers import OPERATOR, WorkspaceIn, caller_of
from api.conflicts import Conflict, conflict
from api.finding import need_row
from api.records import REFUSALS
from connectors.models import Connector, ConnectorStatus
from syncjobs.models import SyncJob
from syncjobs.queueing.starting import Started, start, start_anew
from workspaces.models import Workspace

router = Router(tags=["sync all"])
CONFLICTS: dict[Any, Any] = {**REFUSALS, 409: Conflict}


class Queued(Schema):
    """A record that waits for a worker."""

    id: uuid.UUID = Field(description="The record's.")
    job: str
    connector: str


class NotQueued(Schema):
    job: str
    connector: str
    reason: str


class StartOut(Schema):
    """What became of each job that was asked to sync."""

    queued: list[Queued]
    already_queued: list[Queued] = Field(description="These waited already, and still do.")
    refused: list[NotQueued]


class ForceOut(StartOut):
    cancelled: list[uuid.UUID] = Field(
        description="Records that ran or waited. What runs ends within seconds; the new record of its job"
        " begins after that."
    )


@router.post("/sync", response={202: StartOut, **CONFLICTS}, auth=OPERATOR)
def sync_all(request: HttpRequest, workspace: WorkspaceIn = None) -> Status[dict[str, Any]]:
    """Queues a record for each enabled job of each active connector. 409 where the workspace syncs one thing
    at a time and is at it."""
    caller = caller_of(request)
    jobs = jobs_of(caller.workspace)
    done = start(jobs, by=caller.name)
    if done.busy is not None:
        raise conflict(done.refused[0].reason, done.busy)
    return Status(202, tell_started(done, jobs))


# Before the route with the connector's name, which it would else be taken for.
@router.post("/sync/force", response={202: ForceOut, **REFUSALS}, auth=OPERATOR)
def force_sync(request: HttpRequest, workspace: WorkspaceIn = None) -> Status[dict[str, Any]]:
    """Cancels what runs and waits, and begins anew. Two records of a job never run at once: the new one is
    begun when the old one has ended."""
    caller = caller_of(request)
    jobs = jobs_of(caller.workspace)
    done = start_anew(jobs, by=caller.name)
    return Status(202, {**tell_started(done, jobs), "cancelled": list(done.cancelled)})


@router.post("/sync/connection/{connector}", response={202: StartOut, **CONFLICTS}, auth=OPERATOR)
def sync_connection(
    request: HttpRequest,
    connector: Annotated[str, Path(description="The connector's id or name.")],
    workspace: WorkspaceIn = None,
) -> Status[dict[str, Any]]:
    """Queues a record for each enabled job of one connector, given by id or name. 409 where none of them could
    be."""
    caller = caller_of(request)
    found = need_row(Connector.objects.all(), caller.workspace, connector, "connector")
    jobs = list(_enabled_jobs(caller.workspace).filter(connector=found))
    if not jobs:
        raise conflict(f"Connector {found.name} has no enabled sync job.")
    done = start(jobs, by=caller.name)
    if not done.queued and not done.already_queued:
        words = "; ".join(f"{one.job.name}: {one.reason}" for one in done.refused[:5])
        raise conflict(words if done.busy is None else done.refused[0].reason, done.busy)
    return Status(202, tell_started(done, jobs))


def jobs_of(workspace: Workspace) -> list[SyncJob]:
    """The enabled ones of active connectors."""
    return list(_enabled_jobs(workspace).filter(connector__status=ConnectorStatus.ACTIVE))


def _enabled_jobs(workspace: Workspace) -> Any:
    return (
        SyncJob.objects.filter(workspace=workspace, enabled=True)
        .select_related("connector", "workspace")
        .order_by("name")
    )


def tell_started(done: Started, jobs: Sequence[SyncJob]) -> dict[str, Any]:
    """As `StartOut` has it."""

    def tell(records: dict[uuid.UUID, uuid.UUID]) -> list[dict[str, Any]]:
        return [
            {"id": records[job.pk], "job": job.name, "connector": job.connector.name}
            for job in jobs
            if job.pk in records
        ]

    return {
        "queued": tell(done.queued),
        "already_queued": tell(done.already_queued),
        "refused": [
            {"job": one.job.name, "connector": one.job.connector.name, "reason": one.reason}
            for one in done.refused
        ],
    }
