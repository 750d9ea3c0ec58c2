"""One program and the process it runs as: started, watched for readiness, stopped, never orphaned.

A child gets a session of its own, so that Ctrl-C reaches the launcher alone, and a death signal from
the kernel, so that a launcher killed with SIGKILL leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from embedded import logs

PROJECT = Path(__file__).resolve().parent.parent
POLL_S = 0.05
SHOWN_WITHIN_S = 1.0  # what a process that hangs takes to write its stacks

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartStage(IntEnum):
    """The order of stopping is the reverse: who is asked for something outlives who asks."""

    DATABASE = 0
    BROKER = 1
    SAMPLES = 2
    WORKERS = 3
    SURFACES = 4


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. No word of `argv` may be a secret: every user can read it."""

    name: str  # also names the log file
    argv: Sequence[str]
    env: Mapping[str, str]
    stage: StartStage
    is_ready: Callable[[Child], bool]  # cheap: asked several times a second
    log: Path
    user: str | None = None  # None: who runs the launcher
    cwd: Path = PROJECT
    stop: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)  # then SIGKILL
    death_signal: signal.Signals = signal.SIGKILL  # what the kernel sends when the launcher dies
    tells: bool = False  # it writes a row of presence, and is stuck where it does not


@dataclass(slots=True)
class Child:
    """A program's process, over its restarts."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0  # monotonic
    log_offset: int = 0  # where this start's lines begin
    was_ready: bool = False  # since this start
    failures: int = 0  # deaths in a row, each before it had run for long
    restart_at: float | None = None
    kill_at: float | None = None  # of one that hangs
    _stops: list[tuple[signal.Signals, float]] = field(default_factory=list)
    _kill_at: float = 0.0

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def start(self) -> None:
        """Must be called by a thread that lives as long as the child should (prctl's rule)."""
        logs.trim(self.program.log)
        self.log_offset = logs.measure_log(self.program.log)
        self.started_at = time.monotonic()
        self.was_ready = False
        self.restart_at = self.kill_at = None
        output = logs.open_log(self.program.log)
        try:
            self.process = spawn(
                self.program.argv,
                env=self.program.env,
                cwd=self.program.cwd,
                stdout=output,
                stderr=output,
                user=self.program.user,
                death_signal=self.program.death_signal,
            )
        finally:
            os.close(output)

    def is_alive(self) -> bool:
        if self.process is None:
            return False
        if self.process.returncode is None and _is_zombie(self.process.pid):
            kill_group(self.process.pid)  # before reaping: until then nobody else gets the number
        return self.process.poll() is None

    def is_ready(self) -> bool:
        if not self.was_ready and self.is_alive() and self.program.is_ready(self):
            self.was_ready = True
        return self.was_ready and self.is_alive()

    def logged(self) -> str:
        """What this start has written so far."""
        return logs.read_since(self.program.log, self.log_offset)

    def ending(self) -> str:
        """How the process ended, in words."""
        status = self.process.poll() if self.process else None
        if status is None:
            return "is running"
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def ask_to_stop(self) -> None:
        """Sends the first stop signal; `is_stopped` sends the later ones in their time."""
        self._stops = [*self.program.stop, (signal.SIGKILL, 60.0)]
        self._kill_at = 0.0

    def is_stopped(self) -> bool:
        """True when the process and what it left of its process group are gone."""
        if self.process is None or not self.is_alive():
            return True
        if self._stops and time.monotonic() >= self._kill_at:
            signal_number, patience_s = self._stops.pop(0)
            self._kill_at = time.monotonic() + patience_s
            self.process.send_signal(signal_number)
        return False

    def end_hung(self) -> None:
        """What hangs first writes to its log where; it and what it started are killed at `kill_at`."""
        ask_where_it_hangs(self.pid)
        self.kill_at = time.monotonic() + SHOWN_WITHIN_S

    def stop(self) -> None:
        """Stops the process and waits for its end."""
        self.ask_to_stop()
        while not self.is_stopped():
            time.sleep(POLL_S)

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Raises TimeoutError, with the log's end, when it died or took too long."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if not self.is_alive() or time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} {self.ending()}\n{logs.tail(self.program.log)}")
            time.sleep(POLL_S)


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path = PROJECT,
    stdout: int | None = None,
    stderr: int | None = None,
    user: str | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """A process in its own session, under `user` (needs root), tied to the calling thread's life."""
    identity: dict[str, Any] = {}
    if user is not None:
        entry = pwd.getpwnam(user)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return subprocess.Popen(
        argv,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        # Runs after setuid, which would clear the death signal.
        preexec_fn=_tie(os.getpid(), death_signal),
        **identity,
    )


def set_death_signal(number: signal.Signals) -> None:
    """What the kernel sends the calling process when the thread that started it ends."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def ask_where_it_hangs(pid: int) -> None:
    """Returns those of the session that have nothing to say of it end by this signal."""
    _signal_group(pid, signal.SIGRTMIN)


def kill_group(pid: int) -> None:
    """Ends what a dead group leader left behind: pools, shells, transfers."""
    _signal_group(pid, signal.SIGKILL)


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left in it


def _is_zombie(pid: int) -> bool:
    if sys.platform != "linux":
        return False
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _tie(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    def tie() -> None:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)  # `make up &` in a script ignores SIGINT
        set_death_signal(death_signal)
        if os.getppid() != parent:
            os._exit(1)  # the launcher died before the kernel knew of the tie

    return tie
