"""Whether far ends can be reached, kept from checks and from what work has met. The rules are `connectors.watching`.

What waited for a host is woken by whoever takes `came_back`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime

import structlog
from django.conf import settings
from django.db import connection, transaction

from connectors.looks import HostCheck, add_look
from connectors.models import Connector, FarEndWatch
from connectors.watching import HostState, Reachability, after_failure, after_success, tell
from events.writing import NewEvent, write_events
from timing.clock import database_now
from workspaces import auditing

log = structlog.get_logger(__name__)

EVENTS = {Reachability.ONLINE: "connected", Reachability.OFFLINE: "disconnected"}
CHANGED = "state-change"

_FIELDS = [field.name for field in fields(HostState)]
_TAKE_BACK = """
UPDATE connectors_farendwatch SET came_back = false WHERE came_back RETURNING connector_id
"""


def find_connectivity(connector: Connector) -> FarEndWatch:
    return FarEndWatch.objects.get_or_create(connector=connector)[0]


@transaction.atomic
def switch_watching(connector: Connector, *, on: bool) -> FarEndWatch:
    """Switches the checks on or off."""
    row = find_connectivity(connector)
    if row.watch != on:
        auditing.note(connector, auditing.CHANGED, {"watch": [row.watch, on]})
    row.watch = on
    row.save(update_fields=["watch"])
    return row


def note_success(connector: Connector) -> None:
    """Work with the far end went well. Writes only what is news, for it comes with every record."""
    row = find_connectivity(connector)
    is_news = row.state != Reachability.ONLINE or row.failures or row.told != row.state
    if is_news or _is_old(row.last_success_at):
        change_seen(connector, lambda seen, now: after_success(seen, now))


def note_failure(connector: Connector, error: str, *, sure: bool = False) -> None:
    """Work could not reach the far end."""
    change_seen(connector, lambda seen, now: after_failure(seen, now, error, sure=sure))


def take_came_back() -> list[uuid.UUID]:
    """Connectors whose far end is back, within the caller's transaction: what waited for them is to be woken."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_BACK)
        return [connector_id for (connector_id,) in cursor.fetchall()]


def _is_old(at: datetime | None) -> bool:
    return at is None or (database_now() - at).total_seconds() > settings.SYNC.connectivity_check_s


def note_look(connector: Connector, error: str | None, took_ms: int) -> None:
    """A check has called the far end; `error` says why it failed."""
    change = _after_look(error)
    change_seen(connector, change, took_ms=took_ms)


def _after_look(error: str | None) -> Callable[[HostState, datetime], HostState]:
    if error is None:
        return after_success
    return lambda seen, now: after_failure(seen, now, error)


@transaction.atomic
def change_seen(
    connector: Connector,
    change: Callable[[HostState, datetime], HostState],
    *,
    took_ms: int | None = None,
) -> None:
    """`took_ms`: a check has shown it, and is noted with how long it took."""
    find_connectivity(connector)
    row = FarEndWatch.objects.select_for_update(no_key=True).get(pk=connector.pk)
    before, now = _seen_of(row), database_now()
    seen, told = tell(change(before, now), now)
    for name, value in asdict(seen).items():
        setattr(row, name, list(value) if name == "changes" else value)
    if took_ms is not None:
        row.looks = add_look(row.looks, HostCheck(now, took_ms, seen.last_error))
    if seen.state is Reachability.ONLINE and before.state is Reachability.OFFLINE:
        row.came_back = True
    row.save()
    if told is not None:
        _write(connector, before, seen, told)


def _write(connector: Connector, before: HostState, seen: HostState, told: Reachability) -> None:
    data = {
        "state": told.value,
        "was": before.told.value,
        "since": seen.since.isoformat() if seen.since else None,
    }
    reason = seen.last_error[:500] if told is Reachability.OFFLINE else ""
    names = (EVENTS[told], CHANGED)
    write_events(
        [
            NewEvent(
                event=name, workspace_id=connector.workspace_id, connector_id=connector.pk,
                from_state=before.told.value, to_state=told.value, reason=reason, data=data,
            )
            for name in names
        ]
    )  # fmt: skip
    log.info("connectivity.changed", connector=str(connector.pk), state=told.value, reason=reason)


def _seen_of(row: FarEndWatch) -> HostState:
    values = {name: getattr(row, name) for name in _FIELDS}
    return HostState(
        **values
        | {
            "state": Reachability(row.state),
            "told": Reachability(row.told),
            "changes": tuple(row.changes),
        }
    )
