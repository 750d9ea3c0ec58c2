"""Queue `sync`: one message is one record to look at."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from typing import Any

import structlog
from celery import current_app, shared_task
from celery.exceptions import Retry
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from syncjobs.claims.presence import tell_where_it_hangs
from syncjobs.core.states import State
from syncjobs.records.lines import EndLine
from syncjobs.upkeep.workers import be_indexer, this_worker
from tasks.bells import TASK
from tasks.queues import BESIDE
from tasks.wakes import wake_next

log = structlog.get_logger(__name__)

WORDS_MAX = 500  # characters that Flower shows
EXIT_HUNG = 75  # EX_TEMPFAIL: whoever supervises this process starts another


class RecordFailed(Exception):
    """The record ended without success; the message says how. It is raised for Flower alone, which shows the task as
    failed: the message was acknowledged before the work began, and no result is stored."""


@shared_task(name=TASK, throws=(RecordFailed,))  # type: ignore[untyped-decorator]
def sync_record(record_id: str) -> str:
    """Works on the record if no other worker has it, then wakes a waiting one. Returns how the attempt ended, in words
    for Flower. Raises RecordFailed, and Retry where the record is tried again: the record's row says when, and no
    further message is sent from here."""
    worker = this_worker()
    if worker.heart.draining:
        return "left to others: this worker is drained"
    try:
        parsed = uuid.UUID(record_id)
    except (ValueError, AttributeError, TypeError):
        log.warning("bell.unreadable", record=repr(record_id)[:80])
        return "no record is called so"
    line = worker.attempt(parsed)
    if line is None:
        return "nothing to do: another worker has it, it has ended, or it waits"
    if not worker.heart.draining:
        wake_next()
    return _tell_end(line)


def _tell_end(line: EndLine) -> str:
    """Raises RecordFailed, Retry."""
    words = str(line)[:WORDS_MAX]
    if line.state == State.QUEUED:
        raise Retry(words, exc=RecordFailed(words))
    if line.state in (State.FAILED, State.TIMED_OUT):
        raise RecordFailed(words)
    return words


@worker_ready.connect  # type: ignore[untyped-decorator]
def appear_as_worker(**_: Any) -> None:
    tell_where_it_hangs()
    if set(current_app.amqp.queues.consume_from) <= set(BESIDE):
        be_indexer()
    this_worker().presence.appear()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def drain(**_: Any) -> None:
    this_worker().drain()


@worker_ready.connect  # type: ignore[untyped-decorator]
def prepare_to_be_replaced(**_: Any) -> None:
    """No thread can be ended from outside, so a process with one that hangs gives back its records and
    ends; a hanging thread would keep a warm shutdown waiting for ever."""
    heart = this_worker().heart
    heart.retire = _retire
    heart.leave = _leave


def _retire() -> None:
    log.error("worker.retires")
    os.kill(os.getpid(), signal.SIGTERM)


def _leave() -> None:
    log.error("worker.leaves", status=EXIT_HUNG)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_HUNG)


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def leave(**_: Any) -> None:
    this_worker().presence.leave()
