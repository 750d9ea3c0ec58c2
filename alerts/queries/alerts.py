"""Which alerts there are, and how each of them stands."""

from __future__ import annotations

import uuid

from django.db.models import (
    Case,
    CharField,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Now

from alerts.core.words import AlertState
from alerts.models import Alert, AlertRule

_STATES = {
    AlertState.FIRING: Q(firing=True) & (Q(silenced_until=None) | Q(silenced_until__lte=Now())),
    AlertState.SILENCED: Q(firing=True, silenced_until__gt=Now()),
    AlertState.RESOLVED: Q(firing=False),
}


def alerts_of(workspace_id: uuid.UUID, state: AlertState | None = None) -> QuerySet[Alert]:
    """The alerts that have ever opened, each with its rule, with `state_now` and `is_silent`."""
    rows = Alert.objects.filter(workspace=workspace_id, opened_at__isnull=False)
    if state is not None:
        rows = rows.filter(_STATES[state])
    return with_state(rows.select_related("rule"))


def with_firing(rules: QuerySet[AlertRule]) -> QuerySet[AlertRule]:
    """Each rule with how many of its alerts fire, as `firing`: from the index of what fires, however many have ended."""
    firing = Alert.objects.filter(rule=OuterRef("pk"), firing=True).order_by()
    counts = firing.annotate(count=Func("pk", function="count")).values("count")
    return rules.annotate(firing=Subquery(counts, output_field=IntegerField()))


def in_state(state: AlertState) -> Q:
    """A condition on alerts."""
    return _STATES[state]


def with_state(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    """As of the database's clock."""
    cases = [When(condition, then=Value(state.value)) for state, condition in _STATES.items()]
    return rows.annotate(
        state_now=Case(*cases, output_field=CharField()), is_silent=Q(silenced_until__gt=Now())
    )
