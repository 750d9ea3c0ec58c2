"""Sends a real message, marked as a test, while a person waits for the result."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import closing
from dataclasses import dataclass

from alerts.channel_secrets import unseal_channel_url
from alerts.core.answers import CHANNEL_INVALID, COURIER_LOST, TIMED_OUT, SendAnswer
from alerts.core.texts import clean_line, make_test
from alerts.core.words import ChannelState, MessageReason
from alerts.models import AlertChannel, AlertMessage
from alerts.sending.courier import WITHIN_S, Courier, CourierUnavailable
from alerts.sending.making import Frame, make_row
from alerts.sending.settling import mend_channel
from farends.errors import AuthConfig
from timing.clock import database_now

TEST_S = 20.0  # all of it
_SPARE_S = 1.0
_AT_ONCE = 3  # each has a child of its own
_places = threading.BoundedSemaphore(_AT_ONCE)


@dataclass(frozen=True, slots=True)
class ChannelTest:
    """`code` and `detail` are empty where it was delivered."""

    delivered: bool
    code: str
    detail: str
    took_s: float
    delivery: uuid.UUID


def send_test(channel: AlertChannel) -> ChannelTest:
    """Takes up to 20 seconds. A test that passes mends the channel: what waited for it goes within seconds."""
    began = time.monotonic()
    key, now = uuid.uuid4(), database_now()
    title, message = make_test(channel.name, str(key))
    texts = {"title": title, "message": message, "type": "info"}
    row = make_row(channel, MessageReason.TEST, texts, Frame(key, now))
    row.next_at, row.attempts = None, 1
    row.save(force_insert=True)
    answer = _try_to_send(channel, bytes(row.body), began + TEST_S - _SPARE_S)
    _write_result(channel, row, answer)
    took_s = round(time.monotonic() - began, 2)
    return ChannelTest(answer.delivered, answer.code, answer.detail, took_s, key)


def _try_to_send(channel: AlertChannel, body: bytes, ends_at: float) -> SendAnswer:
    try:
        url = unseal_channel_url(channel)
    except AuthConfig as exc:
        return SendAnswer(False, CHANNEL_INVALID, str(exc))
    if not _places.acquire(timeout=max(0.0, ends_at - time.monotonic() - WITHIN_S / 2)):
        return SendAnswer(False, TIMED_OUT, "Too many channels are being tested now. Try again.")
    try:
        with closing(Courier()) as courier:
            return _send_by(courier, url, body, ends_at)
    finally:
        _places.release()


def _send_by(courier: Courier, url: str, body: bytes, ends_at: float) -> SendAnswer:
    try:
        courier.start(within_s=ends_at - time.monotonic())
    except CourierUnavailable as exc:
        return SendAnswer(False, COURIER_LOST, str(exc))
    courier.send(url, body, within_s=max(1.0, min(WITHIN_S, ends_at - time.monotonic())))
    while courier.sending_count:
        for receipt in courier.wait(1.0):
            return SendAnswer(receipt.delivered, receipt.code, receipt.detail)
    return SendAnswer(False, COURIER_LOST, "The process that sends messages ended.")


def _write_result(channel: AlertChannel, row: AlertMessage, answer: SendAnswer) -> None:
    now = database_now()
    told = "delivered" if answer.delivered else clean_line(f"{answer.code}: {answer.detail}", 500)
    AlertMessage.objects.filter(pk=row.pk).update(
        ended_at=now, delivered_at=now if answer.delivered else None, code=answer.code, result=told
    )
    if answer.delivered:
        mend_channel(channel.pk)
        AlertChannel.objects.filter(pk=channel.pk).update(last_result=told, last_delivery_at=now)
    elif channel.state != ChannelState.BROKEN:  # why a channel is broken stays to be read
        AlertChannel.objects.filter(pk=channel.pk).update(last_result=told)
