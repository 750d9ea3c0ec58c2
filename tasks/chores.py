"""The platform's own chores, each declared once: what it is called, how often it comes, what it does.

`cli.chores` makes the rows that an operator may edit in the console, `tasks.control` the tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.conf import settings

from alerts.sending.keeping import drop_old_messages
from alerts.watching.closing import drop_old_alerts
from events.keeping import drop_old_events
from farends.staging import sweep_staging
from outbox.leases import TAILS
from outbox.retention import drop_old_deliveries
from outbox.ring import turn_ring
from search.indexing.tidying import drop_old_texts
from search.vectors.tending import tidy_vectors
from store.errors import StoreAway
from syncjobs.claims.halting import Halted
from syncjobs.claims.reaping import reap
from syncjobs.configuration.replanning import draw_near, replan
from syncjobs.upkeep.counting import count_events
from syncjobs.upkeep.retention import retain
from syncjobs.upkeep.sweeping import sweep
from timing.zones import VERSION
from workspaces.answers import drop_old_answers
from workspaces.plans import drop_old_plans

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """`title` is what an operator reads, and the key of the chore's row; `task` is Celery's name for it.
    `every_s` of None: as often as the settings say that stuck records are looked for."""

    task: str
    title: str
    every_s: int | None
    run: Callable[[], None]

    @property
    def interval_s(self) -> int:
        if self.every_s is not None:
            return self.every_s
        return max(1, round(settings.SYNC.cleanup_interval_s))


def take_back_records() -> None:
    """Takes back records and streams whose worker is gone."""
    if count := reap((TAILS,)):
        log.warning("records.reaped", count=count)


def count_what_happened() -> None:
    """Adds what records did lately to the totals that /metrics shows."""
    count_events()


def sweep_store() -> None:
    """Removes what attempts left under way and nobody came back for, and content that nothing names."""
    try:
        removed = sweep()
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


def remove_old_versions() -> None:
    """Removes the versions of datasets that no rule keeps, and what only they needed."""
    try:
        retain()
    except Halted as exc:
        log.warning("datasets.not_retained", error=str(exc))


def move_due_times() -> None:
    """Moves due times that newer zone data have moved."""
    if count := replan():
        log.warning("jobs.replanned", count=count, zones=VERSION)


def draw_due_times_near() -> None:
    """Plans fires again that a wrong clock has planned too far ahead."""
    if count := draw_near():
        log.warning("jobs.drawn_near", count=count)


def forget() -> None:
    """Drops old events, messages of alerts, answers that were kept for requests that are sent again, plans of programs, and texts that the
    index keeps for a rollback no longer."""
    drop_old_answers()
    drop_old_plans()
    drop_old_deliveries()
    drop_old_messages()
    if count := drop_old_alerts():
        log.info("alerts.dropped", count=count)
    if count := drop_old_events():
        log.info("events.dropped", count=count)
    if count := drop_old_texts():
        log.info("index.texts_dropped", count=count)


def turn_the_ring() -> None:
    """Empties the slot of readings that were sent long ago, and opens it, when it is time."""
    if (slot := turn_ring()) is not None:
        log.info("ring.turned", slot=slot)


CHORES = (
    Chore("control.reap", "take back records of dead workers", None, take_back_records),
    Chore("control.count", "count what records did", 10, count_what_happened),
    Chore("control.replan", "plan again the fires that newer time zones move", 300, move_due_times),
    Chore(
        "control.draw_near",
        "plan again the fires that a wrong clock has put off",
        600,
        draw_due_times_near,
    ),
    Chore(
        "control.forget", "forget old events, and answers to requests of yesterday", 3600, forget
    ),
    Chore("control.turn_ring", "empty the oldest slot of sent readings", 300, turn_the_ring),
    Chore(
        "control.tidy_vectors", "drop vectors of models that are no longer used", 600, tidy_vectors
    ),
    Chore("control.retain", "remove versions that no rule keeps", 3600, remove_old_versions),
    Chore("control.sweep", "sweep partial files", 24 * 3600, sweep_store),
)
