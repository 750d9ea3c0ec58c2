"""A beat container's health: whether chores have been sent lately. One line and a status."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import django

LATE = timedelta(minutes=3)  # chores are due every few seconds


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncproject.settings")
    django.setup()
    from django.db.models import Max
    from django.utils import timezone
    from django_celery_beat.models import PeriodicTask

    enabled = PeriodicTask.objects.filter(enabled=True)
    last = enabled.aggregate(last=Max("last_run_at"))["last"]
    if enabled.exists() and (last is None or timezone.now() - last > LATE):
        sys.stdout.write(f"no chore was sent since {last}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
