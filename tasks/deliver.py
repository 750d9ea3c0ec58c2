"""Queue `deliver`: one message is one stream whose readings go out, or for which something is said."""

from __future__ import annotations

import threading
import uuid

import structlog
from celery import shared_task

from outbox.contacts import download_configuration, send_heartbeat
from outbox.delivery import deliver
from outbox.models import Stream
from outbox.ringing import forget_rung_streams
from syncjobs.upkeep.workers import this_worker
from tasks.bells import CONTACT, STREAM, ring_streams
from tasks.queues import DELIVERIES

log = structlog.get_logger(__name__)

_places = threading.BoundedSemaphore(DELIVERIES)


@shared_task(name=STREAM)  # type: ignore[untyped-decorator]
def deliver_stream(stream_id: str) -> None:
    """A streak of batches; where more waits, another message follows, so that streams share workers."""
    worker = this_worker()
    if (parsed := _parse(stream_id)) is None:
        return
    if worker.heart.draining or not _places.acquire(blocking=False):
        forget_rung_streams([parsed])  # another worker, or a later second
        return
    try:
        more = deliver(parsed, worker.heart)
    finally:
        _places.release()
    if more and not worker.heart.draining:
        ring_streams([parsed])


@shared_task(name=CONTACT)  # type: ignore[untyped-decorator]
def contact_client(stream_id: str, heartbeat: bool, configuration: bool) -> None:
    """Sends the heartbeat and looks for a configuration, as is due."""
    parsed = _parse(stream_id)
    stream = Stream.objects.select_related("client").filter(pk=parsed).first() if parsed else None
    if stream is None:
        return
    if configuration:
        download_configuration(stream)
    if heartbeat:
        send_heartbeat(stream)


def _parse(stream_id: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(stream_id)
    except (ValueError, AttributeError, TypeError):
        log.warning("bell.unreadable", stream=repr(stream_id)[:80])
        return None
