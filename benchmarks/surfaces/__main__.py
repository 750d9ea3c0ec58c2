"""`python -m benchmarks.surfaces`: the REST surface with 1,000,000 records and 10,000 jobs in the database, asked
by several clients at once, beside a bare view of the same server."""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from benchmarks import stand
from embedded import ports, programs, readiness
from embedded.child import Child

TREE = "/api/workspaces/bench"
WARM_S = 1.0


@dataclass(frozen=True, slots=True)
class Figures:
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.surfaces", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=4, help="at once")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each path")
    parser.add_argument("--only", default="", help="paths whose name holds this")
    parser.add_argument("--explain", action="store_true", help="print PostgreSQL's plans instead")
    asked = parser.parse_args()
    with stand.product() as home, stand.broker(home):
        from benchmarks.surfaces.rows import fill
        from workspaces.models import Role, Workspace
        from workspaces.tokens import create_token

        began = time.perf_counter()
        fill(jobs=asked.jobs, records=asked.records)
        say(
            f"{asked.records:,} records, {asked.jobs:,} jobs in {time.perf_counter() - began:.0f} s\n"
        )
        workspace = Workspace.objects.get(name="bench")
        _, token = create_token(workspace, name="bench", role=Role.VIEWER)
        routes = {name: path for name, path in paths(token).items() if asked.only in name}
        if asked.explain:
            explain(routes, token)
            return
        with web(home) as port:
            measure(routes, token, port, asked.clients, asked.seconds)
        if not asked.only:
            measure_pages()


def measure_pages() -> None:
    """Every page of the console and each list of REST of a large installation, asked in process by who sees all."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    from benchmarks.surfaces.estate import Estate, build
    from benchmarks.surfaces.pages import iter_pages, iter_rest, measure_page
    from workspaces.models import Role, Workspace
    from workspaces.tokens import create_token

    settings.ROOT_URLCONF = "syncproject.urls"
    settings.ALLOWED_HOSTS = ["*"]
    plain = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": plain}}
    began = time.perf_counter()
    build(Estate())
    say(
        f"\nbeside them an installation of several workspaces, in {time.perf_counter() - began:.0f} s\n"
    )
    browser, program = Client(), Client()
    people = get_user_model()._default_manager
    browser.force_login(people.create(username="root", is_staff=True, is_superuser=True))
    _, token = create_token(Workspace.objects.get(name="north"), name="bench", role=Role.VIEWER)
    program.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    say("| page | queries | kB on the wire | ms | slowest statement, ms |")
    say("|---|---|---|---|---|")
    for client, pages in ((browser, iter_pages()), (program, iter_rest())):
        for name, url in pages:
            cost = measure_page(client, name, url, rounds=5)
            say(
                f"| {name} | {cost.queries} | {cost.size_bytes / 1000:.1f} | {cost.wall_ms:.0f}"
                f" | {cost.slowest_ms:.0f}{'' if cost.is_within else ', over'} |"
            )


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — a program's answer


def paths(token: str) -> dict[str, str]:
    """What is measured, by its words."""
    from datetime import timedelta
    from urllib.parse import quote

    from api.rest.pages import NEWEST_FIRST
    from syncjobs.models import SyncJob, SyncRecord

    mine = SyncRecord.objects.filter(workspace__name="bench").order_by("-queued_at", "-pk")
    deep = mine[mine.count() * 9 // 10]
    some = mine[12_345 % mine.count()]
    day = quote((some.queued_at - timedelta(days=1)).isoformat())
    until = quote(some.queued_at.isoformat())
    job = SyncJob.objects.get(pk=some.job_id)
    records = f"{TREE}/sync-records"
    return {
        "bare view": "/bare",
        "records": records,
        "records, limit=200": f"{records}?limit=200",
        "records, a page 90 % down": f"{records}?cursor={NEWEST_FIRST.key_of(deep)}",
        "records, state=failed (1 in 100)": f"{records}?state=failed",
        "records, state=held (1 in 10,000)": f"{records}?state=held",
        "records, state=running (none)": f"{records}?state=running",
        "records, job by name": f"{records}?job={job.name}",
        "records, job by id": f"{records}?job={job.pk}",
        "records, connector": f"{records}?connector=host-3",
        "records, since and until": f"{records}?since={day}&until={until}",
        "records, job and state": f"{records}?job={job.name}&state=failed",
        "records, connector and state": f"{records}?connector=host-3&state=held",
        "records, state, since, until": f"{records}?state=failed&since={day}&until={until}",
        "one record": f"{records}/{some.pk}",
        "history": "/history",
        "history of a connection": "/history?connection_id=host-3",
        "status": "/status",
        "connections": "/connections",
        "sync jobs": f"{TREE}/sync-jobs",
        "one sync job": f"{TREE}/sync-jobs/{job.name}",
        "status of a sync job": f"{TREE}/sync-jobs/{job.name}/status",
    }


@contextmanager
def web(home: os.PathLike[str]) -> Iterator[int]:
    """gunicorn as the one-machine stack runs it; yields its port."""
    from pathlib import Path

    port = ports.find_free()
    program = programs.web(dict(os.environ), Path(home), "127.0.0.1", port)
    ours = [
        "benchmarks.surfaces.wsgi:application" if ":app" in word else word for word in program.argv
    ]
    ready = readiness.answers("127.0.0.1", port, "/bare")  # /health would miss Redis and the rest
    server = Child(replace(program, argv=tuple(ours), is_ready=ready))
    server.start()
    try:
        server.wait_until_ready()
        yield port
    finally:
        server.stop()


def measure(routes: dict[str, str], token: str, port: int, clients: int, seconds: float) -> None:
    say(
        f"| path ({clients} clients) | queries | req/s | p50 ms | p95 ms | p99 ms | p50, of the bare view's |"
    )
    say("|---|---|---|---|---|---|---|")
    least = None
    for name, path in routes.items():
        queries = count_queries(path, token)
        ask_for(path, token, port, clients, WARM_S)
        found = ask_for(path, token, port, clients, seconds)
        least = least or found.p50_ms
        say(
            f"| {name} | {queries} | {found.rate:.0f} | {found.p50_ms:.1f} | {found.p95_ms:.1f}"
            f" | {found.p99_ms:.1f} | {found.p50_ms / least:.2f} |"
        )


def ask_for(path: str, token: str, port: int, clients: int, seconds: float) -> Figures:
    until = time.perf_counter() + seconds

    def one(_: int) -> list[float]:
        session = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        walls = []
        while time.perf_counter() < until:
            began = time.perf_counter()
            session.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            response = session.getresponse()
            body = response.read()
            walls.append(time.perf_counter() - began)
            if response.status != 200:
                raise RuntimeError(f"{path}: {response.status} {body[:200]!r}")
        session.close()
        return walls

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        walls = sorted(wall for each in pool.map(one, range(clients)) for wall in each)
    spent = time.perf_counter() - began
    cuts = statistics.quantiles([wall * 1000 for wall in walls], n=100, method="inclusive")
    return Figures(len(walls) / spent, cuts[49], cuts[94], cuts[98])


def count_queries(path: str, token: str) -> int:
    return len(queries_of(path, token))


def queries_of(path: str, token: str) -> list[str]:
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    settings.ROOT_URLCONF = "benchmarks.surfaces.urls"
    settings.ALLOWED_HOSTS = ["*"]
    ask = Client(headers={"Authorization": f"Bearer {token}"})
    ask.get(path)
    with CaptureQueriesContext(connection) as queries:
        ask.get(path)
    return [query["sql"] for query in queries]


def explain(routes: dict[str, str], token: str) -> None:
    """The plan of each query that reads records."""
    from django.db import connection

    for name, path in routes.items():
        for sql in queries_of(path, token):
            if not sql.startswith("SELECT") or "syncrecord" not in sql:
                continue
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, SUMMARY) " + sql)
                plan = "\n".join(row[0] for row in cursor.fetchall())
            say(f"## {name}\n\n{plan}\n")


if __name__ == "__main__":
    main()
