"""Reads how far backfills are: their records by state, and a range of time as a person names it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, QuerySet

from syncjobs.core.states import FINAL, State
from syncjobs.models import Backfill, BackfillState, SyncJob, SyncRecord
from timing.schedules import Cron, InvalidSchedule
from workspaces.lookup import find_ids
from workspaces.models import Workspace


class UnreadableMoment(ValueError):
    """The message says how to write it."""


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """A backfill and the count of its records in each state."""

    backfill: Backfill
    states: dict[str, int]

    @property
    def ended(self) -> int:
        """Fires that need nothing more; one that the schedule has served meanwhile has no record here."""
        live = sum(count for state, count in self.states.items() if state not in FINAL)
        return max(0, self.backfill.queued - live)

    @property
    def percentage(self) -> float:
        return 100 * self.ended / self.backfill.fires if self.backfill.fires else 100.0

    @property
    def waits_for_person(self) -> bool:
        """Whether all of it stands still until somebody releases or cancels what is held."""
        return (
            self.states.get(State.HELD, 0) >= self.backfill.parallel
            and not self.states.get(State.QUEUED)
            and not self.states.get(State.RUNNING)
        )

    def describe(self) -> str:
        """`3 of 7 fires: 2 succeeded, 1 failed, 1 running`."""
        counts = [f"{self.states[state]} {state}" for state in State if self.states.get(state)]
        told = f": {', '.join(counts)}".replace("timed_out", "timed out") if counts else ""
        return f"{self.ended} of {self.backfill.fires} fires{told}"

    def as_json(self) -> dict[str, Any]:
        row = self.backfill
        return {
            "id": str(row.pk),
            "job": row.job.name,
            "state": row.state,
            "trigger": row.trigger,
            "since": row.since.isoformat(),
            "until": row.until.isoformat(),
            "parallel": row.parallel,
            "mode": row.mode,
            "fires": row.fires,
            "ended": self.ended,
            "records": self.states,
            "requested_by": row.requested_by,
            "created_at": row.created_at.isoformat(),
            "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        }


def backfills_of(
    workspace: Workspace, *, job: str | None = None, state: str | None = None
) -> QuerySet[Backfill]:
    """Selects the backfills of a workspace, or those of a job, by its id or name, or those in a state."""
    rows = Backfill.objects.filter(workspace=workspace).select_related("job")
    if job is not None:
        rows = rows.filter(job_id__in=find_ids(SyncJob.objects.all(), workspace, job))
    return rows if state is None else rows.filter(state=state)


def load_progress(backfills: Iterable[Backfill]) -> list[BackfillProgress]:
    rows = list(backfills)
    states: dict[UUID, dict[str, int]] = defaultdict(dict)
    counted = (
        SyncRecord.objects.filter(backfill__in=[row.pk for row in rows])
        .order_by()
        .values_list("backfill", "state")
        .annotate(count=Count("pk"))
    )
    for pk, state, count in counted:
        states[pk][state] = count
    return [BackfillProgress(row, states[row.pk]) for row in rows]


def latest_backfills(job: SyncJob, count: int = 10) -> list[BackfillProgress]:
    """The active ones first, then the newest."""
    rows = Backfill.objects.filter(job=job).select_related("job").order_by("-created_at")
    active = rows.filter(state=BackfillState.ACTIVE)[:count]
    others = rows.exclude(state=BackfillState.ACTIVE)[:count]
    return load_progress([*active, *others][:count])


def find_zone_of_job(job: SyncJob) -> str:
    """The zone that its schedule goes by, in which a person names times of it."""
    try:
        schedule = job.parsed_schedule
    except InvalidSchedule:
        return "UTC"
    return schedule.timezone if isinstance(schedule, Cron) else "UTC"


def read_moment(text: str, zone: str, now: datetime, *, ends: bool = False) -> datetime:
    """`2026-11-01`, `2026-11-01 22:00`, with an offset or else in `zone`. A day alone is its beginning, or, where the
    range `ends` with it, its last instant; what has not passed yet of it is left out. Raises UnreadableMoment."""
    try:
        return _read_moment(text.strip(), ZoneInfo(zone), now, ends=ends)
    except (ValueError, OverflowError):
        raise UnreadableMoment(
            f"{text!r} is no time; write it such as 2026-11-01 or 2026-11-01T22:00"
        ) from None


def _read_moment(text: str, zone: ZoneInfo, now: datetime, *, ends: bool) -> datetime:
    given = datetime.fromisoformat(text)
    if len(text) > len("2026-11-01") or not ends:
        return given.replace(tzinfo=given.tzinfo or zone).astimezone(UTC)
    begin = datetime.combine(given.date(), time(), tzinfo=zone)
    following = datetime.combine(given.date() + timedelta(days=1), time(), tzinfo=zone)
    end = following.astimezone(UTC) - timedelta(microseconds=1)
    return min(end, now) if begin <= now else end
