"""What the watch has found out: news of subjects under rules, and the alerts that they move."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import NamedTuple

from alerts.announcing import AlertMove, announce
from alerts.core.judging import Sign
from alerts.core.standing import Standing, Telling, pass_time, see_bad, see_good
from alerts.core.words import RuleKind, SubjectKind
from alerts.models import Alert, AlertRule
from alerts.watching.alert_rows import list_written, lock_alerts, write_alerts

DETAIL_MAX = 2_000
SEEN_AGAIN = timedelta(seconds=60)  # what stays wrong is noted again, at most so often
_STANDING = [field.name for field in fields(Standing)]


class AlertKey(NamedTuple):
    """Names the one alert of a subject under a rule."""

    rule_id: uuid.UUID
    kind: str
    subject_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class News:
    """Good or bad news of a subject, with what a person is to hear of it."""

    sign: Sign
    at: datetime
    name: str  # of the subject
    detail: str = ""
    record_id: uuid.UUID | None = None
    error_code: str = ""


def load_rules(keys: Iterable[AlertKey]) -> dict[uuid.UUID, AlertRule]:
    """Those that are still there."""
    return AlertRule.objects.in_bulk({key.rule_id for key in keys})


def move_alerts(
    rules: Mapping[uuid.UUID, AlertRule],
    news: Mapping[AlertKey, Sequence[News]],
    now: datetime,
) -> int:
    """Moves the alerts and writes whom it is to be told, in the caller's transaction; the count of what is told. News
    of one subject stand in order. Those of a rule that is not there are left out."""
    news = {key: items for key, items in news.items() if key.rule_id in rules}
    bad = {key for key, items in news.items() if any(item.sign.is_bad for item in items)}
    held = lock_alerts({key: key in bad for key in news})
    moves: list[AlertMove] = []
    moved = []
    for key in sorted(news):
        alert = held.get(key)
        if alert is None and key not in bad:
            continue  # it was never bad
        before = None if alert is None else list_written(alert)
        alert = alert or _make(key, rules[key.rule_id], news[key][0].name)
        alert.rule = rules[key.rule_id]
        moves += _follow(alert, news[key])
        if list_written(alert) != before:
            moved.append(alert)
    write_alerts(moved)
    announce(moves, now)
    return len(moves)


def let_time_pass(alerts: Iterable[Alert], now: datetime) -> list[AlertMove]:
    """Of locked alerts, with their rules."""
    return [move for alert in alerts for move in _take(alert, now)]


def end_with_subject(alert: Alert, now: datetime) -> list[AlertMove]:
    """What it is about exists no more, and so is no longer bad."""
    moves = _take(alert, now)
    alert.detail = f"{alert.subject_kind} {alert.subject_name} was deleted"
    step = see_good(standing_of(alert), now)
    return [*moves, *stand(alert, step.standing, step.told)]


def _make(key: AlertKey, rule: AlertRule, name: str) -> Alert:
    return Alert(
        workspace_id=rule.workspace_id,
        rule=rule,
        kind=rule.kind,
        subject_kind=SubjectKind(key.kind),
        subject_id=key.subject_id,
        subject_name=name,
        severity=rule.severity,
    )


def _follow(alert: Alert, news: Sequence[News]) -> list[AlertMove]:
    moves: list[AlertMove] = []
    for item in news:
        moves += _take(alert, item.at)
        if not item.sign.is_bad:
            if item.sign.of_record in (None, alert.record_id):
                step = see_good(standing_of(alert), item.at)
                moves += stand(alert, step.standing, step.told)
        elif item.sign.is_state and alert.firing:
            _note_again(alert, item)
        else:
            moves += _worsen(alert, item)
    return moves


def _worsen(alert: Alert, item: News) -> list[AlertMove]:
    step = see_bad(standing_of(alert), item.at, needed=_needed(alert.rule))
    if step.standing.firing and not alert.firing:
        alert.severity, alert.kind = alert.rule.severity, alert.rule.kind
    alert.subject_name = item.name
    alert.record_id, alert.error_code = item.record_id, item.error_code
    alert.detail = _in_words(alert.rule, step.standing, item.detail)
    return stand(alert, step.standing, step.told)


def _note_again(alert: Alert, item: News) -> None:
    if alert.last_seen_at is None or item.at - alert.last_seen_at >= SEEN_AGAIN:
        alert.last_seen_at, alert.subject_name = item.at, item.name
        alert.record_id, alert.detail = item.record_id, item.detail[:DETAIL_MAX]


def _needed(rule: AlertRule) -> int:
    if rule.kind == RuleKind.FAILURES_IN_A_ROW:
        return int(rule.params.get("count") or 1)
    return 1


def _in_words(rule: AlertRule, standing: Standing, detail: str) -> str:
    if rule.kind == RuleKind.FAILURES_IN_A_ROW:
        detail = f"{standing.bad_in_a_row} in a row; the last: {detail}"
    return detail[:DETAIL_MAX]


def _take(alert: Alert, now: datetime) -> list[AlertMove]:
    step = pass_time(standing_of(alert), now)
    return stand(alert, step.standing, step.told)


def stand(alert: Alert, standing: Standing, told: Sequence[Telling] = ()) -> list[AlertMove]:
    """Gives the alert its standing. What is told keeps the alert as it was at that moment."""
    moves = []
    for one in told:
        _fill(alert, one.standing)
        moves.append(AlertMove(copy.copy(alert), one.tell))
    _fill(alert, standing)
    return moves


def _fill(alert: Alert, standing: Standing) -> None:
    for name in _STANDING:
        setattr(alert, name, getattr(standing, name))
    alert.changes = list(standing.changes)


def standing_of(alert: Alert) -> Standing:
    values = {name: getattr(alert, name) for name in _STANDING}
    return Standing(**values | {"changes": tuple(alert.changes)})
