"""`/api/connectors/sync`: a cron job from outside asks for what is due (docs/cron.md).

With CRON_SECRET it speaks for the installation, and so for every workspace; with a token for its own.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Body, Query, Router, Status

from api.rest.answers import REFUSALS, Refused, Responses
from api.rest.callers import Bearer, Caller, WorkspaceAsked
from api.shapes.answers import Problem
from api.shapes.due import LIMIT, LIMIT_MAX, DueList, HookIn, HookOut, QueuedSync, tell_due
from syncjobs.claims.halting import Halted
from syncjobs.models import SyncJob
from syncjobs.queries.overview import due_auto_syncs
from syncjobs.queries.records import find_latest_ended
from syncjobs.queries.syncing import name_statuses
from syncjobs.queueing.starting import start_due
from workspaces.models import Role, Workspace

router = Router(tags=["due connectors"])
HOOK = "cron hook"
_CLOSED = "CRON_SECRET is not set on the server, so that this hook is closed; or give a token."
ANSWERS: Responses = {**REFUSALS, 503: Problem}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for what is due; `workspace` None: for all workspaces."""

    name: str
    workspace: Workspace | None


class CronSecret(Bearer):
    """Lets in who knows the installation's CRON_SECRET, or may do what `needed` may in a workspace."""

    openapi_description = "CRON_SECRET, or a token of one workspace."

    def __call__(self, request: HttpRequest) -> Any:
        """An Asker. Raises Refused."""
        kind, _, word = request.headers.get("Authorization", "").partition(" ")
        word = word.strip()
        known = settings.CRON_SECRET.encode()
        if kind.lower() == "bearer" and word:
            given = word.encode("latin-1", "replace")  # as it came over the wire
            if hmac.compare_digest(given, known):
                return Asker(HOOK, None)
            if not known and not word.startswith("sp_"):
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, _CLOSED)
        caller: Caller = super().__call__(request)
        return Asker(caller.name, caller.workspace)


@router.get("/sync", response={200: DueList, **ANSWERS}, auth=CronSecret(Role.VIEWER))
def list_due(
    request: HttpRequest,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT,
    workspace: WorkspaceAsked = None,
) -> DueList:
    """The connectors that need a sync now: active, with auto-sync, their interval over since they last
    succeeded (or never have). Those that are at work or wait for it are not among them."""
    jobs = list(_due(_asker_of(request))[:limit])
    latest = find_latest_ended([job.pk for job in jobs])
    connectors = [job.get_connector() for job in jobs]
    statuses = name_statuses(connectors)
    items = [
        tell_due(job, latest.get(job.pk), statuses[connector.pk])
        for job, connector in zip(jobs, connectors, strict=True)
    ]
    return DueList(items=items, next=None)


@router.post("/sync", response={202: HookOut, **ANSWERS}, auth=CronSecret(Role.OPERATOR))
def trigger_due(
    request: HttpRequest,
    body: Annotated[HookIn | None, Body()] = None,
    workspace: WorkspaceAsked = None,
) -> Status[HookOut]:
    """Queues a record for each of them, the longest neglected first."""
    asker = _asker_of(request)
    try:
        jobs, done = start_due(_due(asker)[: (body or HookIn()).limit], by=asker.name)
    except Halted as exc:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"{exc}.") from None
    records = [
        QueuedSync(
            id=done.queued[job.pk],
            workspace=job.workspace.name,
            connector=job.get_connector().name,
            job=job.name,
        )
        for job in jobs
        if job.pk in done.queued
    ]
    return Status(202, HookOut(queued=len(records), records=records))


def _asker_of(request: HttpRequest) -> Asker:
    asker: Any = request.auth  # type: ignore[attr-defined]  # ninja sets it
    if not isinstance(asker, Asker):
        raise TypeError("this route lets everybody in")
    return asker


def _due(asker: Asker) -> QuerySet[SyncJob]:
    rows = due_auto_syncs()
    return rows if asker.workspace is None else rows.filter(workspace=asker.workspace)
