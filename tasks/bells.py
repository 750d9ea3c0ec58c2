"""Ringing: a message that says "look at record N". It may be lost or doubled without harm."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import structlog
from celery import current_app
from django.db import Error as DatabaseError
from django.db import connection
from kombu.exceptions import OperationalError
from redis import RedisError

from syncjobs.claims.pulsing import note_canary_rung
from syncjobs.queueing.ringing import forget_rung, take_unrung
from tasks.queues import QUEUES, SYNC, name_canary

log = structlog.get_logger(__name__)

TASK = "sync.record"
BELLS_MAX = 1_000


def ring(record_ids: Sequence[uuid.UUID]) -> int:
    """Publishes on one connection; returns the count. A lost broker is the next tick's business: what it
    did not take counts as not rung."""
    count = 0
    try:
        with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
            for record_id in record_ids:
                current_app.send_task(
                    TASK, args=[str(record_id)], queue=SYNC, producer=producer, ignore_result=True
                )
                count += 1
    except (OperationalError, OSError, TimeoutError) as exc:
        log.warning("bell.broker_away", error=str(exc))
        forget_rung(record_ids[count:])
    return count


def ring_waiting(limit: int = 200) -> int:
    """For what has waited without a bell; nothing while workers have more bells than they answer."""
    return 0 if count_bells() > BELLS_MAX else ring(take_unrung(limit))


def count_bells() -> int:
    """How many wait in Redis to be answered; 0 also where it does not say."""
    try:
        with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
            return int(producer.channel._size(SYNC))
    except (OperationalError, RedisError, OSError, TimeoutError) as exc:
        log.warning("bell.broker_away", error=str(exc))
        return 0


def ring_canaries(holder: str) -> None:
    """Asks the workers of each queue to say in the database that they consume."""
    try:
        for queue in QUEUES:
            note_canary_rung(queue, holder=holder)
            with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
                current_app.send_task(
                    name_canary(queue), queue=queue, producer=producer, ignore_result=True
                )
    except (OperationalError, OSError, TimeoutError) as exc:
        log.warning("canary.broker_away", error=str(exc))
    except DatabaseError as exc:
        log.warning("canary.failed", error=str(exc).splitlines()[0])
        connection.close()
