"""The rows of django-celery-beat for the platform's own chores, which an operator may edit in the console."""

from __future__ import annotations

from django_celery_beat.models import IntervalSchedule, PeriodicTask

from tasks.chores import CHORES
from tasks.queues import CONTROL

DEMO = "demo"  # the workspace of the sample hosts


def plan_chores() -> None:
    """Adds what is missing; what is there already is left as it is."""
    for chore in CHORES:
        interval, _ = IntervalSchedule.objects.get_or_create(
            every=chore.interval_s, period=IntervalSchedule.SECONDS
        )
        defaults = {
            "task": chore.task,
            "interval": interval,
            "queue": CONTROL,
            "expire_seconds": 30,
        }
        PeriodicTask.objects.get_or_create(name=chore.title, defaults=defaults)
