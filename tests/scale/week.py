"""Nine days of many jobs on an injected clock, the change of the clocks in Europe and America among them; and what
two dispatchers made of them, beside an enumeration that shares no code with the product's."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from django.db import connection, connections

from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queueing.dispatching import dispatch_due
from tests.scale.jobs import make_many_jobs

BEGIN = datetime(2026, 10, 24, tzinfo=UTC)
END = datetime(
    2026, 11, 2, tzinfo=UTC
)  # Europe's clocks go back on 25 October, America's on 1 November
STEP_MAX_S = 3_600  # no job has two fires within it: each is to have its own record
DISPATCHERS = 2
ROUNDS_MAX = 200

Fire = tuple[Any, datetime]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CHANGING = ("Europe/Berlin", "America/New_York", "Europe/Lisbon", "America/Sao_Paulo")
STEADY = ("UTC", "Asia/Kathmandu", "Asia/Tokyo", "America/Phoenix")


def fields_of(number: int) -> dict[str, Any]:
    """The kinds in turn. Each sixth minute of daily ones lies in the hour that comes twice."""
    chance = random.Random(number)  # noqa: S311 — no secret
    kind = number % 6
    minute, hour = chance.randrange(60), chance.randrange(24)
    zone = chance.choice(CHANGING)
    fields: dict[str, Any] = {"jitter_s": chance.choice([0, 0, 900])}
    if kind == 0:
        every_s = chance.choice([3_600, 5_400, 7_297, 14_400, 86_400])
        fields["schedule"] = {"every_s": every_s}
        fields["next_run_at"] = BEGIN + timedelta(seconds=chance.randrange(1, every_s))
    elif kind == 1:
        twice = {"Europe/Berlin": 2, "America/New_York": 1, "Europe/Lisbon": 1}
        hour = chance.choice([hour, twice.get(zone, hour)])
        at = f"{hour:02}:{minute:02}"
        fields["schedule"] = {"frequency": "daily", "time": at, "timezone": zone}
    elif kind == 2:
        day, at = chance.choice(WEEKDAYS), f"{hour:02}:{minute:02}"
        written = {"frequency": "weekly", "time": at, "weekday": day, "timezone": zone}
        fields["schedule"] = written
    elif kind == 3:
        fields["schedule"] = {"frequency": "hourly", "time": f"00:{minute:02}", "timezone": zone}
    elif kind == 4:
        cron = chance.choice(
            [f"{minute} */3 * * *", f"{minute} 0-12 1,25-31 * *", f"{minute} {hour} * * MON-FRI"]
        )
        fields["schedule"] = {"cron": cron, "timezone": chance.choice(STEADY)}
    else:
        cron = f"{minute} 5,{6 + hour % 16} * * {chance.choice(['*', '0,6', '1-5'])}"
        fields["schedule"] = {"cron": cron, "timezone": zone}
    return fields


def expected_fires(job: SyncJob, first_interval: datetime | None) -> Iterator[datetime]:
    """When it is to be due, jitter included, after BEGIN and up to END."""
    schedule, offset = job.schedule, job.offset
    if first_interval is not None:
        fires = _every(first_interval, timedelta(seconds=schedule["every_s"]))
        offset = timedelta(0)  # its first one has it already
    elif "cron" in schedule:
        fires = _by_croniter(schedule["cron"], ZoneInfo(schedule["timezone"]))
    elif schedule["frequency"] == "hourly":  # in zones that differ from UTC by whole hours
        minute = int(schedule["time"][3:])
        fires = _every(BEGIN - timedelta(hours=2, minutes=-minute), timedelta(hours=1))
    else:
        fires = _by_the_calendar(schedule, ZoneInfo(schedule["timezone"]))
    for fire in fires:
        if fire + offset > END:
            return
        if fire + offset > BEGIN:
            yield fire + offset


def _every(first: datetime, step: timedelta) -> Iterator[datetime]:
    while True:
        yield first
        first += step


def _by_the_calendar(schedule: dict[str, Any], zone: ZoneInfo) -> Iterator[datetime]:
    """Of a time that comes twice, the first (fold=0)."""
    at, day = time.fromisoformat(schedule["time"]), BEGIN.date() - timedelta(days=2)
    while True:
        if schedule.get("weekday") in (None, WEEKDAYS[day.weekday()]):
            yield datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
        day += timedelta(days=1)


def _by_croniter(expression: str, zone: ZoneInfo) -> Iterator[datetime]:
    found = croniter(expression, (BEGIN - timedelta(days=2)).astimezone(zone))
    while True:
        yield found.get_next(datetime).astimezone(UTC)


def simulate(count: int, *, seed: int) -> tuple[list[Fire], list[Fire]]:
    """The fires that have a record, and those that are to have one."""
    jobs = make_many_jobs(count, workspaces=7, fields=fields_of, now=BEGIN)
    intervals = {job.pk: job.next_run_at for job in jobs if "every_s" in job.schedule}
    wanted = [(job.pk, fire) for job in jobs for fire in expected_fires(job, intervals.get(job.pk))]
    chance = random.Random(seed)  # noqa: S311 — no secret
    now = BEGIN
    with ThreadPoolExecutor(DISPATCHERS) as pool:
        try:
            while now < END:
                now = min(END, now + timedelta(seconds=chance.randint(1_800, STEP_MAX_S)))
                _at_once(pool, _dispatch_all, now, max(10, count // 20))
                _end_records()
        finally:
            _at_once(pool, connections.close_all)
    records = SyncRecord.objects.values_list("job_id", "scheduled_for")
    return [(job, fire) for job, fire in records if fire is not None], wanted


def _at_once(pool: ThreadPoolExecutor, call: Callable[..., None], *words: Any) -> None:
    """In each of its threads."""
    gate = threading.Barrier(DISPATCHERS)

    def one() -> None:
        gate.wait()
        call(*words)

    for done in [pool.submit(one) for _ in range(DISPATCHERS)]:
        done.result()


def _dispatch_all(now: datetime, limit: int) -> None:
    for _ in range(ROUNDS_MAX):
        if not dispatch_due(limit, now=now).jobs:
            return
    raise AssertionError(f"jobs stay due at {now}, however often they are served")


def _end_records() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE syncjobs_syncrecord SET state = 'succeeded', finished_at = now(), waiting_for = ''"
            " WHERE state = 'queued'"
        )
