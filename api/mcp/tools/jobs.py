"""Tools about sync jobs: which there are, what they do now, and when they run."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.db.models import F
from django.utils.text import capfirst
from msgspec import Meta
from pydantic import Field

from api.mcp.caller import McpCaller
from api.mcp.tools.arguments import (
    Named,
    Paged,
    list_rows_of,
    need_job_of,
    need_stream_of,
    take_page,
)
from api.mcp.tools.telling import tell_line_to_agent, tell_record_to_agent
from api.mcp.tools.tool import Arguments, Intent, Planned, ToolFailed, ToolList, bad_argument
from api.rest.finding import points_to
from api.rest.pages import BY_NAME
from api.shapes.answers import Told
from api.shapes.jobs import JobStatusFacts
from api.shapes.records import SHOWN, RecordOut
from connectors.models import Connector
from outbox.models import Stream, StreamState
from outbox.streams import start_stream, stop_stream
from outbox.telling import tell_status
from syncjobs.claims.reaping import clean_up
from syncjobs.configuration.jobs import resume_job, save_job
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode, Trigger
from syncjobs.order.files import AfterPublish
from syncjobs.queries.active import find_active_of_jobs, find_waiting_of_jobs
from syncjobs.queries.fires import describe_schedule
from syncjobs.queries.records import load_current_and_latest, reread
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import request_run
from syncjobs.records.asking import ConnectorPaused

JOBS_MAX = 100


class JobLine(Told):
    """A standing order to sync."""

    id: uuid.UUID
    name: str
    connector: str | None = Field(description="null: it reads a dataset.")
    dataset: str = Field(description="What it keeps current: list_files or query_table read it.")
    enabled: bool
    paused_reason: str
    schedule_words: str
    next_run_at: datetime | None
    last_run_at: datetime | None = Field(description="When a sync last ended, however it ended.")
    last_success_at: datetime | None
    last_error: str


class JobLinePage(Told):
    items: list[JobLine]
    next: str | None


class ListSyncJobs(Paged):
    """Lists sync jobs by name: from where they sync, into which dataset, when they run next, and how the last run failed if it
    did."""

    connector: Named | None = None
    enabled: bool | None = None

    def answer(self, caller: McpCaller) -> ToolList:
        rows = SyncJob.objects.filter(workspace=caller.workspace)
        if self.connector is not None:
            rows = rows.filter(points_to(Connector, caller.workspace, self.connector))
        if self.enabled is not None:
            rows = rows.filter(enabled=self.enabled)
        rows = rows.select_related("connector", "source_dataset", "dataset")
        found, following = take_page(BY_NAME, rows, self)
        return list_rows_of(BY_NAME, found, [_tell_line(job) for job in found], following)


class JobAtWork(JobStatusFacts):
    """What one job does."""

    job: str


class SyncStatusOut(Told):
    items: list[JobAtWork]
    next: str | None = Field(
        None,
        description="Only where jobs were left out, for the answer's size: the name of the next one. Ask for it by `job`.",
    )


class StatusOfSyncs(Arguments):
    """Tells what sync jobs do now: the record that runs or waits, with its progress, and the record that was queued last. Of one
    job, or of the 100 that ran last."""

    job: Named | None = None

    def answer(self, caller: McpCaller) -> ToolList:
        if self.job is not None:
            jobs = [need_job_of(caller, self.job)]
        else:
            rows = SyncJob.objects.filter(workspace=caller.workspace).only("name")
            jobs = list(rows.order_by(F("last_run_at").desc(nulls_last=True), "name")[:JOBS_MAX])
        told = load_current_and_latest(caller.workspace, [job.pk for job in jobs], SHOWN)
        items = [_tell_at_work(job, *told.get(job.pk, (None, None))) for job in jobs]
        return ToolList(items, None, lambda at: jobs[at + 1].name, next_if_cut=True)


class StartedOut(Told):
    state: Literal["queued"]
    record: RecordOut


class StartSync(Planned, kw_only=True):
    """Starts a sync of one job now; its schedule stays as it is. The first call only tells what would happen and gives a
    plan_token: show the effects to the user, then call again with the same arguments and the token. Follow the record with
    sync_status or explain_sync_record."""

    job: Named
    full: Annotated[
        bool, Meta(description="Trust no metadata of the source: compare every content.")
    ] = False

    def plan(self, caller: McpCaller) -> Intent:
        job = need_job_of(caller, self.job)
        return Intent(_start_effects(job, full=self.full), job, lambda: self._start(caller, job))

    def _start(self, caller: McpCaller, job: SyncJob) -> dict[str, Any]:
        running = _find_running(job)
        if running and clean_up(by=caller.name, workspace_ids=[job.workspace_id]).count:
            running = _find_running(job)
        if running is not None:
            raise _busy(f"Job {job.name} runs", running)
        try:
            record = request_run(job, by=caller.name, full=self.full, trigger=Trigger.MCP)
        except AlreadyQueued as exc:
            raise _busy("An incremental sync is queued already", exc.record.pk) from None
        except ConnectorPaused as exc:
            raise ToolFailed("not_allowed", f"{capfirst(str(exc))}.") from None
        except (JobBusy, WorkspaceBusy) as exc:
            words = str(exc)
            raise _busy(words[:1].upper() + words[1:], exc.record.pk) from None
        return {"state": "queued", "record": tell_record_to_agent(reread(record))}


class SwitchedOut(Told):
    state: Literal["done"]
    enabled: bool
    next_run_at: datetime | None = Field(
        description="Of a stream: when it tries next, where readings wait."
    )


class _Switch(Planned):
    """What is switched: one of both."""

    job: Annotated[str, Meta(max_length=1_000, description="A sync job's id or name.")] | None = (
        None
    )
    stream: Annotated[str, Meta(max_length=1_000, description="A stream's id or name.")] | None = (
        None
    )

    def need_subject(self, caller: McpCaller) -> SyncJob | Stream:
        """Raises ToolFailed, Refused."""
        if self.job is not None and self.stream is None:
            return need_job_of(caller, self.job)
        if self.stream is not None and self.job is None:
            return need_stream_of(caller, self.stream)
        raise bad_argument("job", "give exactly one of `job` and `stream`")


class StartAutoSync(_Switch):
    """Switches the schedule of a sync job on, or the delivery of a stream; one that was paused after failures goes on. Give
    exactly one of job and stream. The first call only tells what would happen and gives a plan_token: call again with the
    same arguments and the token."""

    def plan(self, caller: McpCaller) -> Intent:
        subject = self.need_subject(caller)
        if isinstance(subject, Stream):
            words = (
                f"Stream {subject.name} is on already: nothing is changed."
                if subject.state == StreamState.RUNNING
                else f"Stream {subject.name} sends its readings from now on; it is {subject.state} now."
            )
            return Intent([words], subject, lambda: _start_stream(subject))
        effects = [f"Job {subject.name} runs by its schedule: {describe_schedule(subject)}."]
        if subject.paused_at is not None:
            effects.append("Its pause ends.")
        if subject.enabled and subject.paused_at is None:
            effects = [f"Job {subject.name} is on already: nothing is changed."]
        return Intent(effects, subject, lambda: _start_job(subject))


class StopAutoSync(_Switch):
    """Switches the schedule of a sync job off, or the delivery of a stream. What runs goes on to its end; stop_sync ends that.
    Give exactly one of job and stream. The first call only tells what would happen and gives a plan_token: call again with
    the same arguments and the token."""

    def plan(self, caller: McpCaller) -> Intent:
        subject = self.need_subject(caller)
        if isinstance(subject, Stream):
            words = (
                f"Stream {subject.name} is off already: nothing is changed."
                if subject.state == StreamState.STOPPED
                else f"Stream {subject.name} sends nothing more; readings go on to be taken in, and wait."
            )
            return Intent([words], subject, lambda: _stop_stream(subject))
        if not subject.enabled:
            words = f"Job {subject.name} is off already: nothing is changed."
            return Intent([words], subject, lambda: _stop_job(subject))
        effects = [
            f"Job {subject.name} is not run by its schedule any more: {describe_schedule(subject)}.",
            f"Dataset {subject.dataset.name} stays as it is until the job is started by hand or switched on again.",
        ]
        return Intent(effects, subject, lambda: _stop_job(subject))


def _tell_line(job: SyncJob) -> dict[str, Any]:
    plain = set(JobLine.model_fields) - {"connector", "dataset", "schedule_words"}
    return {
        **{name: getattr(job, name) for name in plain},
        "connector": job.connector.name if job.connector else None,
        "dataset": job.dataset.name,
        "schedule_words": describe_schedule(job),
    }


def _tell_at_work(job: SyncJob, current: Any, latest: Any) -> dict[str, Any]:
    return {
        "job": job.name,
        "running": current is not None and current.state == State.RUNNING,
        "current": tell_line_to_agent(current) if current else None,
        "latest": tell_line_to_agent(latest) if latest else None,
    }


def _start_effects(job: SyncJob, *, full: bool) -> Sequence[str]:
    source = f"connector {job.connector.name}" if job.connector else f"dataset {job.source_name}"
    mode = SyncMode.FULL if full else SyncMode(job.sync_mode)
    effects = [
        f"A sync of job {job.name} ({mode}) is queued: it reads {source} and publishes what has changed as a new version of"
        f" dataset {job.dataset.name}."
    ]
    if job.after_publish == AfterPublish.DELETE:
        effects.append("Files that a published version holds are deleted at the source.")
    if job.after_publish == AfterPublish.MOVE:
        effects.append("Files that a published version holds are moved at the source.")
    if (waiting := find_waiting_of_jobs([job.pk]).get(job.pk)) is not None:
        effects.append(
            f"Record {waiting} of this job waits already: it serves this call, and no other is queued."
        )
    if (running := _find_running(job)) is not None:
        effects.append(
            f"Record {running} of this job runs now: as long as it does, no other is started."
        )
    return effects


def _find_running(job: SyncJob) -> uuid.UUID | None:
    active = find_active_of_jobs([job.pk])
    return next((one.record_id for one in active if one.state == State.RUNNING), None)


def _busy(words: str, record_id: uuid.UUID) -> ToolFailed:
    return ToolFailed("busy", f"{words}: wait for record {record_id}, or end it with stop_sync.")


def _start_job(job: SyncJob) -> dict[str, Any]:
    if not job.enabled:
        job.enabled = True
        _save(job)
    elif job.paused_at is not None:
        resume_job(job)
    return _tell_switched_job(job)


def _stop_job(job: SyncJob) -> dict[str, Any]:
    if job.enabled:
        job.enabled = False
        _save(job)
    return _tell_switched_job(job)


def _save(job: SyncJob) -> None:
    """Raises ToolFailed where the job does not fit what it refers to any more."""
    try:
        save_job(job)
    except ValidationError as exc:
        raise ToolFailed("not_allowed", f"{' '.join(exc.messages)}.") from None


def _tell_switched_job(job: SyncJob) -> dict[str, Any]:
    job.refresh_from_db(fields=["enabled", "next_run_at"])
    return {"state": "done", "enabled": job.enabled, "next_run_at": job.next_run_at}


def _start_stream(stream: Stream) -> dict[str, Any]:
    start_stream(stream)
    return _tell_switched_stream(stream)


def _stop_stream(stream: Stream) -> dict[str, Any]:
    stop_stream(stream)
    return _tell_switched_stream(stream)


def _tell_switched_stream(stream: Stream) -> dict[str, Any]:
    told = tell_status(stream)
    is_on = told["state"] == StreamState.RUNNING
    return {
        "state": "done",
        "enabled": is_on,
        "next_run_at": told["next_try_at"] if is_on else None,
    }
