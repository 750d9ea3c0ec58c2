"""The product's processes, forked from one that has imported everything: a start costs a tenth of a fresh one.

`python -m tests.processes.forks` imports what workers, beats and commands import, opens nothing and starts no
thread. For each order it forks a process, which takes its own environment, reads the settings from it, and runs
the words that a shell would run: `celery ...`, `manage.py ...`, or a module after `python`. It has a session, a log and a pid of its own, and
signals, limits and kills meet it as they meet any other.
"""

from __future__ import annotations

import gc
import importlib
import os
import runpy
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.answering import Ask, answering, serve
from tests.waiting import until


class Fork:
    """A process that was forked; the part of `subprocess.Popen` that tests use."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self._forks = forks
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._forks.ask({"ended": self.pid})
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Its exit status; fails the test where it has not ended by then."""
        until(lambda: self.poll() is not None, f"process {self.pid} did not end", within_s=timeout)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    def __init__(self, ask: Ask) -> None:
        self.ask = ask

    def start(
        self, words: Sequence[str], environment: Mapping[str, str], *, out: Path, err: Path
    ) -> Fork:
        for path in (out, err):
            path.touch()
        order = {"words": words, "environment": environment, "out": str(out), "err": str(err)}
        return Fork(self, self.ask(order))


@contextmanager
def forking(log: Path) -> Iterator[Forks]:
    with answering("tests.processes.forks", log) as ask:
        yield Forks(ask)


def answer(order: dict[str, Any]) -> int | None:
    return _find_end(order["ended"]) if "ended" in order else _fork(order)


def _import_everything() -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "syncproject.settings"
    django.setup()
    from syncproject.celery import app

    app.loader.import_default_modules()
    for name in (
        "celery.apps.beat",
        "celery.apps.worker",
        "celery.bin.celery",
        "celery.concurrency.thread",
        "celery.worker.consumer",
        "cli.management.commands.process_due",
        "django.core.management.commands.check",
        "farends.sftp.transport",
        "tasks.beat",
        "tasks.transport",
    ):
        importlib.import_module(name)
    gc.freeze()  # what is here already is not copied because its counters change


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        _become(order["words"], order["environment"], order["out"], order["err"])
        sys.exit(0)  # what was registered for the end runs, and threads are waited for
    return pid


def _become(words: list[str], environment: dict[str, str], out: str, err: str) -> None:
    """Runs the words, as a fresh interpreter would."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.dup2(os.open(out, flags), 1)
    os.dup2(os.open(err, flags), 2)
    os.environ.clear()
    os.environ.update(environment, CELERY_SKIP_CHECKS="1")  # as `syncproject.celery` does
    _read_settings()
    sys.argv = words
    if words[0] == "celery":
        from celery.__main__ import main

        main()
    elif words[0] == "python":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(words)


def _read_settings() -> None:
    """From the environment that is this process's now."""
    from django.conf import settings
    from django.db import connections
    from django.db.utils import ConnectionHandler

    from syncproject import settings as module

    for name, value in vars(importlib.reload(module)).items():
        if name.isupper():
            setattr(settings, name, value)
    # Every thread's connection is made from this one dictionary, and none is open yet.
    connections.settings["default"].update(
        ConnectionHandler(settings.DATABASES).settings["default"]
    )


def _find_end(pid: int) -> int | None:
    """The exit status, negative for a signal, as `subprocess` tells it; None where the process lives."""
    ended, how = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(how) if ended else None


if __name__ == "__main__":
    _import_everything()
    serve(answer)
