"""Writes down what became of a try: for the message, for its channel, and for whoever is told of a broken channel."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from alerts.announcing import terms_of
from alerts.core.answers import SendAnswer, decide_next
from alerts.core.routing import plan_due
from alerts.core.texts import clean_line, make_notice
from alerts.core.words import ChannelState, DeliveryOutcome, MessageReason, Severity
from alerts.models import AlertChannel, AlertMessage
from alerts.sending.making import Frame, add_to_totals, make_row

log = structlog.get_logger(__name__)

_RESULT_MAX = 500


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that this process is sending. `attempts` tells its claim from a later one."""

    id: uuid.UUID
    channel_id: uuid.UUID
    attempts: int


@transaction.atomic
def settle_try(held: HeldMessage, answer: SendAnswer, now: datetime) -> bool:
    """False where somebody else has sent it since: then nothing is written."""
    step = decide_next(answer, held.attempts)
    channel = (
        AlertChannel.objects.select_for_update(no_key=True, of=("self",))
        .select_related("workspace")
        .filter(pk=held.channel_id)
        .first()
    )
    ours = AlertMessage.objects.filter(pk=held.id, attempts=held.attempts, ended_at=None)
    told = _tell_result(answer)
    if step.outcome is DeliveryOutcome.DELIVERED:
        written = ours.update(
            delivered_at=now, ended_at=now, next_at=None, leased_until=None, code="", result=told
        )
    elif step.outcome is DeliveryOutcome.RETRIED:
        next_at = now + timedelta(seconds=step.wait_s)
        written = ours.update(next_at=next_at, leased_until=None, code=answer.code, result=told)
    else:  # it waits for a test that passes, and has all its tries then
        written = ours.update(
            next_at=None, leased_until=None, attempts=0, code=answer.code, result=told
        )
    if channel is None or not written:
        return False
    _write_channel(channel, step.outcome, told, now)
    add_to_totals(channel.workspace_id, step.outcome)
    log.info(
        "alerts.message_tried",
        message=str(held.id),
        channel=channel.name,
        outcome=step.outcome.value,
        code=answer.code,
        attempts=held.attempts,
    )
    return True


def _tell_result(answer: SendAnswer) -> str:
    if answer.delivered:
        return "delivered"
    return clean_line(f"{answer.code}: {answer.detail}", _RESULT_MAX)


def _write_channel(
    channel: AlertChannel, outcome: DeliveryOutcome, told: str, now: datetime
) -> None:
    row = AlertChannel.objects.filter(pk=channel.pk)
    if outcome is DeliveryOutcome.DELIVERED:
        row.update(state=ChannelState.OK, broken_since=None, last_result=told, last_delivery_at=now)
    elif outcome is DeliveryOutcome.RETRIED:
        row.update(state=ChannelState.RETRYING, last_result=told)
    elif channel.state != ChannelState.BROKEN:
        row.update(state=ChannelState.BROKEN, broken_since=now, last_result=told)
        _tell_another(channel, told, now)


def _tell_another(broken: AlertChannel, told: str, now: datetime) -> None:
    """One message by a channel that works; the console shows it in any case."""
    others = AlertChannel.objects.filter(workspace=broken.workspace_id, enabled=True)
    working = others.exclude(pk=broken.pk).exclude(state=ChannelState.BROKEN)
    # OK before retrying, as words happen to sort.
    other = working.select_related("workspace").order_by("state", "created_at").first()
    if other is None:
        log.error("alerts.nobody_to_tell", channel=broken.name)
        return
    key = uuid.uuid4()
    title, message = make_notice(broken.name, told, str(key))
    texts = {"title": title, "message": message, "type": "warning"}
    notice = make_row(other, MessageReason.ALERTS, texts, Frame(key, now))
    due = plan_due(terms_of(other), Severity.WARNING, now)
    notice.next_at = due.at if due.is_held else now
    notice.save(force_insert=True)


def mend_channel(channel_id: uuid.UUID) -> None:
    """A test has passed: what waited goes."""
    AlertChannel.objects.filter(pk=channel_id).update(state=ChannelState.OK, broken_since=None)
