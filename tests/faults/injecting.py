"""A planned fault happens, and, where it lasts, is taken back."""

from __future__ import annotations

import math
import shutil
import signal
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.plans import Fault, Kind
from tests.faults.processes import Process
from tests.faults.stand import CLIMATE, Stand
from tests.proxy import Weather

_PATIENCE_S = 12.0  # that a process may take to come to a point
_ACTIONS = {Kind.KILL_AT: "kill", Kind.STOP_AT: "stop", Kind.CRASH_AT: "crash"}

Undo = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A person asked for the end of a record, at that time by this machine's clock."""

    record_id: uuid.UUID
    at: float


@dataclass(slots=True)
class Injector:
    """`later` runs something so many seconds from now; what is still to come at the end is run then."""

    stand: Stand
    later: Callable[[float, Undo], None]
    cancelled: list[Cancelled] = field(default_factory=list)
    # When the database or the broker was away, or every session was cut: (from, until), wall clock.
    outages: list[tuple[float, float]] = field(default_factory=list)
    _down: set[str] = field(default_factory=set)

    def inject(self, fault: Fault) -> str:
        """What came of it, in words."""
        if fault.kind in self.stand.lacks:
            return f"not here: {self.stand.lacks[fault.kind]}"
        if fault.kind.value.startswith("host_"):
            return self._hurt_host(fault)
        act: Callable[[Fault], str] = getattr(self, f"_{fault.kind.value}")
        return act(fault)

    def _choose(self, kind: str, target: int) -> Process | None:
        """One that works: neither stopped nor on its way out."""
        working = [
            process
            for process in self.stand.processes.slots[kind]
            if process.is_alive() and process.is_ready() and not process.stopped
        ]
        working = [process for process in working if not process.dying]
        return working[target % len(working)] if working else None

    def _kill_worker(self, fault: Fault) -> str:
        process = self._choose("worker", fault.target)
        if process is None:
            return "no worker to kill"
        self.stand.processes.kill(process)
        self.later(fault.lasts_s, lambda: self.stand.start_worker_in_place_of(process))
        return f"killed {process.name}"

    def _kill_beat(self, fault: Fault) -> str:
        process = self._choose("beat", fault.target)
        if process is None:
            return "no beat to kill"
        self.stand.processes.kill(process)
        self.later(fault.lasts_s, lambda: self.stand.processes.replace(process))
        return f"killed {process.name}"

    def _kill_index(self, fault: Fault) -> str:
        process = self._choose("index", fault.target)
        if process is None:
            return "no index process to kill"
        self.stand.processes.kill(process)
        self.later(fault.lasts_s, lambda: self.stand.processes.replace(process))
        return f"killed {process.name}"

    def _drain_worker(self, fault: Fault) -> str:
        process = self._choose("worker", fault.target)
        if process is None:
            return "no worker to drain"
        process.drain("SIGTERM")
        self.stand.processes.note_hurt(process, time.time(), math.inf)
        self.stand.start_worker_in_place_of(process)
        return f"draining {process.name}"

    def _stop_worker(self, fault: Fault) -> str:
        return self._stop("worker", fault)

    def _stop_beat(self, fault: Fault) -> str:
        return self._stop("beat", fault)

    def _stop_index(self, fault: Fault) -> str:
        return self._stop("index", fault)

    def _stop(self, kind: str, fault: Fault) -> str:
        process = self._choose(kind, fault.target)
        if process is None:
            return f"no {kind} to stop"
        process.stopped = True
        process.send(signal.SIGSTOP)
        began = time.time()
        self.later(fault.lasts_s, lambda: self._continue(process, began))
        return f"stopped {process.name} for {fault.lasts_s:.1f} s"

    def _kill_at(self, fault: Fault) -> str:
        return self._arm(fault)

    def _stop_at(self, fault: Fault) -> str:
        return self._arm(fault)

    def _crash_at(self, fault: Fault) -> str:
        return self._arm(fault)

    def _arm(self, fault: Fault) -> str:
        process = self._choose("worker", fault.target)
        if process is None or process.arm is not None:
            return "no worker to arm"
        arm = self.stand.arms / process.name
        aside = arm.with_suffix(".new")
        aside.write_text(f"{fault.point} {_ACTIONS[fault.kind]}", encoding="ascii")
        aside.rename(arm)
        process.arm = arm
        self._watch_arm(fault, process, arm, time.monotonic() + _PATIENCE_S)
        return f"armed {process.name} to {_ACTIONS[fault.kind]} at {fault.point}"

    def _watch_arm(self, fault: Fault, process: Process, arm: Path, until: float) -> None:
        """Waits until the point was reached, or disarms."""
        dies = fault.kind is not Kind.STOP_AT
        waiting = arm.exists() or dies  # who is to die has come to the point, and is about to
        if waiting and process.is_alive() and time.monotonic() < until:
            self.later(0.1, lambda: self._watch_arm(fault, process, arm, until))
            return
        if dies and not process.is_alive():
            self.stand.processes.note_hurt(process, time.time() - 1, math.inf)
            self.later(fault.lasts_s, lambda: self.stand.start_worker_in_place_of(process))
        elif not dies:
            # Between the arm's end and the signal lie microseconds of the process's own.
            self.later(0.2, lambda: self._wake(fault, process))
        arm.unlink(missing_ok=True)
        if process.is_alive():
            process.arm = None

    def _wake(self, fault: Fault, process: Process) -> None:
        if process.is_stopped():
            process.stopped = True
            began = time.time() - 1
            self.later(fault.lasts_s, lambda: self._continue(process, began))

    def _continue(self, process: Process, began: float) -> None:
        process.send(signal.SIGCONT)
        process.stopped = False
        self.stand.processes.note_hurt(process, began, time.time())

    def _flush_broker(self, fault: Fault) -> str:
        import redis

        try:
            with redis.Redis.from_url(self.stand.servers.redis_url, socket_timeout=3) as client:
                client.flushall()
        except redis.RedisError:
            return "the broker is away"
        return "flushed the broker"

    def _kill_broker(self, fault: Fault) -> str:
        child = self.stand.servers.valkey
        if "valkey" in self._down or child.process is None:
            return "the broker is away already"
        self._down.add("valkey")
        child.process.kill()
        child.process.wait(90)
        began = time.time()

        def bring_back() -> None:
            shutil.rmtree(self.stand.servers.data_dir / "valkey" / "appendonlydir")
            child.start()
            child.wait_until_ready()
            self._down.discard("valkey")
            self.outages.append((began, time.time()))

        self.later(fault.lasts_s, bring_back)
        return f"killed the broker, back empty in {fault.lasts_s:.1f} s"

    def _restart_database(self, fault: Fault) -> str:
        child = self.stand.servers.postgres
        if "postgres" in self._down or child.process is None:
            return "the database is away already"
        self._down.add("postgres")
        began = time.time()
        child.process.send_signal(signal.SIGQUIT)  # `immediate`: no checkpoint, no goodbye
        child.process.wait(90)

        def bring_back() -> None:
            child.start()
            child.wait_until_ready()
            self._down.discard("postgres")
            self.outages.append((began, time.time()))

        self.later(fault.lasts_s, bring_back)
        return f"ended the database at once, back in {fault.lasts_s:.1f} s"

    def _cut_sessions(self, fault: Fault) -> str:
        rows = self.stand.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename LIKE 'worker%' OR usename LIKE 'beat%'"
        )
        if rows is None:
            return "the database is away"
        self.outages.append((time.time(), time.time()))
        return f"cut {len(rows)} sessions"

    def _fill_disk(self, fault: Fault) -> str:
        filler = self.stand.store / "filler"
        if filler.exists():
            return "the disk is full already"
        try:
            with filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 20))
        except OSError:
            pass  # there is no space any more: what was wanted
        self.later(fault.lasts_s, lambda: filler.unlink(missing_ok=True))
        return f"filled the disk for {fault.lasts_s:.1f} s"

    def _jump_clock(self, fault: Fault) -> str:
        clock = self.stand.clock
        if clock is None:
            return "no clock to move"
        _set_clock(clock, fault.amount)
        self.later(fault.lasts_s, lambda: _set_clock(clock, 0))
        return f"moved a worker's clock by {fault.amount} s"

    def _cancel(self, fault: Fault) -> str:
        from django.db import Error, connection

        from syncjobs.records.asking import cancel

        rows = self.stand.query(
            "SELECT id FROM syncjobs_syncrecord WHERE state IN ('queued', 'running', 'held')"
            " ORDER BY state = 'running' DESC, id LIMIT 6"
        )
        if not rows:
            return "nothing to cancel"
        record_id = rows[fault.target % len(rows)][0]
        at = time.time()
        connection.close()  # it may be of a database that was restarted
        try:
            asked = cancel(record_id, by="a person")
        except Error:
            return "the database is away"
        if asked:
            self.cancelled.append(Cancelled(record_id, at))
        return f"cancelled {record_id}" if asked else "it had ended already"

    def _hurt_host(self, fault: Fault) -> str:
        proxy = self.stand.proxies[fault.target % len(self.stand.proxies)]
        if fault.kind is Kind.HOST_CUT:
            proxy.cut()
            return f"cut every connection of host {fault.target}"
        weather = {
            Kind.HOST_CUTS: Weather(cut_after_bytes=fault.amount),
            Kind.HOST_STALLS: Weather(stalled=True),
            Kind.HOST_DEAF: Weather(deaf=True),
            Kind.HOST_SLOW: Weather(bytes_per_s=fault.amount),
            Kind.HOST_FAR: Weather(delay_s=fault.amount / 1000),
            Kind.HOST_REFUSES: Weather(refusing=True),
        }[fault.kind]
        proxy.weather = weather

        def clear_up() -> None:
            if proxy.weather is weather:
                proxy.weather = CLIMATE

        self.later(fault.lasts_s, clear_up)
        return f"host {fault.target}: {fault.kind.value} for {fault.lasts_s:.1f} s"


def _set_clock(clock: Path, offset_s: int) -> None:
    with clock.open("r+b", buffering=0) as file:  # in place: it is mapped
        file.write(struct.pack("q", offset_s))
