"""Looks whether far ends can be reached: each that is watched, when its check is due. Nobody logs in for that."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed

import structlog
from django.conf import settings
from django.db import IntegrityError, connection

from connectors.models import Connector, FarEndWatch
from connectors.opening import make_context, make_target
from connectors.reachability import find_connectivity, note_look
from farends.errors import Stalled, TransportError
from farends.masking import make_target_mask
from farends.reaching import dial_host
from farends.registry import SPECS, get_spec
from farends.spec import InvalidOptions, parse_options

log = structlog.get_logger(__name__)

CHECK_S = 10.0  # that one check may take
AT_ONCE = 32

_MEET_NEW = """
INSERT INTO connectors_farendwatch (connector_id, watch, state, told, failures, last_error, changes, looks, came_back)
SELECT id, true, 'unknown', 'unknown', 0, '', '{}', '[]', false FROM connectors_connector c
 WHERE NOT EXISTS (SELECT FROM connectors_farendwatch k WHERE k.connector_id = c.id)
   FOR KEY SHARE OF c SKIP LOCKED
ON CONFLICT DO NOTHING
"""
_TAKE_DUE = """
WITH due AS (
    SELECT k.connector_id FROM connectors_farendwatch k
      JOIN connectors_connector c ON c.id = k.connector_id
     WHERE k.watch AND k.due_at <= now() AND c.status = 'active'
     ORDER BY k.due_at LIMIT %(most)s FOR UPDATE OF k SKIP LOCKED)
UPDATE connectors_farendwatch k SET due_at = now() + make_interval(secs => %(every_s)s)
  FROM due WHERE k.connector_id = due.connector_id
RETURNING k.connector_id
"""
_ANY_DUE = """
SELECT EXISTS (SELECT FROM connectors_farendwatch k JOIN connectors_connector c ON c.id = k.connector_id
                WHERE k.watch AND k.due_at <= now() AND c.status = 'active')
    OR EXISTS (SELECT FROM connectors_connector c
                WHERE NOT EXISTS (SELECT FROM connectors_farendwatch k WHERE k.connector_id = c.id))
"""


def is_any_check_due() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_ANY_DUE)
        return bool(cursor.fetchone()[0])


def take_due_checks(most: int = AT_ONCE * 4) -> list[uuid.UUID]:
    """Connectors whose check is due; whoever takes them sees to it."""
    every_s = settings.SYNC.connectivity_check_s
    with connection.cursor() as cursor:
        cursor.execute(_MEET_NEW)
        cursor.execute(_TAKE_DUE, {"most": most, "every_s": every_s})
        return [connector_id for (connector_id,) in cursor.fetchall()]


def check_due() -> int:
    """How many were checked. They are checked side by side, each within its own time: one that hangs holds up
    none of the others."""
    taken = Connector.objects.filter(pk__in=take_due_checks())
    due = [connector for connector in taken if _is_complete(connector)]
    if not due:
        return 0
    with ThreadPoolExecutor(min(AT_ONCE, len(due)), "connectivity") as pool:
        looks = {pool.submit(_look_at, connector): connector for connector in due}
        for look in as_completed(looks):
            _note(looks[look], *look.result())
    return len(due)


def _note(connector: Connector, error: str | None, took_ms: int) -> None:
    try:
        note_look(connector, error, took_ms)
    except (IntegrityError, FarEndWatch.DoesNotExist):
        if Connector.objects.filter(pk=connector.pk).exists():
            raise
        log.info("connectivity.connector_gone", connector=str(connector.pk))


def _is_complete(connector: Connector) -> bool:
    """The form of a new connector saves its address before its options: until these fit, no far end is to blame."""
    spec = SPECS.get(connector.kind)
    try:
        return spec is None or bool(parse_options(spec.options, connector.options))
    except InvalidOptions:
        return False


def check_now(connector: Connector) -> FarEndWatch:
    """Checks at once, because a person asked."""
    note_look(connector, *_look_at(connector))
    return find_connectivity(connector)


def _look_at(connector: Connector) -> tuple[str | None, int]:
    """Why it cannot be reached, and how many milliseconds passed until that was known."""
    begun_at = time.monotonic()
    error = _find_error(connector)
    return error, round((time.monotonic() - begun_at) * 1_000)


def _find_error(connector: Connector) -> str | None:
    """Why the far end cannot be reached; None where it can. Nobody logs in for that."""
    ends_at = time.monotonic() + CHECK_S

    def check() -> None:
        if time.monotonic() > ends_at:
            raise Stalled(f"no answer within {CHECK_S:g} s")

    mask = None
    try:
        target = make_target(connector)
        mask = make_target_mask(target)
        reach = get_spec(connector.kind).reach or dial_host
        reach(target, make_context(check))
    except (TransportError, LookupError) as exc:
        return str(exc) if mask is None else mask(str(exc))
    return None
