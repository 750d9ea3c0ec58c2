"""What became of each job that was asked to sync, as JSON."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
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


class ForceOut(StartOut):
    cancelled: list[uuid.UUID] = Field(
        description="Records that ran or waited. What runs ends within seconds; the new record of its job"
        " begins after that."
    )


def tell_started(done: Started, jobs: Sequence[SyncJob]) -> StartOut:

    def tell(records: dict[uuid.UUID, uuid.UUID]) -> list[Queued]:
        return [Queued(id=records[job.pk], **_name(job)) for job in jobs if job.pk in records]

    return StartOut(
        queued=tell(done.queued),
        already_queued=tell(done.already_queued),
        refused=[NotQueued(**_name(one.job), reason=one.reason) for one in done.refused],
    )


def _name(job: SyncJob) -> dict[str, Any]:
    """The job, and what it syncs from."""
    return {
        "job": job.name,
        "connector": job.connector.name if job.connector else None,
        "source_dataset": job.source_dataset.name if job.source_dataset else None,
    }
