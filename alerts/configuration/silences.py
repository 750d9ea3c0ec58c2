"""A person silences an alert: it stays open and listed, and no message tells of it for a while."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from alerts.configuration.refusals import InvalidAlerting
from alerts.models import Alert
from timing.clock import database_now
from workspaces import auditing

SILENCE_MAX = timedelta(days=366)
REASON_MAX = 500


@transaction.atomic
def silence_alert(alert: Alert, until: datetime | None, reason: str, *, by: str) -> None:
    """None ends a silence now. Raises InvalidAlerting for a time that is past or too far ahead."""
    now = database_now()
    held = Alert.objects.select_for_update(no_key=True).get(pk=alert.pk)
    if until is not None and not now < until <= now + SILENCE_MAX:
        words = f"give a time in the future, at most {SILENCE_MAX.days} days ahead; null ends the silence"
        raise InvalidAlerting({"until": [words]})
    if until is None and (held.silenced_until is None or held.silenced_until <= now):
        return
    before = held.silenced_until
    held.silenced_until = until or now  # whoever looks for silences that have ended finds it
    held.silenced_by, held.silence_reason = by[:150], reason
    held.save(update_fields=["silenced_until", "silenced_by", "silence_reason"])
    changes = {"silenced_until": [before, until], "silence_reason": [None, reason or None]}
    auditing.note(held, "silenced" if until else "unsilenced", changes)
