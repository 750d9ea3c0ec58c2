"""`/api/workspaces/{workspace}/sync-jobs`: what is synced, and when."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Status
from pydantic import Field

from api.rest.answers import CONFLICTS, REFUSALS, Refused, not_found
from api.rest.callers import ADMIN, OPERATOR, VIEWER, caller_of
from api.rest.conflicts import conflict_with
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
    RunIn,
    tell_job_row,
)
from api.shapes.records import SHOWN, RecordOut, tell_record
from connectors.models import Connector
from syncjobs.configuration.jobs import HasFollowers, delete_job, resume_job, save_job
from syncjobs.configuration.yaml_in import InvalidConfiguration, write_job
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode
from syncjobs.order.job import WITHIN, JobOrder
from syncjobs.order.option import build
from syncjobs.order.writing import write_order
from syncjobs.queries.job_facts import JobFacts, load_facts
from syncjobs.queries.records import records_of, reread
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import request_sync
from timing.clock import database_now
from workspaces.lookup import find_by_name, find_row
from workspaces.models import Workspace

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
    found, following = BY_NAME.take(rows.select_related("connector", "dataset"), query)
    return {"items": tell_jobs(found), "next": following}


@router.post("", response={201: JobOut, **CONFLICTS}, auth=ADMIN)
def create_job(
    request: HttpRequest, workspace: WorkspaceIn, body: JobNew
) -> Status[dict[str, Any]]:
    """Where no schedule is given, the installation's default holds; `{}` is by hand only."""
    owner = caller_of(request).workspace
    return Status(201, tell_job(_write(owner, body.written(), None)))


@router.get("/{job}", response={200: JobOut, **REFUSALS}, auth=VIEWER)
def read_job(request: HttpRequest, workspace: WorkspaceIn, job: JobIn) -> dict[str, Any]:
    return tell_job(get_job(request, job))


@router.put("/{job}", response={200: JobOut, **CONFLICTS}, auth=ADMIN)
def replace_job(
    request: HttpRequest, workspace: WorkspaceIn, job: JobIn, body: JobReplacement
) -> dict[str, Any]:
    """What is left out gets its default."""
    found = get_job(request, job)
    return tell_job(_write(found.workspace, _replace_all(body.written()), found))


@router.patch("/{job}", response={200: JobOut, **CONFLICTS}, auth=ADMIN)
def change_job(
    request: HttpRequest, workspace: WorkspaceIn, job: JobIn, body: JobChange
) -> dict[str, Any]:
    """What is left out stays."""
    found = get_job(request, job)
    return tell_job(_write(found.workspace, body.written(), found))


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


@router.post("/{job}/plan", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR)
def plan_job(request: HttpRequest, workspace: WorkspaceIn, job: JobIn) -> Status[dict[str, Any]]:
    """A dry run: its record tells what would be added, changed and removed, and fetches nothing."""
    return Status(202, _run(request, job, dry_run=True))


@router.get("/{job}/status", response={200: JobStatus, **REFUSALS}, auth=VIEWER)
def read_job_status(request: HttpRequest, workspace: WorkspaceIn, job: JobIn) -> dict[str, Any]:
    """The job, what it does now, and how it ended last."""
    found = get_job(request, job)
    rows = records_of(found.workspace, SHOWN).filter(job=found, dry_run=False)
    current = rows.filter(state__in=[State.RUNNING, State.QUEUED, State.HELD])
    latest = rows.order_by("-queued_at").first()
    running = sorted(current, key=lambda record: record.state != State.RUNNING)
    return {
        **tell_job(found),
        "running": any(record.state == State.RUNNING for record in running),
        "current": tell_record(running[0]) if running else None,
        "latest": tell_record(latest) if latest else None,
    }


def get_job(request: HttpRequest, text: str) -> SyncJob:
    """Raises Refused."""
    found = _find_job(caller_of(request).workspace, text)
    if found is None:
        raise not_found("sync job")
    return found


def _find_job(workspace: Workspace, text: str) -> SyncJob | None:
    rows = SyncJob.objects.select_related("connector", "dataset", "workspace")
    return find_row(rows, workspace, text)


def _write(workspace: Workspace, fields: dict[str, Any], job: SyncJob | None) -> SyncJob:
    """Raises Refused, with what is wrong by field."""
    name = fields.get("name")
    if name and name != (job and job.name):
        _refuse_taken(workspace, name)
    if "connector" in fields:
        fields = fields | {"connector": _name_of(workspace, fields["connector"])}
    try:
        written = write_job(workspace, fields, job)
    except InvalidConfiguration as exc:
        raise refusal_of(exc) from None
    found = _find_job(workspace, str(written.pk))
    if found is None:
        raise not_found("sync job")
    return found


def _replace_all(given: dict[str, Any]) -> dict[str, Any]:
    """A written order in which each option is named: where it was not, with what a new job has."""
    replaced = write_order(build(JobOrder, SyncJob(connector=Connector())))
    for name, value in given.items():
        within = replaced.get(name) if name in WITHIN else None
        replaced[name] = {**within, **(value or {})} if isinstance(within, dict) else value
    return replaced


def refusal_of(exc: InvalidConfiguration) -> Refused:
    """Makes the refusal: by field, what is wrong with it."""
    errors: dict[str, list[str]] = {}
    for wrong in exc.problems:
        errors.setdefault(".".join(map(str, wrong.path)) or "body", []).append(wrong.message)
    return Refused(HTTPStatus.BAD_REQUEST, f"{exc}.", errors=errors)


def _refuse_taken(workspace: Workspace, name: str) -> None:
    if find_by_name(SyncJob.objects.all(), workspace, name) is not None:
        raise Refused(
            HTTPStatus.CONFLICT,
            f"There is a sync job {name} already: PUT or PATCH changes it.",
            errors={"name": ["This name is taken."]},
        )


def _name_of(workspace: Workspace, text: str) -> str:
    """The connector's name, which is what a written job says."""
    found = find_row(Connector.objects.all(), workspace, text)
    return text if found is None else found.name


def _run(
    request: HttpRequest, text: str, *, full: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    job, by = get_job(request, text), caller_of(request).name
    mode = SyncMode.FULL if full else None
    try:
        record = request_sync(job, by=by, mode=mode, dry_run=dry_run)
    except AlreadyQueued as exc:
        record = exc.record
        if full and record.mode != SyncMode.FULL:
            raise conflict_with("An incremental sync is queued already", record) from None
    except (JobBusy, WorkspaceBusy) as exc:
        raise conflict_with(str(exc), exc.record) from None
    return tell_record(reread(record))


def tell_job(job: SyncJob) -> dict[str, Any]:
    return tell_jobs([job])[0]


def tell_jobs(jobs: Sequence[SyncJob]) -> list[dict[str, Any]]:
    """Fills `JobOut`; each job with its connector and dataset."""
    facts, now = load_facts(jobs, latest=False), database_now()
    return [tell_job_row(job, facts.get(job.pk, JobFacts()), now) for job in jobs]
