"""`/api/workspaces/{workspace}/sync-jobs`: what is synced, and when."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Status
from pydantic import Field

from api.rest.answers import CONFLICTS, REFUSALS, Refused, not_found, refusal_of
from api.rest.callers import ADMIN, OPERATOR, VIEWER, caller_of
from api.rest.conflicts import conflict, conflict_with
from api.rest.finding import WorkspaceIn, points_to
from api.rest.pages import BY_NAME, PageQuery
from api.shapes.fields import Called
from api.shapes.jobs import (
    JobChange,
    JobNew,
    JobOut,
    JobPage,
    JobReplacement,
    JobStatus,
    ResyncIn,
    RunIn,
    tell_job,
    tell_jobs,
)
from api.shapes.records import SHOWN, RecordOut, tell_record
from connectors.models import Connector
from syncjobs.configuration import single_jobs
from syncjobs.configuration.findings import InvalidConfiguration
from syncjobs.configuration.jobs import HasFollowers, delete_job, resume_job, save_job
from syncjobs.core.states import State
from syncjobs.models import SyncJob
from syncjobs.queries.records import find_current_and_latest, reread
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import NotOfRows, request_resync, request_run
from syncjobs.records.asking import ConnectorPaused

router = Router(tags=["sync jobs"])
JobIn = Annotated[str, Path(description="The job's id or name.")]


class JobQuery(PageQuery):
    connector: Called | None = Field(None, description="A connector's id or name.")
    enabled: bool | None = None


@router.get("", response={200: JobPage, **REFUSALS}, auth=VIEWER)
def list_jobs(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[JobQuery, Query()]
) -> dict[str, Any]:
    """Lists jobs by name."""
    owner = caller_of(request).workspace
    rows = SyncJob.objects.filter(workspace=owner)
    if query.connector is not None:
        rows = rows.filter(points_to(Connector, owner, query.connector))
    if query.enabled is not None:
        rows = rows.filter(enabled=query.enabled)
    found, following = BY_NAME.take(
        rows.select_related("connector", "source_dataset", "dataset"), query
    )
    return {"items": tell_jobs(found), "next": following}


@router.post("", response={201: JobOut, **CONFLICTS}, auth=ADMIN)
def create_job(
    request: HttpRequest, workspace: WorkspaceIn, body: JobNew
) -> Status[dict[str, Any]]:
    """A job that names no schedule gets the installation's default; `{}` is by hand only."""
    owner = caller_of(request).workspace
    with _refused(body):
        made = single_jobs.create_written_job(owner, body.written(), body.passed_over)
    return Status(201, tell_job(made))


@router.get("/{job}", response={200: JobOut, **REFUSALS}, auth=VIEWER)
def read_job(request: HttpRequest, workspace: WorkspaceIn, job: JobIn) -> dict[str, Any]:
    return tell_job(get_job(request, job))


@router.put("/{job}", response={200: JobOut, **CONFLICTS}, auth=ADMIN)
def replace_job(
    request: HttpRequest, workspace: WorkspaceIn, job: JobIn, body: JobReplacement
) -> dict[str, Any]:
    """What is left out gets its default."""
    found = get_job(request, job)
    with _refused(body):
        return tell_job(single_jobs.replace_written_job(found, body.written(), body.passed_over))


@router.patch("/{job}", response={200: JobOut, **CONFLICTS}, auth=ADMIN)
def change_job(
    request: HttpRequest, workspace: WorkspaceIn, job: JobIn, body: JobChange
) -> dict[str, Any]:
    """What is left out stays."""
    found = get_job(request, job)
    with _refused(body):
        return tell_job(single_jobs.change_written_job(found, body.written(), body.passed_over))


@router.delete("/{job}", response={204: None, **CONFLICTS}, auth=ADMIN)
def remove_job(request: HttpRequest, workspace: WorkspaceIn, job: JobIn) -> Status[None]:
    """Deletes a job and its records; its dataset stays."""
    try:
        delete_job(get_job(request, job))
    except HasFollowers as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    return Status(204, None)


@router.post("/{job}/toggle", response={200: JobOut, **REFUSALS}, auth=OPERATOR)
def toggle_job(request: HttpRequest, workspace: WorkspaceIn, job: JobIn) -> dict[str, Any]:
    """Off where it is on, and the other way round; one that was paused after failures goes on."""
    found = get_job(request, job)
    if not (found.enabled and resume_job(found)):
        found.enabled = not found.enabled
        save_job(found)
    return tell_job(get_job(request, job))


@router.post("/{job}/run", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR)
def run_job(
    request: HttpRequest, workspace: WorkspaceIn, job: JobIn, body: RunIn | None = None
) -> Status[dict[str, Any]]:
    """One record now; the schedule stays as it is. Where one is queued already, that one."""
    return Status(202, _run(request, job, full=body.full if body else False))


@router.post("/{job}/resync", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR)
def resync_job(
    request: HttpRequest, workspace: WorkspaceIn, job: JobIn, body: ResyncIn | None = None
) -> Status[dict[str, Any]]:
    """A record of a job of rows that forgets where the source stood and reads its tables from nothing. Guards hold
    as ever, and versions stay."""
    found, by = get_job(request, job), caller_of(request).name
    try:
        record = request_resync(found, by=by)
    except NotOfRows as exc:
        raise Refused(HTTPStatus.CONFLICT, str(exc)) from None
    except ConnectorPaused as exc:
        raise conflict(f"{exc}.") from None
    except AlreadyQueued as exc:
        raise conflict_with("Another sync is queued already", exc.record) from None
    except (JobBusy, WorkspaceBusy) as exc:
        raise conflict_with(str(exc), exc.record) from None
    return Status(202, tell_record(reread(record)))


@router.post("/{job}/plan", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR)
def plan_job(request: HttpRequest, workspace: WorkspaceIn, job: JobIn) -> Status[dict[str, Any]]:
    """A dry run: its record tells what would be added, changed and removed, and fetches nothing."""
    return Status(202, _run(request, job, dry_run=True))


@router.get("/{job}/status", response={200: JobStatus, **REFUSALS}, auth=VIEWER)
def read_job_status(request: HttpRequest, workspace: WorkspaceIn, job: JobIn) -> dict[str, Any]:
    """The job, what it does now, and how it ended last."""
    found = get_job(request, job)
    current, latest = find_current_and_latest(found, SHOWN)
    return {
        **tell_job(found),
        "running": current is not None and current.state == State.RUNNING,
        "current": tell_record(current) if current else None,
        "latest": tell_record(latest) if latest else None,
    }


def get_job(request: HttpRequest, text: str) -> SyncJob:
    """Raises Refused."""
    found = single_jobs.find_called_job(caller_of(request).workspace, text)
    if found is None:
        raise not_found("sync job")
    return found


@contextlib.contextmanager
def _refused(body: JobChange) -> Iterator[None]:
    """Turns what a written job may be refused for into Refused."""
    try:
        yield
    except InvalidConfiguration as exc:
        raise refusal_of(exc, body.aliases) from None
    except single_jobs.JobNameTaken as exc:
        raise Refused(
            HTTPStatus.CONFLICT,
            f"There is a sync job {exc} already: PUT or PATCH changes it.",
            errors={"name": ["This name is taken."]},
        ) from None


def _run(
    request: HttpRequest, text: str, *, full: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    job, by = get_job(request, text), caller_of(request).name
    try:
        record = request_run(job, by=by, full=full, dry_run=dry_run)
    except ConnectorPaused as exc:
        raise conflict(f"{exc}.") from None
    except AlreadyQueued as exc:
        raise conflict_with("An incremental sync is queued already", exc.record) from None
    except (JobBusy, WorkspaceBusy) as exc:
        raise conflict_with(str(exc), exc.record) from None
    return tell_record(reread(record))
