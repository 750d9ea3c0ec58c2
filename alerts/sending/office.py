"""Sends what is due: makes messages, claims them, hands them to the courier, and writes down what became of each.

A claim is a lease in the database, so that any number of processes may send. A process that dies between the sending
and the writing leaves a lease that runs out: the message is sent again, with the same bytes and the same key.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import Error as DatabaseError
from django.db import connection

from alerts.channel_secrets import unseal_channel_url
from alerts.core.answers import CHANNEL_INVALID, COURIER_LOST, SendAnswer
from alerts.models import AlertChannel
from alerts.sending.courier import WITHIN_S, Courier, CourierUnavailable
from alerts.sending.making import make_messages
from alerts.sending.settling import HeldMessage, settle_try
from database.rows import fetch_rows
from farends.errors import AuthConfig
from timing.clock import database_now

log = structlog.get_logger(__name__)

LEASE_S = 45.0  # longer than a courier that must be started takes for a message
AT_ONCE = 16
_LOOKS_EVERY_S = 0.5

# Of each channel the message that is under way, else the one that is due first: no other overtakes it. One that has no
# time waited for its channel to be mended.
_HEADS = """
SELECT DISTINCT ON (m.channel_id) m.id
  FROM alerts_alertmessage m JOIN alerts_alertchannel c ON c.id = m.channel_id
 WHERE m.ended_at IS NULL AND m.reason <> 'test' AND c.enabled AND c.state <> 'broken'
 ORDER BY m.channel_id, m.attempts = 0, m.next_at NULLS FIRST, m.made_at
"""
_DUE = """
m.ended_at IS NULL AND (m.next_at IS NULL OR m.next_at <= %(now)s)
   AND (m.leased_until IS NULL OR m.leased_until < %(now)s)
"""
_CLAIM = f"""
WITH due AS (
    SELECT m.id FROM alerts_alertmessage m WHERE m.id IN ({_HEADS}) AND {_DUE}
     ORDER BY m.next_at NULLS FIRST LIMIT %(most)s FOR UPDATE OF m SKIP LOCKED)
UPDATE alerts_alertmessage m SET leased_until = %(until)s, attempts = m.attempts + 1 FROM due WHERE m.id = due.id
RETURNING m.id, m.channel_id, m.attempts, m.body
"""  # noqa: S608 — made of this module's own text
_ANY_DUE = f"""
SELECT EXISTS (SELECT FROM alerts_alertmessage m WHERE m.id IN ({_HEADS}) AND {_DUE})
    OR EXISTS (SELECT FROM alerts_notification n JOIN alerts_alertchannel c ON c.id = n.channel_id
                WHERE n.message_id IS NULL AND n.due_at <= %(now)s AND c.enabled AND c.state <> 'broken')
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    id: uuid.UUID
    channel_id: uuid.UUID
    attempts: int
    body: bytes


class PostOffice:
    """One thread of one process. `clock` is the database's; `is_over` says that nothing further is to be begun."""

    def __init__(
        self,
        courier: Courier,
        *,
        clock: Callable[[], datetime] = database_now,
        is_over: Callable[[], bool] = lambda: False,
        lease_s: float = LEASE_S,
        within_s: float = WITHIN_S,
    ) -> None:
        self._courier = courier
        self._clock = clock
        self._is_over = is_over
        self._lease_s = lease_s
        self._within_s = within_s
        self._held: dict[int, HeldMessage] = {}

    def send_due(self) -> int:
        """Until nothing is due and nothing is under way; the count of tries. What becomes due meanwhile goes too, so
        that a channel that hangs delays no other."""
        count = 0
        while True:
            if not self._is_over():
                make_messages(self._clock())
                count += self._claim_and_send()
            if not self._held:
                return count
            for receipt in self._courier.wait(_LOOKS_EVERY_S):
                answer = SendAnswer(
                    receipt.delivered, receipt.code, receipt.detail, receipt.retry_after_s
                )
                if (held := self._held.pop(receipt.number, None)) is not None:
                    settle_try(held, answer, self._clock())

    def _claim_and_send(self) -> int:
        claimed = claim_messages(self._clock(), AT_ONCE - len(self._held), self._lease_s)
        urls = AlertChannel.objects.in_bulk([one.channel_id for one in claimed])
        for one in claimed:
            held = HeldMessage(one.id, one.channel_id, one.attempts)
            try:
                url = unseal_channel_url(urls[one.channel_id])
                number = self._courier.send(url, bytes(one.body), within_s=self._within_s)
            except (AuthConfig, KeyError) as exc:
                settle_try(held, SendAnswer(False, CHANNEL_INVALID, str(exc)), self._clock())
            except CourierUnavailable as exc:
                log.error("alerts.no_courier", error=str(exc))  # noqa: TRY400 — the message says it all
                settle_try(held, SendAnswer(False, COURIER_LOST, str(exc)), self._clock())
            else:
                self._held[number] = held
        return len(claimed)


_lock = threading.Lock()
_courier = Courier()  # its child stays: Apprise takes a second to load


def send_in_this_process(is_over: Callable[[], bool]) -> int:
    """The count of tries; 0 at once where another thread does it, which sees what is due as well."""
    if not _lock.acquire(blocking=False):
        return 0
    try:
        return PostOffice(_courier, is_over=is_over).send_due()
    finally:
        _lock.release()


def prepare_courier() -> None:
    """Starts the child where there is a channel that may need it; it takes seconds on a busy machine."""
    try:
        with _lock:
            if AlertChannel.objects.filter(enabled=True).exists():
                _courier.start()
    except (CourierUnavailable, DatabaseError) as exc:
        log.warning("alerts.no_courier", error=str(exc))
    finally:
        connection.close()


def is_anything_due(now: datetime | None = None) -> bool:
    """Whether a message is to be made or sent."""
    with connection.cursor() as cursor:
        cursor.execute(_ANY_DUE, {"now": now or database_now()})
        return bool(cursor.fetchone()[0])


def claim_messages(now: datetime, most: int, lease_s: float) -> list[ClaimedMessage]:
    """Of each channel that nobody sends to at most one; nobody else gets these until the lease is over."""
    asked: dict[str, Any] = {"now": now, "most": most, "until": now + timedelta(seconds=lease_s)}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, asked)
        return fetch_rows(cursor, ClaimedMessage)
