"""Queue `control`: the platform's own chores."""

from __future__ import annotations

import structlog
from celery import shared_task

from syncjobs.lifecycle.reaping import reap as reap_expired

log = structlog.get_logger(__name__)


@shared_task(name="control.reap", queue="control")  # type: ignore[untyped-decorator]
def reap() -> None:
    """Takes back records whose worker is gone."""
    if count := reap_expired():
        log.warning("records.reaped", count=count)
