"""Fires of the past get a record each, some at a time: because a person asked, or because a job catches up.

Beat's tick moves every backfill on. Its records are a job's own kind beside the ordinary ones: they neither
serve a fire of the schedule nor give way to one, but still one record of a job runs at a time.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now

from syncjobs.core.fires import FiresUnknown, iter_fires
from syncjobs.core.schedules import InvalidSchedule
from syncjobs.core.states import Event, State
from syncjobs.lifecycle.cancelling import cancel
from syncjobs.lifecycle.inserting import NewEvent, NewRecord, insert_events, insert_records
from syncjobs.models import Backfill, BackfillState, SyncJob, SyncMode, SyncRecord
from workspaces.clock import database_now

FIRES_MAX = 10_000
AT_ONCE = 100  # backfills that a tick moves on
_INSTANT = timedelta(microseconds=1)


class NoFires(Exception):
    """The range holds no fire of the job's schedule; the message says why."""


class TooManyFires(Exception):
    """The range holds more than FIRES_MAX."""


def count_fires(job: SyncJob, since: datetime, until: datetime) -> int:
    """Of the range, its ends included. Raises NoFires, TooManyFires."""
    return len(_find_fires(job, since, until))


def request_backfill(
    job: SyncJob,
    since: datetime,
    until: datetime,
    *,
    parallel: int = 1,
    mode: SyncMode | None = None,
    by: str = "",
) -> Backfill:
    """Beat queues its records from the next tick on. Raises NoFires, TooManyFires."""
    fires = _find_fires(job, since, until)
    return Backfill.objects.create(
        workspace_id=job.workspace_id,
        job=job,
        since=fires[0],
        until=fires[-1],
        parallel=parallel,
        mode=mode or job.sync_mode,
        fires=len(fires),
        next_fire=fires[0],
        requested_by=by,
    )


def cancel_backfill(backfill: Backfill, *, by: str) -> bool:
    """No further record of it is queued, and those that wait or run are asked to end; False where it has ended."""
    ended = Backfill.objects.filter(pk=backfill.pk, state=BackfillState.ACTIVE).update(
        state=BackfillState.CANCELLED, finished_at=Now()
    )
    for record_id in SyncRecord.objects.filter(
        backfill=backfill, state__in=[State.QUEUED, State.RUNNING, State.HELD]
    ).values_list("pk", flat=True):
        cancel(record_id, by=by)
    return ended == 1


def advance_backfills(now: datetime | None = None) -> int:
    """Queues what each active one may have at once; the count of new records."""
    active = Backfill.objects.filter(state=BackfillState.ACTIVE).order_by("created_at")
    return sum(_advance(pk, now) for pk in active.values_list("pk", flat=True)[:AT_ONCE])


def _advance(backfill_id: uuid.UUID, now: datetime | None) -> int:
    with transaction.atomic():
        backfill = (
            Backfill.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
            .select_related("job__connector")
            .filter(pk=backfill_id, state=BackfillState.ACTIVE)
            .first()
        )
        if backfill is None:
            return 0
        live = SyncRecord.objects.filter(backfill=backfill).aggregate(
            count=Count("pk", filter=Q(state__in=[State.QUEUED, State.RUNNING, State.HELD]))
        )["count"]
        if backfill.next_fire is None:
            if live == 0:
                _end(backfill, now)
            return 0
        if live >= backfill.parallel:
            return 0
        fires = list(islice(_iterate(backfill, backfill.next_fire), backfill.parallel - live))
        backfill.queued += len(fires)
        backfill.next_fire = _after(backfill, fires[-1]) if fires else None
        backfill.save(update_fields=["queued", "next_fire"])
        return _queue(backfill, fires, first=backfill.queued - len(fires) + 1)


def _queue(backfill: Backfill, fires: list[datetime], *, first: int) -> int:
    """A fire that the schedule has served meanwhile has its record already."""
    job = backfill.job
    records = [
        NewRecord(
            job_id=job.pk,
            workspace_id=job.workspace_id,
            connector_id=job.connector_id,
            address=job.connector.address,
            trigger=backfill.trigger,
            scheduled_for=fire,
            mode=backfill.mode,
            requested_by=backfill.requested_by,
            backfill_id=backfill.pk,
        )
        for fire in fires
    ]
    made = insert_records(records)
    insert_events(
        [
            NewEvent(
                record.id,
                Event.BACKFILLED,
                State.QUEUED,
                State.QUEUED,
                f"fire {number} of {backfill.fires} of a backfill",
                {"backfill": str(backfill.pk)},
            )
            for number, record in enumerate(records, start=first)
            if record.id in made
        ]
    )
    return len(made)


def _end(backfill: Backfill, now: datetime | None) -> None:
    backfill.state, backfill.finished_at = BackfillState.DONE, now or database_now()
    backfill.save(update_fields=["state", "finished_at"])


def _after(backfill: Backfill, fire: datetime) -> datetime | None:
    return next(_iterate(backfill, fire + _INSTANT), None)


def _iterate(backfill: Backfill, since: datetime) -> Iterator[datetime]:
    job = backfill.job
    try:
        return iter_fires(
            job.parsed_schedule, since, backfill.until, anchor=backfill.since, offset=job.offset
        )
    except (InvalidSchedule, FiresUnknown):  # the schedule was changed meanwhile
        return iter(())


def _find_fires(job: SyncJob, since: datetime, until: datetime) -> list[datetime]:
    if until < since:
        raise NoFires("the end of the range lies before its beginning")
    if until > database_now():
        raise NoFires("the range reaches into the future: its fires come by themselves")
    try:
        found = iter_fires(job.parsed_schedule, since, until, anchor=since, offset=job.offset)
    except FiresUnknown as exc:
        raise NoFires(str(exc)) from None
    fires = list(islice(found, FIRES_MAX + 1))
    if not fires:
        raise NoFires(f"the schedule has no fire from {since.isoformat()} to {until.isoformat()}")
    if len(fires) > FIRES_MAX:
        raise TooManyFires(f"the range holds more than {FIRES_MAX:,} fires: take a shorter one")
    return fires
