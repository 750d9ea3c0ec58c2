"""Sends what is due: makes messages, claims them, hands them to the courier, and writes down what became of each.

A claim is a lease in the database, so that any number of processes may send. A process that dies between the sending
and the writing leaves a lease that runs out: the message is sent again, with the same bytes and the same key.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection

from alerts.channel_secrets import unseal_channel_url
from alerts.core.answers import CHANNEL_INVALID, COURIER_LOST, SendAnswer
from alerts.core.bundling import SPACED_S
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
RETRIES_AT_ONCE = (
    8  # of these, to channels whose last try failed: hosts that hang take their whole time
)
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
    SELECT m.id FROM alerts_alertmessage m JOIN alerts_alertchannel c ON c.id = m.channel_id
     WHERE m.id IN ({_HEADS}) AND {_DUE} AND (c.state = 'retrying') = %(is_retry)s
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
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._courier = courier
        self._clock = clock
        self._is_over = is_over
        self._lease_s = lease_s
        self._within_s = within_s
        self._pause = pause
        self._held: dict[int, HeldMessage] = {}
        self._retried: set[int] = set()  # of these, the numbers of what has failed before

    def send_due(self) -> int:
        """Until nothing is due and nothing is under way; the count of tries. What becomes due meanwhile goes too, so
        that a channel that hangs delays no other. What only waits for the end of its spacing is waited for: beat would ask
        a second later."""
        count = 0
        has_waited = False
        while True:
            sent, wait_s = (0, None) if self._is_over() else self._begin()
            count += sent
            if not self._held:
                if wait_s is None or wait_s > SPACED_S or (has_waited and not sent):
                    return count
                self._pause(wait_s)
                has_waited = True
                continue
            for receipt in self._courier.wait(_LOOKS_EVERY_S):
                answer = SendAnswer(
                    receipt.delivered, receipt.code, receipt.detail, receipt.retry_after_s
                )
                self._retried.discard(receipt.number)
                if (held := self._held.pop(receipt.number, None)) is not None:
                    self._settle(held, answer)

    def _begin(self) -> tuple[int, float | None]:
        """As `_make_and_send`. A database that is away begins nothing; what is under way is still waited for."""
        try:
            return self._make_and_send()
        except (OperationalError, InterfaceError) as exc:
            connection.close()
            if not self._held:
                raise
            log.warning("alerts.database_away", error=str(exc).splitlines()[0])
            return 0, None

    def _settle(self, held: HeldMessage, answer: SendAnswer) -> None:
        """Tries for as long as nobody else sends the message: what is not written down is sent twice."""
        ends_at = time.monotonic() + self._lease_s / 2
        while True:
            try:
                settle_try(held, answer, self._clock())
            except (OperationalError, InterfaceError) as exc:
                connection.close()
                if time.monotonic() > ends_at:
                    raise
                log.warning("alerts.database_away", error=str(exc).splitlines()[0])
                self._pause(_LOOKS_EVERY_S)
            else:
                return

    def _make_and_send(self) -> tuple[int, float | None]:
        """The count of tries that have begun; and in how many seconds a message can be made of what is due."""
        now = self._clock()
        made = make_messages(now)
        count = self._claim_and_send()
        return count, None if made.next_at is None else (made.next_at - now).total_seconds()

    def _claim_and_send(self) -> int:
        """What has failed before gets what is left, and never more than its share: hosts that hang leave room."""
        count = self._send(is_retry=False, most=AT_ONCE - len(self._held))
        free = min(AT_ONCE - len(self._held), RETRIES_AT_ONCE - len(self._retried))
        return count + self._send(is_retry=True, most=free)

    def _send(self, *, is_retry: bool, most: int) -> int:
        if most <= 0:
            return 0
        claimed = claim_messages(self._clock(), most, self._lease_s, is_retry=is_retry)
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
                if is_retry:
                    self._retried.add(number)
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


def claim_messages(
    now: datetime, most: int, lease_s: float, *, is_retry: bool
) -> list[ClaimedMessage]:
    """Of each channel that nobody sends to at most one; nobody else gets these until the lease is over. `is_retry`: of
    those whose last try failed, else of the others."""
    asked: dict[str, Any] = {
        "now": now,
        "most": most,
        "until": now + timedelta(seconds=lease_s),
        "is_retry": is_retry,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, asked)
        return fetch_rows(cursor, ClaimedMessage)
