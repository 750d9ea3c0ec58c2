"""How long ago each part of the platform, and each of its chores, was last seen at work."""

from __future__ import annotations

from django.db import connection

from syncjobs.claims.pulsing import PREPARED, name_request

# A chore's row says when its message was sent; the canaries of the queues say whether workers answer.
_SQL = """
SELECT part, extract(epoch FROM now() - at)::float FROM syncjobs_pulse
 WHERE part <> %(prepared)s AND NOT starts_with(part, %(requests)s)
UNION ALL
SELECT task, extract(epoch FROM now() - last_run_at)::float FROM django_celery_beat_periodictask WHERE enabled
 ORDER BY 1
"""


def read_ages() -> dict[str, float | str]:
    """Seconds by name; `never` for a chore that nobody was asked for yet. An operator's own chores are among them."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL, {"prepared": PREPARED, "requests": name_request("")})
        rows = cursor.fetchall()
    return {
        name.replace(":", "_"): "never" if age_s is None else round(age_s, 1)
        for name, age_s in rows
    }
