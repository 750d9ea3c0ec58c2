"""`/api/connectors/sync`: a cron job from outside asks for what is due (docs/cron.md).

With CRON_SECRET it speaks for the installation, and so for every workspace; with a token for its own.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Body, Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from api.answers import Problem, Refused
from api.callers import Bearer, Caller, WorkspaceIn
from api.numbers import Whole
from api.records import REFUSALS
from syncjobs.claims.halting import Halted
from syncjobs.models import SyncJob
from syncjobs.queries.overview import due_auto_syncs
from syncjobs.queueing.starting import start_due
from workspaces.models import Role, Workspace

router = Router(tags=["due connectors"])
LIMIT = 10
LIMIT_MAX = 1_000
HOOK = "cron hook"
_CLOSED = "CRON_SECRET is not set on the server, so that this hook is closed; or give a token."
ANSWERS: dict[Any, Any] = {**REFUSALS, 503: Problem}


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name what is due is asked for; `workspace` None: of all of them."""

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


class DueConnector(Schema):
    """A connector that needs a sync now, by the document's own names."""

    id: uuid.UUID
    workspace: str
    name: str
    type: str = Field(description="The connector's kind.")
    status: str
    autoSync: bool
    syncInterval: int = Field(description="Seconds between syncs.")
    lastSyncAt: datetime | None = Field(description="When a sync last succeeded.")
    lastSyncStatus: str
    lastSyncError: str


class DueList(Schema):
    items: list[DueConnector]
    next: None = Field(None, description="Always null: the rest comes when these are served.")


class HookIn(Schema):
    model_config = ConfigDict(extra="forbid")

    limit: Whole = Field(default=LIMIT, ge=1, le=LIMIT_MAX, description="Connectors at most.")


class QueuedSync(Schema):
    id: uuid.UUID = Field(description="The record's.")
    workspace: str
    connector: str
    job: str


class HookOut(Schema):
    queued: int = Field(description="How many connectors got a record.")
    records: list[QueuedSync]


@router.get("/sync", response={200: DueList, **ANSWERS}, auth=CronSecret(Role.VIEWER))
def list_due(
    request: HttpRequest,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT,
    workspace: WorkspaceIn = None,
) -> dict[str, Any]:
    """The connectors that need a sync now: active, with auto-sync, their interval over since they last
    succeeded (or never have). Those that are at work or wait for it are not among them."""
    return {"items": [_tell(job) for job in _due(_asker_of(request))[:limit]]}


@router.post("/sync", response={202: HookOut, **ANSWERS}, auth=CronSecret(Role.OPERATOR))
def trigger_due(
    request: HttpRequest,
    body: Annotated[HookIn | None, Body()] = None,
    workspace: WorkspaceIn = None,
) -> Status[dict[str, Any]]:
    """Queues a record for each of them, the longest neglected first."""
    asker = _asker_of(request)
    try:
        jobs, done = start_due(_due(asker)[: (body or HookIn()).limit], by=asker.name)
    except Halted as exc:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"{exc}.") from None
    records = [
        {
            "id": done.queued[job.pk],
            "workspace": job.workspace.name,
            "connector": job.connector.name,
            "job": job.name,
        }
        for job in jobs
        if job.pk in done.queued
    ]
    return Status(202, {"queued": len(records), "records": records})


def _asker_of(request: HttpRequest) -> Asker:
    asker: Any = request.auth  # type: ignore[attr-defined]  # ninja sets it
    if not isinstance(asker, Asker):
        raise TypeError("this route lets everybody in")
    return asker


def _due(asker: Asker) -> QuerySet[SyncJob]:
    rows = due_auto_syncs()
    return rows if asker.workspace is None else rows.filter(workspace=asker.workspace)


def _tell(job: SyncJob) -> dict[str, Any]:
    connector = job.connector
    return {
        "id": connector.pk,
        "workspace": job.workspace.name,
        "name": connector.name,
        "type": connector.kind,
        "status": connector.status.upper(),
        "autoSync": connector.auto_sync,
        "syncInterval": connector.sync_interval_s,
        "lastSyncAt": connector.last_sync_at,
        "lastSyncStatus": connector.last_sync_status,
        "lastSyncError": connector.last_sync_error,
    }
