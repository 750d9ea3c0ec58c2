"""One seeded run: senders, workers, a beat, the client system and both servers, hurt as the seed says."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from embedded.ports import find_free
from tests import servers
from tests.answering import ROOT
from tests.outbox.kills import points
from tests.outbox.kills.checking import Sender
from tests.processes.forks import Fork, Forks, forking
from tests.waiting import until

KEY = "client-key-0123456789"
QUIET_S = 180.0  # after the last fault, until nothing waits; and more for what is left by then
DRAINED_A_S = 1500  # readings, at least, on a busy machine
STEP_S = 0.9  # between faults, about
WORKER = "celery -A {app} worker -P threads -c 6 -Q {queues} --without-gossip --without-mingle --loglevel INFO -n {name}@%h"
BEAT = "celery -A syncproject beat --scheduler tasks.beat:SyncScheduler --pidfile= --loglevel INFO"
MOODS: tuple[dict[str, Any], ...] = (
    {"silent": True, "times": 1},
    {"cut": True, "times": 2},
    {"body": "<html>all is well</html>", "times": 1},
    {"status": 503, "retry_after": 1, "times": 2},
    {"status": 429, "retry_after": 1, "times": 1},
    {"status": 409, "times": 1},
    {"status": 400, "times": 3},
    {"status": 401, "times": 1},
    {"max_bytes": "some", "times": 3},
    {"slow_s": 1, "times": 2},
)


@dataclass(frozen=True, slots=True)
class KillPlan:
    seed: int
    readings: int
    kills: int
    mutant: str = ""

    @property
    def bulk(self) -> int:
        return max(20, min(1000, self.readings // (self.kills * 10)))

    @property
    def batch_size(self) -> int:
        return max(25, min(1000, self.bulk))


@dataclass
class One:
    """A process of the run; another takes its place when it dies."""

    role: str
    words: list[str]
    name: str
    fork: Fork
    armed: str = ""


@dataclass
class Stand:
    plan: KillPlan
    home: Path
    servers: servers.Servers
    forks: Forks
    port: int
    streams: list[Any]
    senders: list[Sender]
    processes: list[One] = field(default_factory=list)
    receiver: subprocess.Popen[bytes] | None = None
    kills: Counter[str] = field(default_factory=Counter)
    started: int = 0

    @property
    def taken(self) -> Path:
        return self.home / "taken.jsonl"

    @property
    def tries(self) -> Path:
        return self.home / "tries.jsonl"

    def start(self, role: str, words: list[str]) -> One:
        self.started += 1
        name = f"{role}-{self.started}"
        words = [word.format(name=name) for word in words]
        log = self.home / f"{name}.log"
        environment = {**os.environ, "KILLS_PROCESS": name}
        environment["KILLS_MUTANT"] = self.plan.mutant if role == "worker" else ""
        one = One(role, words, name, self.forks.start(words, environment, out=log, err=log))
        self.processes.append(one)
        return one

    def start_receiver(self) -> None:
        words = [
            sys.executable, "-m", "embedded.samples.client_system", "--port", str(self.port),
            "--log", str(self.taken), "--tries", str(self.tries), "--key", KEY,
        ]  # fmt: skip
        with (self.home / "receiver.log").open("ab") as log:
            self.receiver = subprocess.Popen(
                words, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def control(self, **mood: Any) -> None:
        url = f"http://127.0.0.1:{self.port}/control"
        try:
            urllib.request.urlopen(url, json.dumps(mood).encode(), timeout=5).close()
        except OSError:
            pass  # it is being started

    def end(self) -> None:
        for one in self.processes:
            if one.fork.poll() is None:
                one.fork.kill()
                one.fork.wait(10)
        if self.receiver is not None:
            self.receiver.kill()
            self.receiver.wait()


@contextmanager
def standing(plan: KillPlan) -> Iterator[Stand]:
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="syncproject-kills-"))
        home.chmod(0o711)
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        started = servers.start()
        stack.callback(started.stop)
        _become_the_product(started, home)
        port = find_free()
        streams = _make_streams(plan, port)
        forks = stack.enter_context(forking(home / "forks.log"))
        senders = [Sender(f"s{number}", home / f"s{number}.acks") for number in range(3)]
        stand = Stand(plan, home, started, forks, port, streams, senders)
        stack.callback(stand.end)
        yield stand


def _become_the_product(started: servers.Servers, home: Path) -> None:
    servers.publish(started)
    (home / "arms").mkdir()
    os.environ.update(
        DJANGO_SETTINGS_MODULE="syncproject.settings",
        PYTHONUNBUFFERED="1",
        KILLS_ARMS=str(home / "arms"),
        SYNC_LEASE_SECONDS="3",
        SYNC_HEARTBEAT_INTERVAL_SECONDS="1",
        CONNECTIVITY_CHECK_INTERVAL_MS="1000",
    )
    import logging

    import django
    from django.core.management import call_command

    django.setup()
    logging.disable(logging.CRITICAL)
    from cli.chores import plan_chores

    call_command("migrate", verbosity=0)
    plan_chores()


def _make_streams(plan: KillPlan, port: int) -> list[Any]:
    from connectors.secrets import seal
    from tests.outbox.rows import make_client, make_stream

    client = make_client(port=port, options={"tls": False, "timeout_s": 5, "max_tries": 20})
    seal(client, {"token": KEY})
    client.save()
    return [
        make_stream(
            client, name=f"stream-{number}", batch_size=plan.batch_size, sync_interval_s=2, heartbeat_interval_s=5,
            configuration_interval_s=0,
        )
        for number in range(2)
    ]  # fmt: skip


class Runner:
    def __init__(self, stand: Stand, say: Callable[[str], None]) -> None:
        self.stand = stand
        self._say = say
        self._random = random.Random(stand.plan.seed)  # noqa: S311 — to be played again

    def run(self) -> None:
        stand = self.stand
        stand.start_receiver()
        self._start_processes()
        faults = 0
        while stand.kills.total() < stand.plan.kills:
            self._hurt()
            faults += 1
            ends_at = time.monotonic() + STEP_S * (0.5 + self._random.random())
            while time.monotonic() < ends_at:
                self._look()
                time.sleep(0.05)
            if faults % 20 == 0:
                self._say(f"{stand.kills.total()} kills of {stand.plan.kills}, {faults} faults")
        self._heal()

    def _start_processes(self) -> None:
        from tasks.queues import CONSUMED

        stand, plan = self.stand, self.stand.plan
        worker = WORKER.replace("{app}", "tests.outbox.kills.failpoints").replace("{queues}", CONSUMED)  # fmt: skip
        for _ in range(2):
            stand.start("worker", worker.split())
        stand.start("beat", BEAT.split())
        stand.start("turner", ["python", "tests.outbox.kills.turner", "2"])
        share = plan.readings // len(stand.senders)
        pause_s = plan.kills * STEP_S / (share / (plan.bulk / 2)) / 1.5
        for number, sender in enumerate(stand.senders):
            stream = stand.streams[number % 2].pk
            words = [stream, sender.prefix, sender.log, share, plan.bulk, round(pause_s, 3)]
            stand.start("sender", ["python", "tests.outbox.kills.sender", *map(str, words)])

    def _hurt(self) -> None:
        if self.stand.plan.mutant:
            self._arm("worker", ["mark.after" if self.stand.plan.mutant == "mark_first" else "send.after"])  # fmt: skip
            self.stand.control(**{"silent": True, "times": 1})
            return
        self._random.choices(
            [
                lambda: self._arm("worker", points.DELIVERY),
                lambda: self._arm("sender", points.INTAKE),
                lambda: self._arm("turner", points.ROTATION),
                lambda: self._kill(self._random.choice(("worker", "sender", "beat", "turner"))),
                self._kill_receiver,
                self._misbehave,
                self._restart_database,
                self._forget_messages,
            ],
            weights=[9, 5, 2, 4, 3, 6, 1, 1],
        )[0]()

    def _alive(self, role: str) -> list[One]:
        return [one for one in self.stand.processes if one.role == role and one.fork.poll() is None]

    def _arm(self, role: str, names: tuple[str, ...] | list[str]) -> None:
        if alive := [one for one in self._alive(role) if not one.armed]:
            one = self._random.choice(alive)
            one.armed = self._random.choice(names)
            aside = self.stand.home / "arms" / f".{one.name}"
            aside.write_text(one.armed, encoding="ascii")
            aside.rename(self.stand.home / "arms" / one.name)

    def _kill(self, role: str) -> None:
        if alive := self._alive(role):
            one = self._random.choice(alive)
            one.armed = ""
            one.fork.kill()

    def _kill_receiver(self) -> None:
        receiver = self.stand.receiver
        assert receiver is not None
        receiver.kill()
        receiver.wait()
        self.stand.kills["client system"] += 1
        if self._random.random() < 0.3:
            time.sleep(2.5)  # long enough to be missed
        self.stand.start_receiver()

    def _misbehave(self) -> None:
        mood = dict(self._random.choice(MOODS))
        if (
            "max_bytes" in mood
        ):  # two thirds of a batch: what is learned then fits, for the rest of the run
            mood["max_bytes"] = 60 * self.stand.plan.batch_size
        self.stand.control(**mood)

    def _restart_database(self) -> None:
        how = self._random.choice((signal.SIGINT, signal.SIGQUIT))
        child = self.stand.servers.postgres
        assert child.process is not None
        child.process.send_signal(how)
        child.process.wait(90)
        child.start()
        child.wait_until_ready()
        self.stand.kills["PostgreSQL, fast" if how == signal.SIGINT else "PostgreSQL, immediate"] += 1  # fmt: skip

    def _forget_messages(self) -> None:
        client = redis.Redis.from_url(self.stand.servers.redis_url)
        client.flushall()
        client.close()
        self.stand.kills["FLUSHALL"] += 1

    def _look(self) -> None:
        """Another takes the place of what died; a person starts what was paused."""
        stand = self.stand
        for one in list(stand.processes):
            if (status := one.fork.poll()) is None:
                continue
            stand.processes.remove(one)
            if one.role == "sender" and status == 0:
                continue  # it has sent all that it had
            if status == -signal.SIGKILL:
                stand.kills[one.armed or f"{one.role}, anywhere"] += 1
            else:
                self._say(f"{one.name} ended with {status}")
            words = [word.replace(one.name, "{name}") for word in one.words]
            stand.start(one.role, words)
        self._start_paused()

    def _start_paused(self) -> None:
        from django.db import Error as DatabaseError
        from django.db import connection

        from outbox.models import Stream
        from outbox.streams import start_stream

        try:
            for stream in Stream.objects.filter(state="paused"):
                start_stream(stream)
        except DatabaseError:
            connection.close()

    def _heal(self) -> None:
        stand = self.stand
        for arm in (stand.home / "arms").iterdir():
            arm.unlink(missing_ok=True)
        for one in stand.processes:
            one.armed = ""
        stand.control()
        within_s = QUIET_S + stand.plan.readings / DRAINED_A_S
        until(self._is_done, "the queues are not empty", within_s=within_s)

    def _is_done(self) -> bool:
        from django.db import Error as DatabaseError
        from django.db import connection

        from outbox.figures import read_statuses

        self._look()
        if self._alive("sender"):
            return False
        try:
            return all(not status.queue_size for status in read_statuses(self.stand.streams))
        except DatabaseError:
            connection.close()
            return False
