"""`python -m benchmarks.outbox`: readings a second into a stream and out to a client system that parses, dedups and
logs, beside bare `requests` posting the same bytes to the same receiver; and what a batch and a reading cost."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import stand
from embedded.child import PROJECT
from embedded.ports import find_free

if TYPE_CHECKING:
    from outbox.models import Stream

KEY = "client-key-0123456789"
BULK = 1000
PAYLOAD = {"meter": "m-0001", "kWh": 12.5, "at": "2026-11-28T10:00:00Z", "quality": "good", "unit": "kWh", "note": "x" * 26}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outbox", description=__doc__)
    parser.add_argument("--readings", type=int, default=100_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=3, help="medians count")
    asked = parser.parse_args()
    with stand.product() as home, receiving(home) as port:
        ordered, random = (_make_stream(port, name) for name in ("ordered", "random"))
        rates_in: list[float] = []
        rates_out: list[float] = []
        bare: list[float] = []
        for number in range(asked.rounds):
            rates_in.append(
                measure_intake(ordered, asked.readings, f"m-{number:02}:{{:010}}".format)
            )
            if number == 0:
                say(f"a reading of {_line_bytes(ordered):.0f} bytes takes {_stored_bytes(ordered):.0f} bytes of table and index, keys of 15 characters in order")  # fmt: skip
            say(f"status of {asked.readings} queued: {_status_ms(ordered):.1f} ms")
            with counting(ordered) as counts:
                rates_out.append(measure_delivery(ordered, asked.readings))
            say(f"a delivered batch: {counts['commits']:.2f} commits, {counts['writes']:.2f} row writes")  # fmt: skip
            bare.append(measure_bare(port, asked.readings, number))
        _told("intake through take(), bulks of 1,000", rates_in)
        _told("delivery, batches of 1,000", rates_out)
        _told("bare requests posting the same bytes", bare)
        say(f"delivery / bare: {statistics.median(rates_out) / statistics.median(bare):.2f}")
        before = _total_bytes()
        uuids = measure_intake(random, asked.readings, lambda n: str(uuid.uuid4()))
        _told("intake, keys are random UUIDs", [uuids])
        say(f"a reading of {_line_bytes(random):.0f} bytes takes {(_total_bytes() - before) / asked.readings:.0f} bytes, keys are UUIDs")  # fmt: skip


def _told(what: str, rates: list[float]) -> None:
    shown = ", ".join(f"{rate:,.0f}" for rate in rates)
    say(f"{what}: {statistics.median(rates):,.0f} readings/s ({shown})")


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — a program's answer


@contextmanager
def receiving(home: Path) -> Iterator[int]:
    """The sample client system as a process."""
    port = find_free()
    process = subprocess.Popen(  # noqa: S603 — our own program
        [sys.executable, "-m", "embedded.samples.client_system", "--port", str(port), "--log", str(home / "taken.jsonl"), "--key", KEY],
        cwd=PROJECT, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def _make_stream(port: int, name: str) -> Stream:
    from connectors.secrets import seal
    from tests.outbox.rows import make_client, make_stream

    client = make_client(port=port, options={"tls": False})
    seal(client, {"token": KEY})
    client.save()
    return make_stream(client, name=name, batch_size=BULK)


def measure_intake(stream: Stream, count: int, name: Callable[[int], str]) -> float:
    from outbox.intake import take

    bulks = [
        [{"key": name(n), "payload": PAYLOAD} for n in range(first, first + BULK)]
        for first in range(0, count, BULK)
    ]
    began = time.perf_counter()
    for bulk in bulks:
        take(stream, bulk)
    return count / (time.perf_counter() - began)


def measure_delivery(stream: Stream, count: int) -> float:
    from outbox.delivery import deliver
    from syncjobs.leases.heart import Heart

    heart = Heart("bench")
    began = time.perf_counter()
    while deliver(stream.pk, heart):
        pass
    took_s = time.perf_counter() - began
    stream.refresh_from_db()
    if stream.head.next_seq - 1 != stream.tail.__class__.objects.get(pk=stream.pk).done_seq:
        raise RuntimeError("not everything was delivered")
    return count / took_s


def measure_bare(port: int, count: int, number: int) -> float:
    """The same bytes under other keys; each batch is ready before the clock starts."""
    import requests

    from outbox.core.images import make_head, make_image
    from outbox.core.readings import encode_bulk

    images = []
    for first in range(0, count, BULK):
        readings = [{"key": f"b-{number:02}:{n:010}", "payload": PAYLOAD} for n in range(first, first + BULK)]  # fmt: skip
        batch_id = uuid.uuid4()
        head = make_head(batch_id, "ordered", first + 1, first + BULK, BULK)
        images.append((batch_id, make_image(head, encode_bulk(readings).lines)))  # fmt: skip
    began = time.perf_counter()
    with requests.Session() as session:
        session.trust_env = False
        for batch_id, image in images:
            fields = {"Content-Type": "application/json", "X-API-Key": KEY, "Idempotency-Key": str(batch_id), "Content-Digest": image.content_digest}  # fmt: skip
            answer = session.post(f"http://127.0.0.1:{port}/readings/batch", image.body, headers=fields)  # fmt: skip
            if answer.json()["accepted"] != BULK:
                raise RuntimeError("the receiver took another count")
    return count / (time.perf_counter() - began)


@contextmanager
def counting(stream: Stream) -> Iterator[dict[str, float]]:
    """Commits and row writes a batch, by PostgreSQL's own counters."""
    from outbox.models import Batch

    counts: dict[str, float] = {}
    before, batches = _counters(), Batch.objects.filter(stream=stream).count()
    yield counts
    delivered = Batch.objects.filter(stream=stream).count() - batches
    after = _counters()
    counts["writes"] = (after["writes"] - before["writes"]) / delivered
    counts["commits"] = (after["commits"] - before["commits"]) / delivered


def _counters() -> dict[str, int]:
    from django.db import connection

    time.sleep(1.5)  # sessions tell of their counters once a second
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
            " WHERE relname LIKE 'outbox%' OR relname LIKE 'connectors%'"
        )
        writes = int(cursor.fetchone()[0])
        cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")  # fmt: skip
        return {"writes": writes, "commits": int(cursor.fetchone()[0])}


def _total_bytes() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
            " WHERE relkind = 'r' AND (relname LIKE 'outbox_segment%' OR relname LIKE 'outbox_reading_key%')"
        )
        return int(cursor.fetchone()[0])


def _stored_bytes(stream: Stream) -> float:
    return _total_bytes() / (stream.head.__class__.objects.get(pk=stream.pk).next_seq - 1)


def _line_bytes(stream: Stream) -> float:
    head = stream.head.__class__.objects.get(pk=stream.pk)
    return head.bytes / (head.next_seq - 1)


def _status_ms(stream: Stream) -> float:
    from outbox.figures import read_status

    took: list[float] = []
    for _ in range(20):
        began = time.perf_counter()
        read_status(stream)
        took.append(time.perf_counter() - began)
    return 1000 * statistics.median(took)


if __name__ == "__main__":
    main()
