"""How reachable a far end was, by the event log and the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.looks import HostSpan, HostStretch, HostTurn, lay_spans, measure_uptime
from connectors.models import Connector, ConnectorStatus, FarEndWatch
from connectors.reachability import CHANGED
from events.models import SyncEvent
from workspaces.models import AuditEntry

DAY, WEEK, MONTH = (timedelta(days=days) for days in (1, 7, 30))
TURNS_MAX = 2_000  # of the last month; of a host that flaps more, the older part is not known


@dataclass(frozen=True, slots=True)
class HostPast:
    """`day` covers the last 24 hours. A share is None where nothing is known."""

    day: list[HostSpan]
    uptime_week: float | None
    uptime_month: float | None


def read_past(connector: Connector, watch: FarEndWatch, now: datetime) -> HostPast:
    """Costs two queries."""
    turns = [*_read_states(connector), *_read_watching(connector)]
    if watch.since is not None and watch.state in (HostStretch.ONLINE, HostStretch.OFFLINE):
        # The log tells less of a host that flaps; how it is now is known all the same.
        turns.append(HostTurn(watch.since, HostStretch(watch.state), watch.last_error))
    is_watched = watch.watch and connector.status == ConnectorStatus.ACTIVE
    turns.append(HostTurn(now, watched=is_watched))
    month = lay_spans(turns, now - MONTH, now)
    return HostPast(
        cut_spans(month, now - DAY),
        measure_uptime(cut_spans(month, now - WEEK)),
        measure_uptime(month),
    )


def cut_spans(spans: list[HostSpan], begins_at: datetime) -> list[HostSpan]:
    """What of them is not before this moment."""
    return [
        HostSpan(span.stretch, max(span.begins_at, begins_at), span.ends_at, span.reason)
        for span in spans
        if span.ends_at > begins_at
    ]


def _read_states(connector: Connector) -> Iterator[HostTurn]:
    rows = SyncEvent.objects.filter(connector=connector, event=CHANGED).order_by("-id")
    for at, state, reason in rows.values_list("at", "to_state", "reason")[:TURNS_MAX]:
        if state in (HostStretch.ONLINE, HostStretch.OFFLINE):
            yield HostTurn(at, HostStretch(state), reason)


def _read_watching(connector: Connector) -> Iterator[HostTurn]:
    """Checks are switched off by hand, and rest while the connector is paused."""
    rows = AuditEntry.objects.filter(
        workspace=connector.workspace_id, object_id=str(connector.pk)
    ).order_by("-id")
    newest_first = list(rows.values_list("at", "changes")[:TURNS_MAX])
    is_on, is_active = True, True
    for at, changes in reversed(newest_first):
        if "watch" in changes:
            is_on = bool(changes["watch"][1])
        if "status" in changes:
            is_active = changes["status"][1] in (None, ConnectorStatus.ACTIVE)
        if "watch" in changes or "status" in changes:
            yield HostTurn(at, watched=is_on and is_active)
