"""Queue `control`: the platform's own chores."""

from __future__ import annotations

import structlog
from celery import shared_task

from connectors.staging import sweep_staging
from syncjobs.lifecycle.reaping import reap as reap_expired
from syncjobs.lifecycle.sweeping import sweep as sweep_store

log = structlog.get_logger(__name__)


@shared_task(name="control.reap", queue="control")  # type: ignore[untyped-decorator]
def reap() -> None:
    """Takes back records whose worker is gone."""
    if count := reap_expired():
        log.warning("records.reaped", count=count)


@shared_task(name="control.sweep", queue="control")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Removes what attempts left under way and nobody came back for, and content that nothing names."""
    removed = sweep_store()
    leftovers = removed.leftovers + sweep_staging()
    if leftovers or removed.blobs:
        log.info(
            "store.swept",
            leftovers=leftovers,
            blobs=removed.blobs,
            size_bytes=removed.size_bytes,
        )
