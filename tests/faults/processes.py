"""The product's processes in a run: started, hurt, replaced, and ended by their ids in every case."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from embedded import logs
from embedded.child import PROJECT, kill_group, spawn
from tasks.queues import CONSUMED, CONSUMED_BESIDE, INDEX_THREADS

DRAIN_S = 40.0  # a drained process is gone after that

_ARGUMENTS = {
    "worker": f"worker -P threads -c {{threads}} -Q {CONSUMED} --without-gossip --without-mingle"
    " --loglevel INFO -n {name}@%h",
    "index": f"worker -P threads -c {INDEX_THREADS} -Q {CONSUMED_BESIDE} --without-gossip --without-mingle"
    " --loglevel INFO -n {name}@%h",
    "beat": "beat --scheduler tasks.beat:SyncScheduler --pidfile= --loglevel INFO",
}
_READY = {"worker": " ready.", "index": " ready.", "beat": "beat: Starting"}


@dataclass(slots=True)
class Process:
    """`name` is its role in the database too: no two processes of a run share one."""

    name: str
    kind: str
    popen: subprocess.Popen[bytes]
    log: Path
    dying: str = ""  # why its end is no surprise
    stopped: bool = False
    drain_until: float | None = None  # monotonic
    was_ready: bool = False
    arm: Path | None = None  # gone when the process came to the point where it is to die

    @property
    def pid(self) -> int:
        return self.popen.pid

    def is_alive(self) -> bool:
        return self.popen.poll() is None

    def is_ready(self) -> bool:
        if not self.was_ready:
            self.was_ready = _READY[self.kind] in self.log.read_text(errors="replace")
        return self.was_ready

    def is_stopped(self) -> bool:
        """Whether the kernel has it stopped, whoever asked for that."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False

    def send(self, number: signal.Signals) -> None:
        if self.is_alive():
            self.popen.send_signal(number)

    def kill(self, why: str) -> None:
        self.dying = why
        self.send(signal.SIGKILL)

    def drain(self, why: str) -> None:
        self.dying = why
        self.drain_until = time.monotonic() + DRAIN_S
        self.send(signal.SIGTERM)

    def end(self) -> None:
        if self.is_alive():
            self.popen.kill()  # a stopped process dies of it too
        self.popen.wait(90)
        kill_group(self.pid)


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended without having been asked to, or that did not end when asked."""

    process: str
    how: str
    log_tail: str


class Processes:
    """`worker_app` and `beat_app` are what Celery is started with, `password` that of every role."""

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        logs_folder: Path,
        worker_app: str,
        beat_app: str,
        password: str,
        threads: int,
    ) -> None:
        self._environment = environment
        self._logs = logs_folder
        self._apps = {"worker": worker_app, "index": "syncproject", "beat": beat_app}
        self._password = password
        self._threads = threads
        self._started = 0
        self.slots: dict[str, list[Process]] = {kind: [] for kind in self._apps}
        self.deaths: list[Death] = []
        self.killed: list[tuple[str, float]] = []  # by SIGKILL, and when, by this machine's clock
        self.hurt: list[tuple[str, float, float]] = []  # from when to when one could not work
        self._leaving: list[Process] = []  # replaced, and not yet gone

    @property
    def workers(self) -> list[Process]:
        return self.slots["worker"]

    @property
    def working(self) -> list[Process]:
        """Those that are to run now, of every kind."""
        return [process for slots in self.slots.values() for process in slots]

    @property
    def all(self) -> list[Process]:
        return [*self.working, *self._leaving]

    def start(self, kind: str, extra: Mapping[str, str] | None = None) -> Process:
        self._started += 1
        name = f"{kind}_{self._started}"
        url = urlsplit(self._environment["DATABASE_URL"])
        place = url.netloc.rpartition("@")[2]
        log = self._logs / f"{name}.log"
        output = logs.open_log(log)
        try:
            popen = spawn(
                [
                    *(sys.executable, "-m", "celery", "-A", self._apps[kind]),
                    *_ARGUMENTS[kind].format(name=name, threads=self._threads).split(),
                ],
                env={
                    **self._environment,
                    **(extra or {}),
                    "DATABASE_URL": url._replace(
                        netloc=f"{name}:{quote(self._password)}@{place}"
                    ).geturl(),
                    "PGAPPNAME": name,
                    "FAULTS_PROCESS": name,
                },
                cwd=PROJECT,
                stdout=output,
                stderr=output,
            )
        finally:
            os.close(output)
        return Process(name, kind, popen, log)

    def add(self, kind: str, extra: Mapping[str, str] | None = None) -> Process:
        process = self.start(kind, extra)
        self.slots[kind].append(process)
        return process

    def replace(self, process: Process, extra: Mapping[str, str] | None = None) -> None:
        """Another takes its place; a drained one may still be on its way out."""
        slots = self.slots[process.kind]
        if process in slots:
            slots[slots.index(process)] = self.start(process.kind, extra)
            self._leaving.append(process)

    def kill(self, process: Process) -> None:
        process.kill("SIGKILL")
        self.killed.append((process.name, time.time()))
        self.note_hurt(process, time.time(), math.inf)

    def note_hurt(self, process: Process, begin: float, until: float) -> None:
        self.hurt.append((process.name, begin, until))

    def look(self) -> list[Process]:
        """Notes what died by itself or will not go; those in their slots that are dead."""
        for process in self.all:
            reached = process.arm is not None and not process.arm.exists()
            if reached and process.popen.poll() == -signal.SIGKILL:
                process.dying = process.dying or "at a point"
            if not process.is_alive() and not process.dying:
                self._note(process, f"ended with status {process.popen.returncode}")
            late = process.drain_until is not None and time.monotonic() > process.drain_until
            if late and process.is_alive() and not process.stopped:
                self._note(process, f"was asked to end and had not after {DRAIN_S:.0f} s")
                process.kill("it would not end")
        self._leaving = [process for process in self._leaving if process.is_alive()]
        return [process for process in self.working if not process.is_alive()]

    def _note(self, process: Process, how: str) -> None:
        process.dying = process.dying or how
        process.drain_until = None
        self.deaths.append(Death(process.name, how, logs.tail(process.log, lines=5)))

    def end_all(self) -> None:
        for process in self.all:
            process.end()
