"""`python -m benchmarks.queues`: how many records a second go from queued to final, with nothing to fetch,
beside Celery's no-op and procrastinate's; and how long a claim takes with a million queued."""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks import stand
from tasks.queues import CONSUMED

PROCESSES = 2
SLOTS = 8
PATIENCE_S = 120.0
CELERY = (
    f"celery -A syncproject worker -P threads -c {{slots}} -Q {CONSUMED} -I benchmarks.queues.empty_work"
    " --without-gossip --without-mingle --loglevel WARNING -n bench{number}@%h"
)
BEAT = (
    "celery -A syncproject beat --scheduler tasks.beat:SyncScheduler --pidfile= --loglevel WARNING"
)
PROCRASTINATE = (
    "procrastinate --app benchmarks.queues.procrastinate_app.app worker --concurrency {slots}"
    " --queues sync --name bench{number}"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queues", description=__doc__)
    parser.add_argument("--records", type=int, default=3_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=3, help="medians count")
    parser.add_argument("--queued", type=int, default=1_000_000, help="rows behind the claims")
    parser.add_argument(
        "--only", default="ours,celery,procrastinate,claims", help="parts, by comma"
    )
    asked = parser.parse_args()
    parts = asked.only.split(",")
    with stand.product() as home, stand.broker(home):
        os.environ.update(
            BATCH_SIZE="0", SYNC_MAX_PER_HOST="0", SYNC_CONCURRENCY=str(SLOTS),
            PROCRASTINATE_DATABASE_URL=os.environ["DATABASE_URL"],
        )  # fmt: skip
        for name in (name for name in MEASURES if name in parts):
            rates = [MEASURES[name](asked.records) for _ in range(asked.rounds)]
            told = ", ".join(f"{rate:.0f}" for rate in rates)
            say(f"{name}: {statistics.median(rates):.0f}/s ({told})")
        if "claims" in parts:
            measure_claims(asked.queued)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — a program's answer


@contextlib.contextmanager
def workers(command: str, *more: str) -> Iterator[None]:
    """So many processes, and those of `more`; ended by their pids."""
    commands = [command.format(slots=SLOTS + 2, number=number) for number in range(PROCESSES)]
    started = [
        subprocess.Popen(  # noqa: S603 — our own programs
            [sys.executable, "-m", *words.split()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "syncproject.settings"},
        )
        for words in (*commands, *more)
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def measure_ours(count: int) -> float:
    """Records a second, from the first claim to the last end, as the rows tell."""
    from django.db.models import Max, Min

    from benchmarks.queues.rows import queue_records
    from events.models import SyncEvent
    from syncjobs.core.states import State
    from syncjobs.models import SyncRecord

    ids = queue_records(workspaces=10, jobs=count // 10)
    ours = SyncRecord.either.filter(pk__in=ids)
    with workers(CELERY, BEAT):
        until(lambda: not ours.exclude(state=State.SUCCEEDED).exists(), "records ended")
    if SyncEvent.objects.filter(record__in=ids).count() != 2 * len(ids):
        raise RuntimeError("each record should have been claimed and have ended once")
    spent = ours.aggregate(first=Min("started_at"), last=Max("finished_at"))
    return len(ids) / float((spent["last"] - spent["first"]).total_seconds())


def measure_celery(count: int) -> float:
    """No-op tasks a second, from the first that is taken to an empty queue; no result, no row."""
    import redis
    from celery import current_app

    import syncproject.celery

    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushall()
    syncproject.celery.app.conf.broker_url = os.environ["REDIS_URL"]
    with current_app.connection_for_write(url=os.environ["REDIS_URL"]) as connected:
        producer = current_app.amqp.Producer(connected, auto_declare=False)
        for number in range(count):
            current_app.send_task(
                "benchmark.nothing", args=[number], queue="sync", producer=producer
            )

    def left() -> int:
        return int(client.llen("sync:sync"))

    if left() != count:
        raise RuntimeError(f"{left()} of {count} messages are in the queue")
    with workers(CELERY):
        until(lambda: left() < count, "a task was taken", every_s=0.001)
        began = time.perf_counter()
        until(lambda: left() == 0, "the queue was empty", every_s=0.005)
        return count / (time.perf_counter() - began)


def measure_procrastinate(count: int) -> float:
    """No-op jobs a second, from the first that is taken to the last end, as its events tell."""
    import psycopg
    from procrastinate.schema import SchemaManager

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as session:
        if session.execute("SELECT to_regclass('procrastinate_jobs')").fetchone() == (None,):
            session.execute(SchemaManager.get_schema().encode())
        session.execute("TRUNCATE procrastinate_jobs CASCADE")
        session.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
            " SELECT 'sync', 'nothing', jsonb_build_object('number', n) FROM generate_series(1, %s) n",
            [count],
        )
        todo = "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'"
        with workers(PROCRASTINATE):
            until(lambda: session.execute(todo).fetchone() == (0,), "jobs ended")
        row = session.execute(
            "SELECT extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded')"
            " - min(at) FILTER (WHERE type = 'started')) FROM procrastinate_events"
        ).fetchone()
    if row is None:
        raise RuntimeError("procrastinate wrote no events")
    return count / float(row[0])


MEASURES: dict[str, Callable[[int], float]] = {
    "ours": measure_ours,
    "celery": measure_celery,
    "procrastinate": measure_procrastinate,
}


def measure_claims(queued: int, *, claims: int = 2_000, threads: int = 4) -> None:
    from django.conf import settings
    from django.db import connection

    from benchmarks.queues.rows import queue_records
    from syncjobs.claims.claiming import claim
    from syncjobs.queueing.ringing import take_unrung

    jobs, times = 500, max(1, queued // 5_000)
    began = time.perf_counter()
    queue_records(workspaces=10, jobs=jobs, times=times)
    say(f"queued {10 * jobs * times:,} rows in {time.perf_counter() - began:.0f} s")
    from dataclasses import replace

    settings.SYNC = replace(settings.SYNC, batch_size=0, max_per_host=0)
    taken: list[float] = []
    ids: list[uuid.UUID] = []
    while len(ids) < claims:
        began = time.perf_counter()
        rung = take_unrung(200)
        taken.append(time.perf_counter() - began)
        if not rung:
            raise RuntimeError("nothing was rung for")
        ids += rung

    def timed(number: int) -> float:
        began = time.perf_counter()
        claim(
            ids[number], f"bench {number}"
        )  # where another record of the job runs it looks all the same
        return time.perf_counter() - began

    def batch(first: int) -> list[float]:
        walls = [timed(number) for number in range(first, claims, threads)]
        connection.close()
        return walls

    with ThreadPoolExecutor(threads) as pool:
        walls = sorted(wall for batch_ in pool.map(batch, range(threads)) for wall in batch_)
    p50, p99 = walls[len(walls) // 2], walls[len(walls) * 99 // 100]
    say(f"claim: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms ({threads} at once)")
    say(
        f"ring for 200: median {statistics.median(taken) * 1000:.1f} ms, most {max(taken) * 1000:.1f}"
    )


def until(done: Callable[[], bool], words: str, *, every_s: float = 0.05) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s until {words}")
        time.sleep(every_s)


if __name__ == "__main__":
    main()
