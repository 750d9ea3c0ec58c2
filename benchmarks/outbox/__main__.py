"""`python -m benchmarks.outbox`: readings a second into a stream, by REST and by import, and out to a client system that
parses, dedups and logs; beside the bare limits; and what a batch and a reading cost. `--queued 10000000` first fills
the stream so far.

What is compared is measured in turns, so that whatever else the machine does meets both sides."""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import stand
from benchmarks.surfaces.__main__ import web
from embedded.child import PROJECT

if TYPE_CHECKING:
    import requests

    from outbox.models import Stream

KEY = "client-key-0123456789"
BULK = 1000
ORDERED, RANDOM = "ordered", "random"


@dataclass(slots=True)
class Rates:
    """Readings a second of each round, and the CPU that all processes of the stand took for one: on a machine that
    others use as well, the second figure says more."""

    name: str
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    @contextmanager
    def round(self, count: int) -> Iterator[None]:
        began, cpu_s = time.perf_counter(), _cpu_s()
        yield
        self.rates.append(count / (time.perf_counter() - began))
        self.cpu_us.append(1e6 * (_cpu_s() - cpu_s) / count)

    @property
    def median(self) -> float:
        return statistics.median(self.rates)

    def tell(self, *, beside: Rates | None = None, least: float | None = None) -> None:
        words = f"{self.name}: {self.median:,.0f} readings/s ({', '.join(f'{rate:,.0f}' for rate in self.rates)});"
        words += f" {statistics.median(self.cpu_us):.1f} µs of CPU"
        if beside is not None:
            words += f"; {self.median / beside.median:.2f} of {beside.name}"
        say(words + (f" [wanted: {least:,.0f}]" if least else ""))


def _cpu_s() -> float:
    """Of this process and of those that it started, and they."""
    parents: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                told = (entry / "stat").read_text(encoding="ascii", errors="replace")
                words = told.rpartition(")")[2].split()
                ticks = int(words[11]) + int(words[12])
                parents[int(entry.name)] = (int(words[1]), ticks / os.sysconf("SC_CLK_TCK"))
    ours = {os.getpid()}
    while more := {pid for pid, (parent, _) in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(cpu_s for pid, (_, cpu_s) in parents.items() if pid in ours)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outbox", description=__doc__)
    parser.add_argument("--readings", type=int, default=50_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=3, help="medians count")
    parser.add_argument(
        "--queued", type=int, default=0, help="readings that wait in each stream before"
    )
    asked = parser.parse_args()
    with (
        stand.product() as home,
        stand.broker(home),
        receiving(home) as port,
        web(home) as web_port,
    ):
        token = _make_token()
        streams = {name: _make_stream(port, name) for name in (ORDERED, RANDOM)}
        for name, stream in streams.items():
            if asked.queued:
                _fill(stream, asked.queued)
            measure_intake(stream, name, asked, port, web_port, token)
        if not asked.queued:
            _tell_delivery(_make_stream(port, "delivery"), asked.readings, asked.rounds, port)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — a program's answer


@contextmanager
def receiving(home: Path) -> Iterator[int]:
    process = subprocess.Popen(  # noqa: S603 — our own program
        [sys.executable, "-m", "benchmarks.outbox.receiver", str(home / "taken.log")],
        cwd=PROJECT, env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield int(process.stdout.readline())  # type: ignore[union-attr]  # it has a pipe
    finally:
        process.kill()
        process.wait()


def _make_token() -> str:
    from tests.rows import make_workspace
    from workspaces.models import Role
    from workspaces.tokens import create_token

    return create_token(make_workspace("bench"), name="bench", role=Role.OPERATOR)[1]


def _make_stream(port: int, name: str) -> Stream:
    from connectors.secrets import seal
    from tests.outbox.rows import make_client, make_stream

    client = make_client("bench", port=port, options={"tls": False})
    seal(client, {"token": KEY})
    client.save()
    return make_stream(client, name=name, batch_size=BULK, max_queued=1_000_000_000, configuration_interval_s=0, heartbeat_interval_s=0)  # fmt: skip


def reading_of(key: str, number: int) -> dict[str, Any]:
    """A line of 165 bytes with a key of 15 characters: what is alike in each, and what is not."""
    note = "x" * (41 - (len(key) - 15)) if len(key) < 56 else ""
    payload = {
        "meter": f"m-{number * 7919 % 10_000:04}", "kWh": number * 37 % 100_000 / 100,
        "at": f"2026-11-28T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z", "quality": "good",
        "note": note,
    }  # fmt: skip
    return {"key": key, "payload": payload}


def keys_of(name: str, prefix: str, count: int) -> list[str]:
    if name == RANDOM:
        return [str(uuid.uuid4()) for _ in range(count)]
    return [f"m{prefix}:{number:011}" for number in range(count)]


def measure_intake(
    stream: Stream, name: str, asked: argparse.Namespace, port: int, web_port: int, token: str
) -> None:
    from cli.readings import import_readings
    from workspaces.models import Workspace

    of = f"{name} keys" + (f", {asked.queued:,} queued" if asked.queued else "")
    is_empty = not asked.queued
    by_rest, bare = Rates(f"intake by REST, {of}"), Rates("the same requests to the receiver")
    by_import = Rates(f"import, {of}")
    parsed = Rates("a loop of json.loads over the same lines")
    before, size, most = _total_bytes(), 0, 0
    url = f"http://127.0.0.1:{web_port}/api/workspaces/{Workspace.objects.get(name='bench').pk}/streams/{stream.pk}/readings"  # fmt: skip
    for number in range(asked.rounds):
        for way in ("rest", "import"):
            prefix = f"{number:01}{way[0]}"
            lines = [
                json.dumps(reading_of(key, at), separators=(",", ":")).encode()
                for at, key in enumerate(keys_of(name, prefix, asked.readings))
            ]
            size += sum(map(len, lines))
            if way == "rest":
                bodies = _bodies_of(lines)
                with by_rest.round(asked.readings):
                    _post(url, bodies, {"Authorization": f"Bearer {token}"}, 202)
                with bare.round(asked.readings):
                    _post(
                        f"http://127.0.0.1:{port}/x", [_as_batch(body) for body in bodies], {}, 200
                    )
                continue
            text = b"\n".join(lines)
            with by_import.round(asked.readings):
                for _ in import_readings(stream, io.BytesIO(text), "jsonl", "key"):
                    most = max(most, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            with parsed.round(asked.readings):
                for line in lines:
                    json.loads(line)
    scale = 1.0 if is_empty else 0.6
    by_rest.tell(
        beside=bare, least=20_000 * scale if name == ORDERED else (None if is_empty else 10_000)
    )
    by_import.tell(
        beside=parsed, least=40_000 * scale if name == ORDERED else (None if is_empty else 10_000)
    )
    count = 2 * asked.rounds * asked.readings
    wanted = 160 if name == ORDERED else 210
    say(f"a reading of {size / count:.0f} bytes, {of}: {(_total_bytes() - before) / count:.0f} bytes of table and index [wanted: {wanted}]")  # fmt: skip
    say(f"status with {asked.queued + count:,} queued: {_status_ms(stream):.1f} ms [wanted: 10]")


def _bodies_of(lines: Sequence[bytes]) -> list[bytes]:
    return [
        b'{"readings":[' + b",".join(lines[first : first + BULK]) + b"]}"
        for first in range(0, len(lines), BULK)
    ]


def _as_batch(body: bytes) -> bytes:
    return b'{"batch_id":"%s","sequence_from":1,' % uuid.uuid4().hex.encode() + body[1:]


def _post(url: str, bodies: Sequence[bytes], fields: dict[str, str], status: int) -> None:
    with _session() as session:
        for body in bodies:
            answer = session.post(url, body, headers={"Content-Type": "application/json", **fields})
            if answer.status_code != status:
                raise RuntimeError(f"{answer.status_code}: {answer.text[:300]}")


def _session() -> requests.Session:
    import requests

    session = requests.Session()
    session.trust_env = False
    return session


def _fill(stream: Stream, count: int) -> None:
    """As intake would leave it, by statements of PostgreSQL alone: keys of the kind that comes afterwards."""
    from django.db import connection

    from outbox.core.readings import encode_bulk
    from outbox.core.segments import pack_lines

    began = time.perf_counter()
    lines = encode_bulk([reading_of(f"f:{n:013}", n) for n in range(BULK)]).lines
    key = "gen_random_uuid()::text" if stream.name == RANDOM else "'f:' || lpad(n::text, 13, '0')"
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")  # keys without an order take long
        for first in range(1, count, 500_000):
            last = min(count, first + 499_999)
            cursor.execute(
                f"INSERT INTO outbox_reading_key_0 (stream, key, seq, crc, slot) SELECT %s, {key}, n, 7, 0"  # noqa: S608
                " FROM generate_series(%s::bigint, %s::bigint) n",
                [stream.number, first, last],
            )
            cursor.execute(
                "INSERT INTO outbox_segment (stream, seq_from, seq_to, bytes, slot, body)"
                " SELECT %s, n, n + %s, %s, 0, %s FROM generate_series(%s::bigint, %s::bigint, %s) n",
                [
                    stream.number,
                    BULK - 1,
                    len(b"\n".join(lines)),
                    pack_lines(lines),
                    first,
                    last,
                    BULK,
                ],
            )
        cursor.execute("UPDATE outbox_streamhead SET next_seq = %s WHERE stream_id = %s", [count + 1, stream.pk])  # fmt: skip
        cursor.execute("ANALYZE outbox_reading_key, outbox_segment")
        cursor.execute("RESET statement_timeout")
    say(f"filled {stream.name} with {count:,} readings in {time.perf_counter() - began:.0f} s")


def _tell_delivery(stream: Stream, count: int, rounds: int, port: int) -> None:
    """In turns: the product's delivery, and `requests` posting the same bytes under other ids."""
    from outbox.intake import take
    from outbox.models import Batch, StreamTail

    delivery = Rates("delivery, batches of 1,000")
    bare = Rates("bare requests posting the same bytes to the same receiver")
    memory: list[int] = []
    for number in range(rounds):
        done_seq = StreamTail.objects.get(pk=stream.pk).done_seq
        for first in range(0, count, BULK):
            take(
                stream, [reading_of(f"d{number}:{at:012}", at) for at in range(first, first + BULK)]
            )
        images = _images_of(stream, done_seq)
        before, batches = _counters(), Batch.objects.filter(stream=stream).count()
        with delivery.round(count):
            _deliver(stream)
        after = _counters()
        made = Batch.objects.filter(stream=stream).count() - batches
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        if StreamTail.objects.get(pk=stream.pk).done_seq != done_seq + count:
            raise RuntimeError("not everything was delivered")
        say(f"a delivered batch: {(after['commits'] - before['commits']) / made:.2f} commits [wanted: 1], {(after['writes'] - before['writes']) / made:.2f} row writes [wanted: 6 at most]")  # fmt: skip
        with bare.round(count), _session() as session:
            for batch_id, image in images:
                fields = {"Content-Type": "application/json", "X-API-Key": KEY, "Idempotency-Key": str(batch_id), "Content-Digest": image.content_digest}  # fmt: skip
                answer = session.post(f"http://127.0.0.1:{port}/readings/batch", image.body, headers=fields)  # fmt: skip
                if answer.json()["accepted"] != BULK:
                    raise RuntimeError("the receiver took another count")
    bare.tell()
    delivery.tell(beside=bare, least=50_000)
    say(f"delivery may take twice as long as bare requests: {delivery.median / bare.median:.2f} [wanted: 0.5]")  # fmt: skip
    say(f"most memory of the delivering process after each round: {', '.join(f'{kib // 1024} MiB' for kib in memory)}")  # fmt: skip


def _images_of(stream: Stream, done_seq: int) -> list[tuple[uuid.UUID, Any]]:
    """Ready before the clock starts, under other ids."""
    from django.db import connection

    from outbox.core.images import make_head, make_image
    from outbox.core.segments import unpack_lines

    with connection.cursor() as cursor:
        cursor.execute("SELECT seq_from, seq_to, body FROM outbox_segment WHERE stream = %s AND seq_to > %s ORDER BY seq_to", [stream.number, done_seq])  # fmt: skip
        rows = cursor.fetchall()
    images = []
    for seq_from, seq_to, body in rows:
        batch_id = uuid.uuid4()
        head = make_head(batch_id, stream.name, seq_from, seq_to, seq_to - seq_from + 1)
        images.append((batch_id, make_image(head, unpack_lines(body))))
    return images


def _deliver(stream: Stream) -> None:
    from outbox.delivery import deliver
    from syncjobs.leases.heart import Heart

    heart = Heart("bench")
    while deliver(stream.pk, heart):
        pass


def _counters() -> dict[str, int]:
    from django.db import connection

    time.sleep(1.5)  # sessions tell of their counters once a second
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
            " WHERE relname LIKE 'connectors%' OR relname LIKE 'outbox%' AND relname !~ '_key|_segment|_streamhead'"
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
