"""What became of each job that was asked to sync, as JSON."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
from syncjobs.core.states import State
from syncjobs.models import SyncJob
from syncjobs.queueing.starting import Started


class Queued(Told):
    """A record that waits for a worker."""

    id: uuid.UUID = Field(description="The record's.")
    job: str
    connector: str | None = Field(description="null: it reads a dataset.")
    source_dataset: str | None


class NotQueued(Told):
    job: str
    connector: str | None = Field(description="null: it reads a dataset.")
    source_dataset: str | None
    reason: str


class StartOut(Told):
    """What became of each job that was asked to sync."""

    queued: list[Queued]
    already_queued: list[Queued] = Field(description="These waited already, and still do.")
    refused: list[NotQueued]


class Cancelled(Told):
    """A record that ran or waited, and was asked to end."""

    id: uuid.UUID = Field(description="The record's.")
    job: str
    connector: str | None = Field(description="null: it reads a dataset.")
    source_dataset: str | None
    state: State = Field(description="Before that: running or queued.")
    replaced_by: uuid.UUID | None = Field(description="The new record of the job.")


class ForceOut(StartOut):
    detail: str = Field(description="What was done, in words.")
    cancelled: list[uuid.UUID] = Field(
        description="Records that ran or waited. What runs ends within seconds; the new record of its job"
        " begins after that."
    )
    cancelled_records: list[Cancelled] = Field(description="The same, one by one.")


def tell_started(done: Started, jobs: Sequence[SyncJob]) -> StartOut:

    def tell(records: dict[uuid.UUID, uuid.UUID]) -> list[Queued]:
        return [Queued(id=records[job.pk], **_name(job)) for job in jobs if job.pk in records]

    return StartOut(
        queued=tell(done.queued),
        already_queued=tell(done.already_queued),
        refused=[NotQueued(**_name(one.job), reason=one.reason) for one in done.refused],
    )


def tell_forced(done: Started, jobs: Sequence[SyncJob]) -> ForceOut:
    by_id = {job.pk: job for job in jobs}
    begun = done.queued | done.already_queued
    cancelled = [
        Cancelled(
            id=one.record_id,
            **_name(by_id[one.job_id]),
            state=State(one.state),
            replaced_by=begun.get(one.job_id),
        )
        for one in done.stopped
    ]
    return ForceOut(
        **dict(tell_started(done, jobs)),
        detail=_describe_forced(done),
        cancelled=[one.record_id for one in done.stopped],
        cancelled_records=cancelled,
    )


def _describe_forced(done: Started) -> str:
    running = sum(one.state == State.RUNNING for one in done.stopped)
    waiting = len(done.stopped) - running
    words = [
        f"Cancelled {_count(len(done.stopped), 'record')}: {running} running, {waiting} queued."
        if done.stopped
        else "No record ran or waited.",
        f"Queued {_count(len(done.queued), 'new record')}.",
    ]
    if running:
        words.append("A new record begins when the running one of its job has ended.")
    if done.refused:
        words.append(f"Refused {_count(len(done.refused), 'job')}: see `refused`.")
    return " ".join(words)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _name(job: SyncJob) -> dict[str, Any]:
    """The job, and what it syncs from."""
    return {
        "job": job.name,
        "connector": job.connector.name if job.connector else None,
        "source_dataset": job.source_dataset.name if job.source_dataset else None,
    }
