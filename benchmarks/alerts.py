"""`python -m benchmarks.alerts`: how long after a record has failed its message arrives, by beat, the process that sends,
and a receiver on this machine; critical alerts, which wait for no group, and others, which wait for theirs.

Failures come at random times, so that they meet every moment of beat's turns. But in the part `crowded`, each has a
channel of its own, so that no message waits for another one's group.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import stand
from benchmarks.queues.__main__ import BEAT, say, until
from benchmarks.schedules.__main__ import cpu_s, postgres_pids

if TYPE_CHECKING:
    from syncjobs.models import SyncJob

SENDER = (
    "celery -A syncproject worker -P threads -c 4 -Q index,alerts --without-gossip --without-mingle"
    " --loglevel WARNING -n index@%h"
)
SETTLES_S = 5.0


@dataclass(frozen=True, slots=True)
class Part:
    """Failures of one severity, `apart_s` seconds from each other at least and at most; `is_shared`: all by one channel,
    in which a critical message waits two seconds after the one before."""

    name: str
    severity: str
    goal: str
    apart_s: tuple[float, float]
    is_shared: bool = False


PARTS = (
    Part("critical", "critical", "p95 <= 5 s", (0.0, 3.0)),
    Part("crowded", "critical", "p95 <= 5 s", (1.0, 7.0), is_shared=True),
    Part("warning", "warning", "p95 <= 40 s, 30 s of it the group's", (0.0, 3.0)),
)


@dataclass(frozen=True, slots=True)
class Way:
    """Seconds of one message: until its alert was opened, until it was made, and until it arrived."""

    looked_s: float
    made_s: float
    sent_s: float

    @property
    def whole_s(self) -> float:
        return self.looked_s + self.made_s + self.sent_s


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alerts", description=__doc__)
    parser.add_argument("--failures", type=int, default=60, help="of each severity")
    parser.add_argument("--rest", type=float, default=30.0, help="seconds of rest to be measured")
    parser.add_argument("--only", default="rest,critical,crowded,warning", help="parts, by comma")
    asked = parser.parse_args()
    parts = asked.only.split(",")
    with stand.product() as home, stand.broker(home), receiving() as receiver:
        jobs = {part: make_jobs(part, asked.failures, receiver.port) for part in PARTS}
        with running(home, BEAT, SENDER) as pids:
            wait_for_both()
            if "rest" in parts:
                rest(pids, asked.rest)
            for part in PARTS:
                if part.name in parts:
                    tell(part, fail_all(part, jobs[part], receiver))


class Receiver:
    """When each alert was first told of, by the name of its job."""

    def __init__(self) -> None:
        self.port = 0
        self.at: dict[str, datetime] = {}


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            now = datetime.now(UTC)
            for alert in told["syncproject"]["alerts"]:
                receiver.at.setdefault(alert["subject"]["name"], now)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(home: Path, *commands: str) -> Iterator[list[int]]:
    """The processes of the commands, as the one-machine stack runs them; ended by their pids."""
    with (home / "processes.log").open("ab") as log:
        started = [
            subprocess.Popen(  # noqa: S603 — our own programs
                [sys.executable, "-m", *words.split()], stdout=log, stderr=log, env=os.environ
            )
            for words in commands
        ]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def wait_for_both() -> None:
    """Beat has asked the queue whether it is consumed, and the sender has answered."""
    from syncjobs.claims.pulsing import name_answer
    from syncjobs.models import Pulse
    from tasks.queues import ALERTS

    until(lambda: Pulse.objects.filter(part=name_answer(ALERTS)).exists(), "the sender answered")
    time.sleep(SETTLES_S)


def make_jobs(part: Part, count: int, port: int) -> list[SyncJob]:
    """Jobs that fail, in workspaces with a rule and a channel."""
    from alerts.channel_secrets import seal_channel_url
    from alerts.models import AlertChannel, AlertRule
    from connectors.models import Connector
    from tests.rows import make_job, make_workspace

    jobs: list[SyncJob] = []
    for number in range(count):
        workspace = make_workspace(part.name if part.is_shared else f"{part.name}-{number}")
        if not part.is_shared or not number:
            AlertRule.objects.filter(workspace=workspace).delete()
            AlertRule.objects.create(
                workspace=workspace, name="failure", kind="failure", severity=part.severity
            )
            channel = AlertChannel(workspace=workspace, name="ops", most_per_hour=count)
            seal_channel_url(channel, f"json://127.0.0.1:{port}/")
            channel.save()
        connector = Connector.objects.create(
            workspace=workspace, name=f"host-{number}", kind="http", host="127.0.0.1", port=port
        )
        jobs.append(make_job(connector, name=f"{part.name}-{number}"))
    return jobs


def fail_all(part: Part, jobs: Sequence[SyncJob], receiver: Receiver) -> list[Way]:
    """A record of each job fails, one after the other."""
    chance = random.Random(1)  # noqa: S311 — so that a run can be had again
    began = time.perf_counter()
    due_s = 0.0
    for job in jobs:
        due_s += chance.uniform(*part.apart_s)
        time.sleep(max(0.0, began + due_s - time.perf_counter()))
        fail(job)
    until(lambda: receiver.at.keys() >= {job.name for job in jobs}, "all messages arrived")
    return [read_way(job.name, receiver) for job in jobs]


def fail(job: SyncJob) -> None:
    """As an attempt that met an error for good."""
    from syncjobs.claims.claiming import claim
    from syncjobs.core.states import Event
    from syncjobs.models import Trigger
    from syncjobs.queueing.enqueueing import enqueue
    from syncjobs.records.transition import move

    record = enqueue(job, trigger=Trigger.MANUAL)
    if claim(record.pk, "bench") is None:
        raise RuntimeError(f"{job.name} was not claimed")
    move(
        record.pk, Event.FAILED, changes={"error": "it is not there", "error_code": "root_missing"}
    )


def read_way(name: str, receiver: Receiver) -> Way:
    from alerts.models import AlertMessage, Notification
    from events.models import SyncEvent

    failed_at = SyncEvent.objects.get(record__job__name=name, to_state="failed").at
    told = Notification.objects.get(alert__subject_name=name)
    made_at = AlertMessage.objects.get(notifications=told).made_at
    return Way(
        (told.at - failed_at).total_seconds(),
        (made_at - told.at).total_seconds(),
        (receiver.at[name] - made_at).total_seconds(),
    )


def tell(part: Part, ways: Sequence[Way]) -> None:
    say(f"{part.name}, {len(ways)} failures [wanted: {part.goal}]")
    for words, seconds in (
        ("event to message", [way.whole_s for way in ways]),
        ("  until the alert opens", [way.looked_s for way in ways]),
        ("  until the message is made", [way.made_s for way in ways]),
        ("  until it arrives", [way.sent_s for way in ways]),
    ):
        p95 = statistics.quantiles(seconds, n=20)[-1]
        say(f"{words}: p50 {statistics.median(seconds):.2f} s, p95 {p95:.2f} s, most {max(seconds):.2f} s")  # fmt: skip


def rest(pids: Sequence[int], seconds: float) -> None:
    """What waiting for nothing costs."""
    before = {pid: cpu_s(pid) for pid in (*pids, *postgres_pids())}
    time.sleep(seconds)
    spent = [max(0.0, cpu_s(pid) - was) / seconds * 100 for pid, was in before.items()]
    beat, sender, *servers = spent
    say(
        f"at rest: beat {beat:.2f} % of a core, the sender {sender:.2f} %, PostgreSQL {sum(servers):.2f} %"
    )


if __name__ == "__main__":
    main()
