"""Beat: due jobs are claimed in SQL and rung for; chores come from django-celery-beat's rows.

It also takes back stuck records itself, for the chore that does so needs a worker that lives.

Any number of beats may run at once. A tick that fails is logged and the next one comes: time does not
stop because a database does.
"""

from __future__ import annotations

import atexit
import dataclasses
import time
from typing import Any

import structlog
from celery.beat import Service
from celery.signals import beat_init
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django_celery_beat.schedulers import DatabaseScheduler

from syncjobs.claims import presence
from syncjobs.claims.pulsing import BEAT, note_pulse
from syncjobs.claims.reaping import reap, reap_cancelled
from syncjobs.queries.halts import find_halt_here
from syncjobs.queueing.backfilling import advance_backfills
from syncjobs.queueing.dispatching import BATCH, dispatch_due
from tasks.bells import ring_canaries, ring_waiting

log = structlog.get_logger(__name__)

TICK_S = 1.0
SPELL_S = 2.0  # of dispatching a backlog, before chores and stuck records have their turn
CANARY_EVERY_S = 30.0


class SyncScheduler(DatabaseScheduler):  # type: ignore[misc]
    """django-celery-beat's scheduler for chores, and our own tick for jobs, once a second."""

    # Chores go over the pool, which gives up after seconds. A producer of the scheduler's own would wait
    # for a lost broker without end, and with it every due job.
    producer = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._next_dispatch = 0.0
        self._next_sweep = 0.0
        self._next_canary = 0.0
        self.name = presence.name_process()
        self._ticked_at = time.monotonic()
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """A beat that starts while the database is away waits for it; the chores are read at a tick."""
        try:
            super().setup_schedule()
        except DatabaseError as exc:
            self._have_no_chores(exc)

    def _have_no_chores(self, exc: DatabaseError) -> None:
        log.warning("beat.chores_failed", error=str(exc).splitlines()[0])
        connection.close()
        if self._schedule is None:  # a first reading that failed counts as done over there
            self._initial_read = True

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Seconds until the next tick."""
        self._ticked_at = time.monotonic()
        try:
            wait_s = float(super().tick(*args, **kwargs))
        except DatabaseError as exc:
            self._have_no_chores(exc)
            wait_s = TICK_S
        now = time.monotonic()
        if now >= self._next_dispatch:
            has_backlog = dispatch(self.name)
            self._next_dispatch = now if has_backlog else now + TICK_S
            sweeps = now >= self._next_sweep
            if sweeps:
                self._next_sweep = now + settings.SYNC.cleanup_interval_s
            take_back(everything=sweeps)
        if now >= self._next_canary:
            self._next_canary = now + CANARY_EVERY_S
            ring_canaries(self.name)
        return min(wait_s, max(0.0, self._next_dispatch - time.monotonic()))

    def look(self) -> presence.Load | None:
        """None where the loop stands still, whatever its other threads do."""
        stood_s = time.monotonic() - self._ticked_at
        return presence.Load() if stood_s < settings.SYNC.silent_s else None


@beat_init.connect  # type: ignore[untyped-decorator]
def appear(sender: Service, **_: Any) -> None:
    scheduler = sender.scheduler
    presence.tell_where_it_hangs()
    present = presence.Presence(scheduler.name, look=scheduler.look, part=presence.BEAT)
    present.appear()
    atexit.register(present.leave)


def dispatch(name: str) -> bool:
    """Serves what is due, says so, and rings for what waits; whether more is due that this spell had no time for.

    Each batch is a transaction of its own: other beats take theirs beside it, and what waits is rung for.
    """
    ends_at = time.monotonic() + SPELL_S
    try:
        if find_halt_here() is not None:
            ring_waiting()  # for what people ask for
            return False
        while True:
            served = dispatch_due(BATCH)
            backfilled = advance_backfills()
            # Before the ringing, which a broker may hold up: that is told by the queues' canaries.
            note_pulse(BEAT, holder=name, at_most_every_s=TICK_S / 2)
            ring_waiting()  # each time, because a stream of due jobs must not keep the waiting ones waiting
            if served.jobs:
                counts = dataclasses.asdict(served)
                log.info("fires.dispatched", **counts)
            if backfilled:
                log.info("fires.backfilled", queued=backfilled)
            if served.jobs < BATCH:
                return False
            if time.monotonic() > ends_at:
                return True
    except DatabaseError as exc:
        log.warning("beat.dispatch_failed", error=str(exc).splitlines()[0])
        connection.close()
        return False


def take_back(*, everything: bool) -> None:
    """Stuck records, or only those whose worker does not answer a cancel."""
    try:
        if count := reap() if everything else reap_cancelled():
            log.warning("records.reaped", count=count)
    except DatabaseError as exc:
        log.warning("beat.sweep_failed", error=str(exc).splitlines()[0])
        connection.close()
