"""`POST /sync`, `/sync/connection/{id}`, `/sync/force`: syncs of many jobs by one request."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from django.utils.text import capfirst
from ninja import Path, Router, Status

from api.rest.answers import REFUSALS, Responses
from api.rest.callers import OPERATOR, WorkspaceAsked, caller_of
from api.rest.conflicts import conflict
from api.rest.finding import need_row
from api.shapes.conflicts import Conflict
from api.shapes.starting import ForceOut, StartOut, tell_forced, tell_started
from connectors.models import Connector, ConnectorStatus
from syncjobs.queries.enabled import enabled_jobs, enabled_jobs_of
from syncjobs.queueing.starting import start, start_anew
from syncjobs.records.asking import ConnectorPaused

router = Router(tags=["sync all"])
CONFLICTS: Responses = {**REFUSALS, 409: Conflict}
SHOWN = 10  # names in a sentence


@router.post("/sync", response={202: StartOut, **CONFLICTS}, auth=OPERATOR)
def sync_all(request: HttpRequest, workspace: WorkspaceAsked = None) -> Status[StartOut]:
    """Queues a record for each enabled job of each active connector. 409 where the workspace syncs one thing
    at a time and is at it."""
    caller = caller_of(request)
    jobs = enabled_jobs(caller.workspace)
    done = start(jobs, by=caller.name)
    if done.busy is not None:
        raise conflict(done.refused[0].reason, done.busy)
    return Status(202, tell_started(done, jobs))


# Before the route with the connector's name, which it would else be taken for.
@router.post("/sync/force", response={202: ForceOut, **REFUSALS}, auth=OPERATOR)
def force_sync(request: HttpRequest, workspace: WorkspaceAsked = None) -> Status[ForceOut]:
    """Cancels what runs and waits, and starts again. Two records of a job never run at once: the new one is
    begun when the old one has ended."""
    caller = caller_of(request)
    jobs = enabled_jobs(caller.workspace)
    done = start_anew(jobs, by=caller.name)
    return Status(202, tell_forced(done, jobs))


@router.post("/sync/connection/{connector}", response={202: StartOut, **CONFLICTS}, auth=OPERATOR)
def sync_connection(
    request: HttpRequest,
    connector: Annotated[str, Path(description="The connector's id or name.")],
    workspace: WorkspaceAsked = None,
) -> Status[StartOut]:
    """Queues a record for each enabled job of one connector, given by id or name. 409 where none of them could
    be, with what to do."""
    caller = caller_of(request)
    found = need_row(
        Connector.objects.select_related("workspace"), caller.workspace, connector, "connector"
    )
    jobs = enabled_jobs_of(found)
    if not jobs:
        raise conflict(_explain_no_jobs(found))
    done = start(jobs, by=caller.name)
    if not done.queued and not done.already_queued:
        words = "; ".join(f"{one.job.name}: {one.reason}" for one in done.refused[:5])
        raise conflict(words if done.busy is None else done.refused[0].reason, done.busy)
    return Status(202, tell_started(done, jobs))


def _explain_no_jobs(connector: Connector) -> str:
    """Says what to do about a connector without an enabled job."""
    if connector.status == ConnectorStatus.PAUSED:
        return f"{capfirst(str(ConnectorPaused(connector.name)))}."
    names = [*connector.sync_jobs.order_by("name").values_list("name", flat=True)[: SHOWN + 1]]
    if not names:
        return f"Connector {connector.name} has no sync job: make one with POST sync-jobs, or switch its auto_sync on."
    shown = ", ".join(names[:SHOWN]) + (" and more" if len(names) > SHOWN else "")
    return f"Every sync job of connector {connector.name} is off: enable one of {shown}."
