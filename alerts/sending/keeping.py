"""Messages go 30 days after their end, and what could not be sent after 7 days: old news help nobody.

What a firing alert has told stays as long as it fires: the recovery goes to whoever heard of it.
"""

from __future__ import annotations

from django.db import connection

ENDED_DAYS, WAITING_DAYS = 30, 7
AT_ONCE = 5_000

_OF_NOTHING_THAT_FIRES = """NOT EXISTS (
    SELECT FROM alerts_notification n JOIN alerts_alert a ON a.id = n.alert_id
     WHERE n.message_id = m.id AND a.firing AND NOT n.suppressed)"""
_ENDED = f"""
SELECT m.id FROM alerts_alertmessage m
 WHERE m.ended_at < now() - make_interval(days => {ENDED_DAYS}) AND {_OF_NOTHING_THAT_FIRES} LIMIT {AT_ONCE}
"""  # noqa: S608 — made of this module's own numbers
_PARKED = f"""
SELECT m.id FROM alerts_alertmessage m
 WHERE m.ended_at IS NULL AND m.made_at < now() - make_interval(days => {WAITING_DAYS}) LIMIT {AT_ONCE}
"""  # noqa: S608
_WAITING = f"""
DELETE FROM alerts_notification WHERE id IN (
    SELECT id FROM alerts_notification
     WHERE message_id IS NULL AND due_at < now() - make_interval(days => {WAITING_DAYS}) LIMIT {AT_ONCE}
       FOR UPDATE SKIP LOCKED)
"""  # noqa: S608


def drop_old_messages() -> int:
    """How many messages and waiting notifications went."""
    count = 0
    with connection.cursor() as cursor:
        for statement in (_ENDED, _PARKED):
            cursor.execute(statement)
            old = [key for (key,) in cursor.fetchall()]
            cursor.execute("DELETE FROM alerts_notification WHERE message_id = ANY(%s)", [old])
            cursor.execute("DELETE FROM alerts_alertmessage WHERE id = ANY(%s)", [old])
            count += len(old)
        cursor.execute(_WAITING)
        return count + int(cursor.rowcount)
