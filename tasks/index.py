"""Queue `index`: one message is one dataset whose index is behind."""

from __future__ import annotations

import threading
import uuid

import structlog
from celery import shared_task

from search.indexing.catching_up import catch_up
from search.indexing.ringing import forget_rung_indexes
from syncjobs.engine.stops import DrainAsked
from syncjobs.upkeep.workers import this_worker
from tasks.bells import INDEX_ONE, ring_indexes
from tasks.queues import INDEXED_AT_ONCE

log = structlog.get_logger(__name__)

_places = threading.BoundedSemaphore(INDEXED_AT_ONCE)


@shared_task(name=INDEX_ONE)  # type: ignore[untyped-decorator]
def index_dataset(dataset_id: str) -> None:
    """Works for some seconds; where more is left, another message follows, so that datasets share the process."""
    worker = this_worker()
    try:
        parsed = uuid.UUID(dataset_id)
    except (ValueError, AttributeError, TypeError):
        log.warning("bell.unreadable", dataset=repr(dataset_id)[:80])
        return
    if worker.heart.draining or not _places.acquire(blocking=False):
        forget_rung_indexes([parsed])
        return

    def check() -> None:
        if worker.heart.draining:
            raise DrainAsked

    try:
        more = catch_up(parsed, owner=worker.name, check=check)
    except DrainAsked:
        forget_rung_indexes([parsed])
        return
    finally:
        _places.release()
    if more and not worker.heart.draining:
        ring_indexes([parsed])
