"""The platform's own chores: rows of django-celery-beat, which an operator may edit in the console."""

from __future__ import annotations

from django.conf import settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask


def plan_chores() -> None:
    """Adds what is missing; what is there already is left as it is."""
    interval, _ = IntervalSchedule.objects.get_or_create(
        every=max(1, round(settings.SYNC.cleanup_interval_s)), period=IntervalSchedule.SECONDS
    )
    PeriodicTask.objects.get_or_create(
        name="take back records of dead workers",
        defaults={
            "task": "control.reap",
            "interval": interval,
            "queue": "control",
            "expire_seconds": 30,
        },
    )
