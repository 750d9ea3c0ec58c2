"""Tools about what jobs do now."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from api.mcp.caller import McpCaller
from api.mcp.tools.tool import Arguments, Hints, Tool, ToolFailed
from api.shapes.answers import Told
from api.shapes.jobs import JobStatusFacts
from api.shapes.records import SHOWN, tell_record
from syncjobs.core.states import State
from syncjobs.models import SyncJob
from syncjobs.queries.records import load_current_and_latest
from workspaces.lookup import find_row
from workspaces.models import Role

JOBS_MAX = 100


class JobAtWork(JobStatusFacts):
    """What one job does."""

    job: str


class SyncStatusOut(Told):
    items: list[JobAtWork]


class SyncStatusArguments(Arguments):
    job: str | None = None


def _sync_status(caller: McpCaller, given: SyncStatusArguments) -> dict[str, Any]:
    rows = SyncJob.objects.filter(workspace=caller.workspace)
    if given.job is not None:
        found = find_row(rows, caller.workspace, given.job)
        if found is None:
            raise ToolFailed("not_found", "There is no such sync job: list_sync_jobs names them.")
        jobs = [found]
    else:
        jobs = list(rows.order_by(F("last_run_at").desc(nulls_last=True), "name")[:JOBS_MAX])
    told = load_current_and_latest(caller.workspace, [job.pk for job in jobs], SHOWN)
    items = []
    for job in jobs:
        current, latest = told.get(job.pk, (None, None))
        items.append(
            {
                "job": job.name,
                "running": current is not None and current.state == State.RUNNING,
                "current": tell_record(current) if current else None,
                "latest": tell_record(latest) if latest else None,
            }
        )
    return {"items": items}


SYNC_STATUS = Tool(
    name="sync_status",
    title="Status of syncs",
    description="Tells of one sync job, or of the 100 that ran last: what it does now, and the record that was queued last.",
    role=Role.VIEWER,
    hints=Hints(),
    arguments=SyncStatusArguments,
    answer=SyncStatusOut,
    call=_sync_status,
)
