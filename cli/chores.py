"""The platform's own chores: rows of django-celery-beat, which an operator may edit in the console."""

from __future__ import annotations

from django.conf import settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask

DEMO = "demo"  # the workspace of the sample hosts


def plan_chores() -> None:
    """Adds what is missing; what is there already is left as it is."""
    cleanup_s = max(1, round(settings.SYNC.cleanup_interval_s))
    _plan("take back records of dead workers", "control.reap", cleanup_s)
    _plan("count what records did", "control.count", 10)
    _plan("plan anew what newer time zones move", "control.replan", 300)
    _plan("plan anew what a wrong clock has put off", "control.draw_near", 600)
    _plan("forget old events, and answers to requests of yesterday", "control.forget", 3600)
    _plan("sweep partial files", "control.sweep", 24 * 3600)


def _plan(name: str, task: str, every_s: int) -> None:
    interval, _ = IntervalSchedule.objects.get_or_create(
        every=every_s, period=IntervalSchedule.SECONDS
    )
    defaults = {"task": task, "interval": interval, "queue": "control", "expire_seconds": 30}
    PeriodicTask.objects.get_or_create(name=name, defaults=defaults)
