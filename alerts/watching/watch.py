"""The turns of the watch: what happened, and what time alone has changed. Beat takes them."""

from __future__ import annotations

import structlog
from django.db import transaction
from django.db.models import Q

from alerts.announcing import announce
from alerts.models import Alert
from alerts.watching.alert_rows import write_alerts
from alerts.watching.news import let_time_pass
from alerts.watching.records import watch_records
from timing.clock import database_now

log = structlog.get_logger(__name__)


def watch_alerts() -> None:
    """Follows the event log, and tells of silences that have ended and of what has settled. Cheap where nothing
    happened, for beat asks each second."""
    watch_records()
    tell_what_has_passed()


@transaction.atomic
def tell_what_has_passed() -> int:
    """Of alerts that fire when their silence ends, and of those that no longer flap; the count of what is told."""
    now = database_now()
    locked = (
        Alert.objects.filter(Q(flapping=True) | Q(silenced_until__lte=now))
        .select_related("rule")
        .order_by("rule_id", "subject_kind", "subject_id")
        .select_for_update(no_key=True, of=("self",))
    )
    alerts = list(locked)
    moves = let_time_pass(alerts, now)
    write_alerts(alerts)
    announce(moves, now)
    if moves:
        log.info("alerts.told", told=len(moves))
    return len(moves)
