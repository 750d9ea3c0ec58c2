"""Queue `sync`: one message is one record to look at."""

from __future__ import annotations

import uuid
from typing import Any

import structlog
from celery import shared_task
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from syncjobs.lifecycle.pulsing import note_canary_answered
from syncjobs.lifecycle.ringing import take_unrung
from syncjobs.lifecycle.workers import this_worker
from tasks.bells import TASK, ring

log = structlog.get_logger(__name__)


@shared_task(name=TASK, queue="sync")  # type: ignore[untyped-decorator]
def sync_record(record_id: str) -> None:
    """Works on the record if it is still to be had, then wakes one that waits."""
    worker = this_worker()
    if worker.heart.draining:
        return
    try:
        parsed = uuid.UUID(record_id)
    except (ValueError, AttributeError, TypeError):
        log.warning("bell.unreadable", record=repr(record_id)[:80])
        return
    state = worker.work_on(parsed)
    if state is not None and not worker.heart.draining:
        ring(take_unrung(1, ring_again_s=1))


@shared_task(name="sync.canary", queue="sync")  # type: ignore[untyped-decorator]
def canary() -> None:
    """Says that this queue is consumed. Records never take every thread: a worker has two to spare."""
    note_canary_answered("sync", holder=this_worker().name)


@worker_ready.connect  # type: ignore[untyped-decorator]
def appear(**_: Any) -> None:
    this_worker().presence.appear()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def drain(**_: Any) -> None:
    this_worker().drain()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def leave(**_: Any) -> None:
    this_worker().presence.leave()
