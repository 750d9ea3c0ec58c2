"""Which alerts there are, and how each of them stands."""

from __future__ import annotations

import uuid

from django.db.models import Case, CharField, Q, QuerySet, Value, When
from django.db.models.functions import Now

from alerts.core.words import AlertState
from alerts.models import Alert

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


def in_state(state: AlertState) -> Q:
    """A condition on alerts."""
    return _STATES[state]


def with_state(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    """As of the database's clock."""
    cases = [When(condition, then=Value(state.value)) for state, condition in _STATES.items()]
    return rows.annotate(
        state_now=Case(*cases, output_field=CharField()), is_silent=Q(silenced_until__gt=Now())
    )
