"""Says when a job is due, in words and in times, the same for console, commands and API."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from syncjobs.core.overlaps import Overlap
from syncjobs.models import SyncJob
from timing.clock import database_now
from timing.misfires import Misfire
from timing.schedules import (
    After,
    CountedFrom,
    Cron,
    Every,
    InvalidSchedule,
    Schedule,
    due_after,
    first_due,
)
from timing.windows import ALWAYS, Calendar, InvalidWindow, find_change, is_open
from workspaces.models import Workspace

_UNITS = (("d", "day", 86_400), ("h", "hour", 3_600), ("min", "minute", 60), ("s", "second", 1))


def find_fires(job: SyncJob, count: int = 5, *, now: datetime | None = None) -> list[datetime]:
    """When it is due next, jitter included; `now` by the database's clock, which else is asked for it. Empty where nothing is planned: for a job that is off or paused, runs
    by hand or after others, or whose interval is counted from the end of a record that has not ended."""
    if not job.enabled or job.paused_at is not None or job.next_run_at is None:
        return []
    return plan_fires(job, job.next_run_at, now or database_now(), count)


def plan_fires(job: SyncJob, due: datetime | None, now: datetime, count: int) -> list[datetime]:
    """The fires to come of a job that is due at `due`; None: of one that is saved or resumed now."""
    try:
        schedule = job.parsed_schedule
    except InvalidSchedule:
        return [] if due is None else [due]
    moment = due or first_due(schedule, now, job.offset)
    fires: list[datetime] = []
    while moment is not None and len(fires) < count:
        fires.append(moment)
        moment = due_after(schedule, moment, max(moment, now), job.offset)
    return fires


def find_opening(job: SyncJob, at: datetime) -> datetime | None:
    """When a record that is due at `at` may begin, where its windows are closed then; None: at once, or not
    within a year (`may_begin` tells the two apart)."""
    calendars = _calendars(job)
    return None if is_open(calendars, at) else find_change(calendars, at)


def may_begin(job: SyncJob, at: datetime) -> bool:
    """Whether windows and blackouts allow it work at `at`."""
    return is_open(_calendars(job), at)


def describe_schedule(job: SyncJob) -> str:
    """One line, such as `At 02:00 on Monday through Friday (America/New_York)` or `every 15 min`."""
    if job.follows_dataset:
        return f"when dataset {job.source_name} has a new version"
    try:
        return _schedule_words(job.parsed_schedule)
    except InvalidSchedule as exc:
        return f"invalid: {exc}"


def describe_rules(job: SyncJob) -> list[str]:
    """What else decides when it runs, a line each; what is as usual has none."""
    schedule = _schedule_of(job)
    clocked = isinstance(schedule, Cron | Every)
    return [
        *(_jitter_words(job) if clocked else []),
        *(_misfire_words(job) if clocked else []),
        *_OVERLAP.get(job.overlap, []),
        *_calendar_words(job),
    ]


def describe_fire(job: SyncJob, at: datetime) -> str:
    """The moment on the clock that the schedule goes by: `Mon 23 Nov 2026 02:00:00 Europe/Berlin`."""
    schedule = _schedule_of(job)
    zone = schedule.timezone if isinstance(schedule, Cron) else "UTC"
    return f"{at.astimezone(ZoneInfo(zone)):%a %d %b %Y %H:%M:%S} {zone}"


def describe_calendar(calendar: Calendar) -> list[str]:
    """At most two lines: when work is allowed only, and when never."""
    words = []
    if calendar.windows:
        words.append(f"only {', '.join(window.describe() for window in calendar.windows)}")
    if calendar.blackouts:
        words.append(f"never {', '.join(blackout.describe() for blackout in calendar.blackouts)}")
    return words


def exact_words(seconds: int) -> str:
    """`15 min`, `1 h 1 s`: nothing is rounded."""
    parts, left = [], seconds
    for short, _, length in _UNITS:
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {short}")
    return " ".join(parts) or "0 s"


def _schedule_of(job: SyncJob) -> Schedule | None:
    try:
        return job.parsed_schedule
    except InvalidSchedule:
        return None


def _schedule_words(schedule: Schedule) -> str:
    match schedule:
        case Every(every_s, CountedFrom.END):
            return f"{exact_words(every_s)} after its last record has ended"
        case Every(every_s):
            unit = next((word for _, word, length in _UNITS if length == every_s), None)
            return f"every {unit or exact_words(every_s)}"
        case Cron(expression, timezone, words):
            return f"{words or _cron_words(expression)} ({timezone})"
        case After(jobs, _) if len(jobs) > 5:
            shown = After((*jobs[:4], f"{len(jobs) - 4} others"), schedule.condition)
            return shown.describe()
        case _:
            return schedule.describe()


@lru_cache(maxsize=4096)
def _cron_words(expression: str) -> str:
    """Describes cron with the library that computes the fires: where both kinds of day are given, others say the wrong ones."""
    words: str = CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC)).explain()
    return words


def _jitter_words(job: SyncJob) -> list[str]:
    if not job.jitter_s:
        return []
    if job._state.adding:  # its share follows from its id
        return [f"each up to {exact_words(job.jitter_s)} later, always by the same"]
    return [
        f"{exact_words(int(job.offset.total_seconds()))} after each of these times (its share of the"
        f" jitter of {exact_words(job.jitter_s)})"
    ]


def _misfire_words(job: SyncJob) -> list[str]:
    words = []
    if job.misfire == Misfire.SKIP:
        words.append("missed fires are skipped")
    elif job.misfire == Misfire.CATCH_UP:
        latest = "" if job.catch_up_max == 1 else f"{job.catch_up_max} "
        words.append(f"missed fires are made up for one by one, the latest {latest}at most")
    if job.max_lateness_s:
        words.append(f"a fire that is over {exact_words(job.max_lateness_s)} late is skipped")
    return words


_OVERLAP: dict[str, list[str]] = {
    Overlap.SKIP: ["skipped while a record of it is queued or running"],
    Overlap.CANCEL_OLDER: ["a record of it that is queued or running is cancelled for a new one"],
}


def _calendar_words(job: SyncJob) -> list[str]:
    try:
        own, workspace = _calendars(job)
    except InvalidWindow as exc:
        return [f"invalid windows: {exc}"]
    return [
        *describe_calendar(own),
        *(f"{words} in this workspace" for words in describe_calendar(workspace)),
    ]


def _calendars(job: SyncJob) -> tuple[Calendar, Calendar]:
    workspace: Workspace | None = getattr(job, "workspace", None)  # a form may lack it
    return job.calendar, ALWAYS if workspace is None else workspace.calendar
