"""The supervisor of the one-machine stack: starts children in order, restarts them, stops them in order.

A thread-free loop on short waits. Signals only leave a note, which the loop turns into StopAsked: a
second Ctrl-C is as harmless as the first. A child that dies three times before it was ever ready ends
the stack; one that dies later comes back after 0.5, 1, 2 ... 30 s, and so does one that is stuck as a
whole, which a watchdog finds. (supervisor does not wait for
readiness, honcho signals all at once; neither ties children to its own sudden end.)
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from embedded import logs
from embedded.child import POLL_S, Child, Program, StartStage, kill_group, spawn
from embedded.errors import ChildFailed, StopAsked
from embedded.watchdog import Watchdog

TRIES = 3
READY_WITHIN_S = 300.0  # a busy small machine takes two minutes
_TELL_AFTER_S = 20.0
_STEADY_S = 60.0  # a child that ran so long has shown that it can
_TRIM_EVERY_S = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Launcher:
    """A context: leaving it, however, stops every child."""

    def __init__(
        self, say: Callable[[str], None], is_told_to_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._say = say
        self._is_told_to_stop = is_told_to_stop  # asked at every turn, beside the signals
        self._children: list[Child] = []
        self._was_up: set[str] = set()
        self._asked: signal.Signals | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._trim_at = 0.0
        self._watchdog: Watchdog | None = None

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if number is signal.SIGHUP and before is signal.SIG_IGN:
                continue  # under nohup
            self._handlers[number] = before
            signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_all()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def children(self) -> Sequence[Child]:
        return tuple(self._children)

    def start(self, programs: Sequence[Program], timeout_s: float = READY_WITHIN_S) -> None:
        """Starts all at once and returns when all are ready.

        Raises ChildFailed when one will not start, StopAsked when told to stop meanwhile.
        """
        fresh = [Child(program) for program in programs]
        for child in fresh:
            self._children.append(child)
            child.start()
        began, told = time.monotonic(), False
        while late := [child for child in fresh if not child.is_ready()]:
            self._tick()
            waited_s = time.monotonic() - began
            if waited_s > timeout_s:
                raise self._failed(late[0], f"was not ready within {timeout_s:.0f} s")
            if waited_s > _TELL_AFTER_S and not told:
                told = True
                names = ", ".join(child.name for child in late)
                self._say(f"waiting for {names} (up to {timeout_s:.0f} s)")
            time.sleep(POLL_S)
        self._was_up.update(child.name for child in fresh)

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> int:
        """Runs a command to its end while the children are looked after; its exit status.

        Raises StopAsked after ending the command.
        """
        process = spawn(argv, env=env, stdout=stdout, stderr=stderr)
        try:
            while process.poll() is None:
                self._tick()
                time.sleep(POLL_S)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        return process.returncode

    def end_silent(self, watchdog: Watchdog) -> None:
        """From now on, children that do not tell of themselves are ended, and start again."""
        self._watchdog = watchdog

    def watch(self) -> None:
        """Looks after the children until StopAsked."""
        while True:
            self._tick()
            time.sleep(POLL_S)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = signal.Signals(number)

    def _tick(self) -> None:
        if self._asked is not None:
            raise StopAsked(self._asked.name)
        if self._is_told_to_stop():
            raise StopAsked("told from outside")
        now = time.monotonic()
        for child in self._children:
            if child.restart_at is not None:
                if now >= child.restart_at:
                    child.start()
            elif not child.is_alive():
                self._plan_restart(child, now)
            else:
                child.is_ready()
                self._end_if_silent(child, now)
        if self._watchdog is not None:
            self._watchdog.turn()
        if now >= self._trim_at:
            self._trim_at = now + _TRIM_EVERY_S
            for child in self._children:
                logs.trim(child.program.log)

    def _end_if_silent(self, child: Child, now: float) -> None:
        if child.kill_at is not None:
            if now >= child.kill_at:
                kill_group(child.pid)
        elif self._watchdog is not None and child.program.tells:
            silence_s = self._watchdog.silence_s(child.pid, child.started_at)
            if silence_s is not None:
                self._say(f"{child.name} is stuck, silent for {silence_s:.0f} s: ending it")
                child.end_hung()

    def _plan_restart(self, child: Child, now: float) -> None:
        if child.was_ready and now - child.started_at > _STEADY_S:
            child.failures = 0
        child.failures += 1
        if child.failures >= TRIES and child.name not in self._was_up:
            raise self._failed(child, f"{child.ending()}, {TRIES} times in a row")
        delay_s = min(0.5 * 2 ** (child.failures - 1), 30.0)
        child.restart_at = now + delay_s
        self._say(f"{child.name} {child.ending()}: starting it again in {delay_s:g} s")

    def _failed(self, child: Child, reason: str) -> ChildFailed:
        return ChildFailed(child.name, reason, logs.tail(child.program.log))

    def _stop_all(self) -> None:
        for stage in sorted(StartStage, reverse=True):
            waiting = [child for child in self._children if child.program.stage is stage]
            for child in waiting:
                child.ask_to_stop()
            while waiting := [child for child in waiting if not child.is_stopped()]:
                time.sleep(POLL_S)
        self._children.clear()
