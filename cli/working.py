"""Makes this process a worker, for commands that sync by themselves. Safe beside other workers."""

from __future__ import annotations

import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from cli.records import describe_progress
from cli.watching import watch
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.upkeep.workers import Worker

EXIT_LEFT = 75  # EX_TEMPFAIL: what is left goes on in a later call


@contextmanager
def working() -> Iterator[Worker]:
    """A worker of one slot. SIGTERM and SIGINT hand its record back to the queue."""
    worker = Worker(slots=1)
    worker.heart.leave = _leave
    worker.presence.appear()
    try:
        with _drained_by_signals(worker):
            yield worker
    finally:
        worker.presence.leave()


def work_on(
    worker: Worker, record_id: uuid.UUID, write: Callable[[str], object]
) -> list[State | None]:
    """What `Worker.work_on` says; nothing where an error that is not the record's own, such as the database's,
    ended the work. The thread has told its traceback then."""
    ended: list[State | None] = []

    def work() -> None:
        try:
            ended.append(worker.work_on(record_id))
        finally:
            connection.close()

    # A thread of its own, so that signals and progress find this one free.
    thread = threading.Thread(target=work, name=f"record {record_id}")
    thread.start()
    watch(lambda: not thread.is_alive(), lambda: _look(record_id), write, pause=thread.join)
    return ended


@contextmanager
def _drained_by_signals(worker: Worker) -> Iterator[None]:
    def drain(*_: Any) -> None:
        # A thread, because the one that was interrupted may hold the lock that draining takes.
        threading.Thread(target=worker.drain, daemon=True).start()

    before = {number: signal.signal(number, drain) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave() -> None:
    """The record was taken back, and its thread does not end: no thread can be ended from outside."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_LEFT)


def _look(record_id: uuid.UUID) -> tuple[str, float]:
    record = SyncRecord.either.select_related("job").get(pk=record_id)
    words = describe_progress(record) if record.state == State.RUNNING else record.state
    return f"{record.job.name}: {words}", record.percentage
