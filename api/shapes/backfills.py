"""A backfill as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import Field, StrictBool, StrictInt

from api.shapes.answers import Told
from api.shapes.fields import Called, Moment
from api.shapes.jobs import BodyShape
from syncjobs.models import PARALLEL_MAX, BackfillState, SyncMode
from syncjobs.queries.backfills import BackfillProgress


class BackfillNew(BodyShape):
    job: Called = Field(description="The job's id or name.")
    since: Moment = Field(description="From this fire of its schedule on.")
    until: Moment | None = Field(None, description="To this fire, included; without: until now.")
    parallel: StrictInt = Field(
        1, ge=1, le=PARALLEL_MAX, description="Its records that wait and run at once."
    )
    full: StrictBool = Field(False, description="Trust no metadata in any of them.")


class BackfillOut(Told):
    """A backfill, and how far it is."""

    id: uuid.UUID
    job: str = Field(description="The job's name.")
    job_id: uuid.UUID
    state: BackfillState
    trigger: str = Field(description="`backfill`, or `schedule` where a job catches up by itself.")
    since: datetime = Field(description="The first fire.")
    until: datetime = Field(description="The last one.")
    parallel: int
    mode: SyncMode
    fires: int = Field(description="In all.")
    ended: int = Field(description="Fires that need nothing more.")
    percentage: float
    records: dict[str, int] = Field(description="How many of its records are in which state.")
    waits_for_person: bool = Field(
        description="Nothing goes on before somebody releases or cancels."
    )
    requested_by: str
    created_at: datetime
    finished_at: datetime | None


class BackfillPage(Told):
    items: list[BackfillOut]
    next: str | None


def tell_backfill(progress: BackfillProgress) -> BackfillOut:
    row = progress.backfill
    return BackfillOut(
        id=row.pk,
        job=row.job.name,
        job_id=row.job_id,
        state=BackfillState(row.state),
        trigger=row.trigger,
        since=row.since,
        until=row.until,
        parallel=row.parallel,
        mode=SyncMode(row.mode),
        fires=row.fires,
        ended=progress.ended,
        percentage=progress.percentage,
        records=progress.states,
        waits_for_person=progress.waits_for_person,
        requested_by=row.requested_by,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
