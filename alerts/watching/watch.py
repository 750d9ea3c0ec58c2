"""The turns of the watch: what happened, what is wrong now, and what time alone has changed. Beat takes them."""

from __future__ import annotations

import structlog
from django.db import connection, transaction
from django.db.models import Q

from alerts.announcing import announce
from alerts.core.judging import Sign
from alerts.core.words import RuleKind
from alerts.models import Alert, AlertRule
from alerts.watching.alert_rows import write_alerts
from alerts.watching.closing import close_unattended
from alerts.watching.conditions import find_wrong, is_by_state
from alerts.watching.counting import drop_old_counts
from alerts.watching.idle import meet_jobs, watch_idle_jobs
from alerts.watching.news import SEEN_AGAIN, AlertKey, News, let_time_pass, load_rules, move_alerts
from alerts.watching.records import watch_records
from timing.clock import database_now

log = structlog.get_logger(__name__)

# One beat at a time looks at what is wrong: a second one finds that somebody does.
_TAKE_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended('alerts by state', 0))"


def watch_alerts() -> None:
    """Follows the event log, and tells of silences that have ended and of what has settled. Cheap where nothing
    happened, for beat asks each second."""
    watch_records()
    tell_what_has_passed()


def watch_state() -> None:
    """Looks at what is wrong now, and at jobs of which nothing runs. First it closes what nobody looks after any more,
    so that this is not taken for good."""
    with transaction.atomic():
        if _take_turn():
            close_unattended()
    for kind in _find_kinds():
        _watch_kind(kind)
    with transaction.atomic():
        if _take_turn():
            watch_idle_jobs()


def tidy_alerts() -> None:
    """Takes up jobs and rules that are new, and forgets what no rule counts any more."""
    with transaction.atomic():
        if _take_turn():
            meet_jobs()
            drop_old_counts()


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


def _find_kinds() -> list[RuleKind]:
    """Those that some rule has."""
    known = AlertRule.objects.filter(enabled=True).order_by("kind").values_list("kind", flat=True)
    return [kind for kind in map(RuleKind, known.distinct()) if is_by_state(kind)]


@transaction.atomic
def _watch_kind(kind: RuleKind) -> None:
    if not _take_turn() or (wrong := find_wrong(kind)) is None:
        return
    now = database_now()
    firing = {
        AlertKey(alert.rule_id, alert.subject_kind, alert.subject_id): alert
        for alert in Alert.objects.filter(
            firing=True, kind=kind, rule__kind=kind, rule__enabled=True
        )
    }
    news: dict[AlertKey, list[News]] = {}
    for one in wrong:
        key = AlertKey(one.rule_id, one.subject_kind, one.subject_id)
        known = firing.pop(key, None)
        seen_at = known.last_seen_at if known is not None else None
        if seen_at is None or now - seen_at >= SEEN_AGAIN:
            sign = Sign(is_bad=True, is_state=True)
            news[key] = [News(sign, now, one.name, one.detail, one.record_id)]
    for key, alert in firing.items():
        news[key] = [News(Sign(is_bad=False, is_state=True), now, alert.subject_name)]
    if news:
        move_alerts(load_rules(news), news, now)


def _take_turn() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_TURN)
        return bool(cursor.fetchone()[0])
