"""Queue `control`: the platform's own chores."""

from __future__ import annotations

import structlog
from celery import shared_task

from connectors.staging import sweep_staging
from syncjobs.lifecycle.counting import count_events
from syncjobs.lifecycle.pulsing import REAPER, note_canary_answered, note_pulse
from syncjobs.lifecycle.reaping import reap as reap_expired
from syncjobs.lifecycle.sweeping import sweep_partials
from syncjobs.lifecycle.workers import this_worker

log = structlog.get_logger(__name__)


@shared_task(name="control.reap", queue="control")  # type: ignore[untyped-decorator]
def reap() -> None:
    """Takes back records whose worker is gone."""
    if count := reap_expired():
        log.warning("records.reaped", count=count)
    note_pulse(REAPER, holder=this_worker().name, at_most_every_s=1)


@shared_task(name="control.sweep", queue="control")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Removes what attempts left under way and nobody came back for."""
    if count := sweep_partials() + sweep_staging():
        log.info("leftovers.swept", count=count)


@shared_task(name="control.count", queue="control")  # type: ignore[untyped-decorator]
def count() -> None:
    """Adds what records did lately to the totals that /metrics shows."""
    count_events()


@shared_task(name="control.canary", queue="control")  # type: ignore[untyped-decorator]
def canary() -> None:
    """Says that this queue is consumed."""
    note_canary_answered("control", holder=this_worker().name)
