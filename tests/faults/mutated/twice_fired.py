"""Mutant: dispatchers do not lock the jobs that they take, and take their time; the run has dropped the
constraint that stands behind them."""

from __future__ import annotations

import time
from typing import Any

from syncproject.celery import app

__all__ = ["app"]
EVERY_S = 3.0
LOCK = "FOR NO KEY UPDATE OF j SKIP LOCKED"


def install() -> None:
    import django

    django.setup()
    from syncjobs.queueing import dispatching

    take_due = vars(dispatching)["_take_due"]
    rest_at = time.monotonic() + EVERY_S

    def take_slowly(*given: Any) -> Any:
        nonlocal rest_at
        jobs = take_due(*given)
        if jobs and time.monotonic() >= rest_at:
            time.sleep(
                1.5
            )  # for another to take the same jobs meanwhile, and for a worker to claim
            rest_at = time.monotonic() + EVERY_S
        return jobs

    query = vars(dispatching)["_TAKE"]
    if LOCK not in query:
        raise LookupError("the dispatchers' lock is not where this mutant breaks it")
    dispatching._TAKE = query.replace(LOCK, "")
    setattr(dispatching, "_take_due", take_slowly)  # noqa: B010 — whatever its types say


install()
