"""`python -m benchmarks.rows.objects`: 200,000 objects of an API into a table, beside dlt, and with pages on their way
together beside one page at a time."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg

from benchmarks import stand
from tests.hosts.many_objects import ManyObjects, many_objects, sized

if TYPE_CHECKING:
    from syncjobs.models import SyncJob

# `deploy/install-bench-tools` makes it: dlt brings packages that are not ours.
DLT = Path(sys.prefix) / "bench" / "dlt" / "bin" / "python"
LATENCY_S = 0.02
MIB = 1 << 20


def find_dlt() -> str | None:
    return str(DLT) if DLT.is_file() else None


def make_job(host: ManyObjects, way: str, size: int, name: str, **options: Any) -> SyncJob:
    from tests.rows import make_connector
    from tests.rows import make_job as save

    connector = make_connector(host.target(**options), kind="rest", workspace=name)
    return save(connector, entity=sized(way, size), name=name, sync_mode="full")


def measure(host: ManyObjects, count: int, way: str, size: int, case: str, **options: Any) -> float:
    """Seconds of a whole record. Raises RuntimeError where the table does not equal the API."""
    job = make_job(host, way, size, f"{case}-{way}-{size}".replace(" ", "-"), **options)
    run = stand.sync(job)
    record = job.records.latest("queued_at")
    if record.rows_added != count:
        raise RuntimeError(f"{record.rows_added} rows came, and not {count}: {record.error}")
    tell(f"{case}: {way}, {size} a page: {run.wall_s:.2f} s, {run.memory_bytes / MIB:.0f} MiB")
    return run.wall_s


def run_dlt(host: ManyObjects, count: int, size: int, url: str, home: Path) -> float:
    program = find_dlt()
    if program is None:
        raise LookupError("dlt is not installed")
    script = str(Path(__file__).with_name("dlt_peer.py"))
    command = [program, script, str(host.port), str(size), url, str(home / "dlt")]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 — our own words
    if done.returncode:
        raise RuntimeError(f"dlt: {(done.stdout + done.stderr)[-1000:]}")
    wall_s = time.perf_counter() - began
    with psycopg.connect(url) as session:
        found = session.execute("SELECT count(*) FROM dlt.objects").fetchone()
    if found != (count,):
        raise RuntimeError(f"dlt wrote {found} rows")
    tell(f"dlt: offset, {size} a page: {wall_s:.2f} s")
    return wall_s


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 — a command talks


def make_database() -> str:
    own = os.environ["DATABASE_URL"]
    with psycopg.connect(own, autocommit=True) as session:
        session.execute("CREATE DATABASE objects_of_peers")
    return urlsplit(own)._replace(path="/objects_of_peers").geturl()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows.objects", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="objects of the API")
    parser.add_argument("--page", type=int, default=100, help="objects of a page")
    asked = parser.parse_args()
    count, size = asked.count, asked.page
    lines = [
        "| case | SyncProject, s | beside | its s | ratio | goal |",
        "|---|---|---|---|---|---|",
    ]
    with stand.product() as home:
        with many_objects(count, home) as host:
            by_cursor = measure(host, count, "cursor", size, "R5 by cursor")
            counted = measure(host, count, "offset", size, "R5 counted")
            if find_dlt() is not None:
                dlt = run_dlt(host, count, size, make_database(), home)
                for case, own in (("by cursor", by_cursor), ("counted", counted)):
                    lines.append(
                        f"| R5 {case} | {own:.2f} | dlt | {dlt:.2f} | {own / dlt:.2f} | 0.3 |"
                    )
        with many_objects(count, home, latency_s=LATENCY_S) as host:
            together = measure(host, count, "offset", size, "R5 far")
            alone = measure(host, count, "offset", size, "R5 far alone", requests_at_once=1)
            ratio = together / alone
            lines.append(
                f"| R5 at 20 ms | {together:.2f} | one page at a time | {alone:.2f} | {ratio:.2f} | 0.25 |"
            )
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
