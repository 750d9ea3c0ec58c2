"""`python -m benchmarks.schedules`: how late due jobs become queued records, out of 100,000 and of a million, and
what beat costs, beside django-celery-beat's own scheduler with 10,000 entries that are due together."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import stand
from benchmarks.queues.__main__ import say, until

BEAT = "celery -A syncproject beat --pidfile= --loglevel WARNING --scheduler {scheduler}"
OURS, PEERS = "tasks.beat:SyncScheduler", "django_celery_beat.schedulers:DatabaseScheduler"
HOUR_S, DAY_S = 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; `goal` as the issue has it."""

    what: str
    measured: str
    goal: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedules", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument(
        "--seconds", type=int, default=60, help="of each steady load (600: ten minutes)"
    )
    parser.add_argument("--peer-seconds", type=int, default=90, help="at most, for the peer")
    parser.add_argument("--million", action="store_true", help="a million jobs as well")
    parser.add_argument(
        "--only", default="start,rest,steady,edits,together,two,peer", help="parts, by comma"
    )
    asked = parser.parse_args()
    rows: list[Row] = []
    with stand.product() as home, stand.broker(home):
        from benchmarks.schedules.rows import Crowd, make_jobs

        began = time.perf_counter()
        make_jobs(Crowd(asked.jobs, every_s=HOUR_S))
        say(f"{asked.jobs:,} jobs made in {time.perf_counter() - began:.0f} s")
        for name in asked.only.split(","):
            rows += show(PARTS[name](home, asked))
        if asked.million:
            make_jobs(Crowd(1_000_000 - asked.jobs, every_s=HOUR_S))
            rows += show(steady(home, asked, "1,000,000 jobs", "p99 <= 30 s"))
    say("\n| | measured | goal |\n|---|---|---|")
    for row in rows:
        say(f"| {row.what} | {row.measured} | {row.goal} |")


def show(rows: list[Row]) -> list[Row]:
    for row in rows:
        say(f"{row.what}: {row.measured}")
    return rows


@contextlib.contextmanager
def beat(home: Path, scheduler: str = OURS) -> Iterator[subprocess.Popen[bytes]]:
    with (home / "beat.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 — our own program
            [sys.executable, "-m", *BEAT.format(scheduler=scheduler).split()],
            stdout=log,
            stderr=log,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "syncproject.settings", "BATCH_SIZE": "5"},
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start(home: Path, asked: argparse.Namespace) -> list[Row]:
    """Until the first tick has told that it lives."""
    from benchmarks.schedules.rows import rest_all
    from syncjobs.models import Pulse

    rest_all()
    Pulse.objects.all().delete()
    began = time.perf_counter()
    with beat(home) as process:
        until(lambda: Pulse.objects.filter(part="beat").exists(), "beat ticked")
        took_s = time.perf_counter() - began
        time.sleep(5)
        rss = resident_mib(process.pid)
    return [
        Row(f"beat's start with {asked.jobs:,} jobs", f"{took_s:.1f} s", "<= 5 s"),
        Row("beat's memory", f"{rss:.0f} MiB", "<= 200 MiB"),
    ]


def rest(home: Path, asked: argparse.Namespace) -> list[Row]:
    from benchmarks.schedules.rows import rest_all

    rest_all()
    with beat(home) as process:
        time.sleep(8)
        before = {pid: cpu_s(pid) for pid in (process.pid, *postgres_pids())}
        time.sleep(asked.seconds)
        spent = {pid: cpu_s(pid) - was for pid, was in before.items() if cpu_s(pid) >= was}
    of_beat = spent.pop(process.pid, 0.0) / asked.seconds * 100
    of_postgres = sum(spent.values()) / asked.seconds * 100
    told = f"{of_beat + of_postgres:.2f} % of a core (beat {of_beat:.2f}, PostgreSQL {of_postgres:.2f})"
    return [Row(f"at rest, {asked.jobs:,} jobs", told, "< 2 %")]


def steady(
    home: Path, asked: argparse.Namespace, what: str = "", goal: str = "p50 <= 1 s, p99 <= 5 s"
) -> list[Row]:
    """Every job once an hour, all over the hour."""
    spread(HOUR_S)
    with beat(home):
        told = watch(asked.seconds)
    what = what or f"{asked.jobs:,} jobs, each every hour"
    return [Row(f"dispatch lag, {what}", told, goal)]


def edits(home: Path, asked: argparse.Namespace) -> list[Row]:
    """The same, while a job is edited each second; and how soon an edit takes effect."""
    spread(HOUR_S)
    effects: list[float] = []
    stop = threading.Event()

    def edit() -> None:
        from django.db import connection

        from syncjobs.configuration.jobs import save_job
        from syncjobs.models import SyncJob

        jobs = iter(SyncJob.objects.order_by("-id")[: asked.seconds + 60])
        pending: dict[uuid.UUID, tuple[datetime | None, float]] = {}
        due = time.perf_counter()
        while not stop.wait(0.02):
            if time.perf_counter() >= due:
                due += 1.0
                job = next(jobs)
                job.refresh_from_db()
                job.schedule = {"every_s": DAY_S - len(effects)}  # a new interval is due at once
                began = time.perf_counter()
                save_job(job)
                pending[job.pk] = (job.next_run_at, began)
            for pk, next_run_at in SyncJob.objects.filter(pk__in=pending).values_list(
                "pk", "next_run_at"
            ):
                was, began = pending[pk]
                if next_run_at != was:  # its fire has a record, or shares one
                    effects.append(time.perf_counter() - began)
                    del pending[pk]
        effects.extend(time.perf_counter() - began for _, began in pending.values())
        connection.close()

    thread = threading.Thread(target=edit)
    with beat(home):
        thread.start()
        told = watch(asked.seconds)
        stop.set()
        thread.join()
    seen = sorted(effects) or [float("nan")]
    return [
        Row("dispatch lag, a job edited each second", told, "as without"),
        Row(
            f"until an edit takes effect ({len(effects)} edits)",
            f"p50 {seen[len(seen) // 2]:.2f} s, most {seen[-1]:.2f} s",
            "<= 2 s",
        ),
    ]


def together(home: Path, asked: argparse.Namespace) -> list[Row]:
    rows = []
    for count, goal in ((10_000, "<= 15 s"), (60_000, "<= 90 s")):
        took_s, lags = fire(home, count)
        rows.append(
            Row(f"{count:,} due at once of {asked.jobs:,}", f"{took_s:.1f} s ({lags})", goal)
        )
    return rows


def two(home: Path, asked: argparse.Namespace) -> list[Row]:
    took_s, _ = fire(home, 10_000, beats=2)
    return [Row("the same 10,000 by two beats", f"{took_s:.1f} s, each once", "no doubles")]


def fire(home: Path, count: int, *, beats: int = 1) -> tuple[float, str]:
    """Until all are dispatched; counted from the instant when they were due."""
    from django.db.models import Count, Max, Min

    from benchmarks.schedules.rows import clear, make_due, rest_all
    from syncjobs.models import SyncRecord

    clear()
    rest_all()
    with contextlib.ExitStack() as running:
        for _ in range(beats):
            running.enter_context(beat(home))
        time.sleep(6)
        make_due(count)
        until(lambda: SyncRecord.objects.count() >= count, f"{count} were dispatched")
        time.sleep(3)
    seen = SyncRecord.objects.aggregate(
        count=Count("pk"), jobs=Count("job", distinct=True), due=Min("scheduled_for"), last=Max("queued_at")
    )  # fmt: skip
    if (seen["count"], seen["jobs"]) != (count, count):
        raise RuntimeError(f"{seen['count']} records of {seen['jobs']} jobs, for {count} fires")
    return (seen["last"] - seen["due"]).total_seconds(), lag_words()


def peer(home: Path, asked: argparse.Namespace) -> list[Row]:
    """django-celery-beat's own scheduler, with 10,000 entries due together; counted in the queue."""
    import json

    import redis
    from django.utils import timezone
    from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

    count = 10_000
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushall()
    interval = IntervalSchedule.objects.create(every=1, period="hours")
    PeriodicTask.objects.all().delete()
    PeriodicTask.objects.bulk_create(
        PeriodicTask(
            name=f"bench {number}",
            task="benchmark.nothing",
            interval=interval,
            args=json.dumps([number]),
            queue="sync",
            last_run_at=timezone.now() - timedelta(hours=2),  # a new entry would be due in an hour
        )
        for number in range(count)
    )
    PeriodicTasks.update_changed()
    began = time.perf_counter()
    with beat(home, PEERS):
        first: float | None = None
        while time.perf_counter() - began < asked.peer_seconds:
            sent = int(client.llen("sync:sync"))
            if sent and first is None:
                first = time.perf_counter()
            if sent >= count:
                break
            time.sleep(0.2)
        sent, now = int(client.llen("sync:sync")), time.perf_counter()
    PeriodicTask.objects.all().delete()
    client.flushall()
    if first is None:
        return [Row("django-celery-beat, 10,000 due at once", "sent nothing", "")]
    took_s = now - first
    words = f"{sent:,} sent in {took_s:.0f} s, {sent / took_s:.0f}/s"
    if sent < count:
        words += f": {count * took_s / sent:.0f} s for all, at that rate"
    return [Row("django-celery-beat, 10,000 due at once", words)]


PARTS: dict[str, Callable[[Path, argparse.Namespace], list[Row]]] = {
    "start": start,
    "rest": rest,
    "steady": steady,
    "edits": edits,
    "together": together,
    "two": two,
    "peer": peer,
}


def spread(over_s: int) -> None:
    """Every job is due once in so many seconds, from five on."""
    from django.db import connection

    from benchmarks.schedules.rows import clear

    clear()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20min'")
        cursor.execute(
            "UPDATE syncjobs_syncjob"
            " SET next_run_at = now() + make_interval(secs => 5 + random() * %s)",
            [over_s],
        )
        cursor.execute("VACUUM (ANALYZE) syncjobs_syncjob")


def watch(seconds: int) -> str:
    """Of what is due once beat has started: a million jobs are so long in the making that the first are late then."""
    from django.utils import timezone

    time.sleep(8)
    began = timezone.now()
    time.sleep(seconds)
    return lag_words(began)


def lag_words(since: datetime | None = None) -> str:
    """Of the records, from the time that they were due to the time that they were queued."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY"
            " extract(epoch FROM queued_at - scheduled_for)) FROM syncjobs_syncrecord"
            " WHERE scheduled_for >= coalesce(%s, scheduled_for)",
            [since],
        )
        count, shares = cursor.fetchone()
    if not count:
        raise RuntimeError("nothing was dispatched")
    p50, p99, most = shares
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s, most {most:.2f} s of {count:,} fires"


def resident_mib(pid: int) -> float:
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    )


def cpu_s(pid: int) -> float:
    """User and system time of a process; below what it was where the process has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return -1.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def postgres_pids() -> list[int]:
    """The server's processes, but for the session that asks."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        rows: list[Any] = cursor.fetchall()
    return [row[0] for row in rows]


if __name__ == "__main__":
    main()
