"""Rings: sends a message that says "look at record N". It may be lost or doubled without harm."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from celery import current_app
from django.db import Error as DatabaseError
from django.db import connection
from kombu.exceptions import OperationalError
from redis import RedisError

from outbox.contacts import DueContact, take_due_contacts
from outbox.ringing import forget_rung_streams, take_due_streams
from search.indexing.ringing import forget_rung_indexes, take_due_indexes
from syncjobs.claims.pulsing import note_canary_rung
from syncjobs.queueing.ringing import Rung, forget_rung, take_to_ring
from tasks.queues import ALERTS, CONTROL, DELIVER, INDEX, QUEUES, SYNC, name_canary

log = structlog.get_logger(__name__)

TASK = "sync.record"
STREAM = "deliver.stream"
CONTACT = "deliver.contact"
WATCH = "control.watch"
INDEX_ONE = "index.dataset"
SEND_ALERTS = "alerts.send"
BELLS_MAX = 1_000
INDEX_BELLS_MAX = 100
ALERT_BELLS_MAX = 2  # each stands for all that is due


def ring(records: Sequence[Rung]) -> int:
    """Publishes on one connection; returns the count. A lost broker is the next tick's business: what it
    did not take counts as not rung. Flower shows the names of the job and the workspace beside the id, which is
    all that the message carries."""
    count = 0
    try:
        with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
            for one in records:
                current_app.send_task(
                    TASK,
                    args=[str(one.id)],
                    argsrepr=str(one),
                    queue=SYNC,
                    producer=producer,
                    ignore_result=True,
                )
                count += 1
    except (OperationalError, OSError, TimeoutError) as exc:
        log.warning("bell.broker_away", error=str(exc))
        forget_rung([one.id for one in records[count:]])
    return count


def ring_waiting(limit: int = 200) -> int:
    """Rings for records that wait without a message; does nothing while workers have more bells than they answer."""
    return 0 if count_bells() > BELLS_MAX else ring(take_to_ring(limit))


def count_bells(queue: str = SYNC) -> int:
    """How many wait in Redis to be answered; 0 also where it does not say."""
    try:
        with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
            return int(producer.channel._size(queue))
    except (OperationalError, RedisError, OSError, TimeoutError) as exc:
        log.warning("bell.broker_away", error=str(exc))
        return 0


def ring_streams(stream_ids: Sequence[uuid.UUID]) -> None:
    """Each is to be delivered. What a lost broker did not take counts as not rung."""
    left = list(stream_ids)
    try:
        with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
            while left:
                _send(producer, STREAM, [str(left[-1])], DELIVER)
                left.pop()
    except (OperationalError, OSError, TimeoutError) as exc:
        log.warning("bell.broker_away", error=str(exc))
        forget_rung_streams(left)


def ring_due_streams() -> None:
    if due := take_due_streams():
        ring_streams(due)


def ring_due_contacts() -> None:
    """A heartbeat or download that a lost broker did not take comes with its next turn."""
    due: list[DueContact] = take_due_contacts()
    if not due:
        return
    try:
        with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
            for one in due:
                _send(
                    producer,
                    CONTACT,
                    [str(one.stream_id), one.heartbeat, one.configuration],
                    DELIVER,
                )
    except (OperationalError, OSError, TimeoutError) as exc:
        log.warning("bell.broker_away", error=str(exc))


def ring_indexes(dataset_ids: Sequence[uuid.UUID]) -> None:
    """The index of each is behind. What a lost broker did not take counts as not rung."""
    left = list(dataset_ids)
    try:
        with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
            while left:
                _send(producer, INDEX_ONE, [str(left[-1])], INDEX)
                left.pop()
    except (OperationalError, OSError, TimeoutError) as exc:
        log.warning("bell.broker_away", error=str(exc))
        forget_rung_indexes(left)


def ring_due_indexes() -> None:
    """Does nothing while the process has more messages than it answers."""
    if count_bells(INDEX) < INDEX_BELLS_MAX and (due := take_due_indexes()):
        ring_indexes(due)


def ring_alerts() -> None:
    """Asks for what is due to be sent; does nothing while such messages wait already."""
    if count_bells(ALERTS) >= ALERT_BELLS_MAX:
        return
    try:
        with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
            _send(producer, SEND_ALERTS, [], ALERTS)
    except (OperationalError, OSError, TimeoutError) as exc:
        log.warning("bell.broker_away", error=str(exc))


def ring_watch() -> None:
    """Asks a worker to check the far ends that are due for a check."""
    try:
        with current_app.producer_pool.acquire(block=True, timeout=5) as producer:
            _send(producer, WATCH, [], CONTROL)
    except (OperationalError, OSError, TimeoutError) as exc:
        log.warning("bell.broker_away", error=str(exc))


def _send(producer: Any, task: str, args: Sequence[object], queue: str) -> None:
    current_app.send_task(task, args=list(args), queue=queue, producer=producer, ignore_result=True)


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
