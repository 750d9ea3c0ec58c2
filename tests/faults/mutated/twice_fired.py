"""Mutant: dispatchers do not lock the jobs that they take, and take their time; the run has dropped the
constraint that stands behind them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from syncproject.celery import app

__all__ = ["app"]
EVERY_S = 3.0


def install() -> None:
    import django

    django.setup()
    from syncjobs.lifecycle import dispatching
    from syncjobs.models import SyncJob

    ask_database: Callable[[], datetime] = vars(dispatching)["database_now"]
    rest_at = time.monotonic() + EVERY_S

    def ask_slowly() -> datetime:
        nonlocal rest_at
        now = ask_database()
        if time.monotonic() >= rest_at:
            time.sleep(
                1.5
            )  # for another to take the same jobs meanwhile, and for a worker to claim
            rest_at = time.monotonic() + EVERY_S
        return now

    def take_unlocked(**_: Any) -> Any:
        return SyncJob.objects.all()

    setattr(dispatching, "database_now", ask_slowly)  # noqa: B010 — a name that it imported
    SyncJob.objects.select_for_update = take_unlocked  # type: ignore[assignment, method-assign]


install()
