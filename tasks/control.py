"""Queue `control`: the platform's own chores."""

from __future__ import annotations

import structlog
from celery import shared_task

from events.keeping import drop_old_events
from farends.staging import sweep_staging
from store.errors import StoreAway
from syncjobs.claims.halting import Halted
from syncjobs.claims.pulsing import note_canary_answered
from syncjobs.claims.reaping import reap as reap_expired
from syncjobs.configuration.replanning import draw_near as draw_jobs_near
from syncjobs.configuration.replanning import replan as replan_jobs
from syncjobs.upkeep.counting import count_events
from syncjobs.upkeep.sweeping import sweep as sweep_store
from syncjobs.upkeep.workers import this_worker
from timing.zones import VERSION
from workspaces.answers import drop_old_answers

log = structlog.get_logger(__name__)


@shared_task(name="control.reap", queue="control")  # type: ignore[untyped-decorator]
def reap() -> None:
    """Takes back records whose worker is gone."""
    if count := reap_expired():
        log.warning("records.reaped", count=count)


@shared_task(name="control.sweep", queue="control")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Removes what attempts left under way and nobody came back for, and content that nothing names."""
    try:
        removed = sweep_store()
    except (StoreAway, Halted) as exc:
        log.warning("store.not_swept", error=str(exc))
        return
    leftovers = removed.leftovers + sweep_staging()
    if leftovers or removed.blobs:
        log.info(
            "store.swept",
            leftovers=leftovers,
            blobs=removed.blobs,
            size_bytes=removed.size_bytes,
        )


@shared_task(name="control.count", queue="control")  # type: ignore[untyped-decorator]
def count() -> None:
    """Adds what records did lately to the totals that /metrics shows."""
    count_events()


@shared_task(name="control.replan", queue="control")  # type: ignore[untyped-decorator]
def replan() -> None:
    """Moves due times that newer zone data have moved."""
    if count := replan_jobs():
        log.warning("jobs.replanned", count=count, zones=VERSION)


@shared_task(name="control.draw_near", queue="control")  # type: ignore[untyped-decorator]
def draw_near() -> None:
    """Plans anew what a clock that was wrong has planned too far ahead."""
    if count := draw_jobs_near():
        log.warning("jobs.drawn_near", count=count)


@shared_task(name="control.forget", queue="control")  # type: ignore[untyped-decorator]
def forget() -> None:
    """Drops old events, and answers that were kept for requests that are sent again."""
    drop_old_answers()
    if count := drop_old_events():
        log.info("events.dropped", count=count)


@shared_task(name="control.canary", queue="control")  # type: ignore[untyped-decorator]
def canary() -> None:
    """Says that this queue is consumed."""
    note_canary_answered("control", holder=this_worker().name)
