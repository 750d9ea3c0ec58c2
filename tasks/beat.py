"""Beat: its own duties (`tasks.duties`) once a second; chores come from django-celery-beat's rows.

Any number of beats may run at once.
"""

from __future__ import annotations

import atexit
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
from tasks.duties import TICK_S, Rota

log = structlog.get_logger(__name__)


class SyncScheduler(DatabaseScheduler):  # type: ignore[misc]
    """django-celery-beat's scheduler for chores, and beat's own duties beside it."""

    # Chores go over the pool, which gives up after seconds. A producer of the scheduler's own would wait
    # for a lost broker without end, and with it every due job.
    producer = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.name = presence.name_process()
        self._rota = Rota(self.name)
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
        return min(wait_s, self._rota.turn())

    def look(self) -> presence.Load | None:
        """Returns None if the loop stands still, whatever its other threads do."""
        stood_s = time.monotonic() - self._ticked_at
        return presence.Load() if stood_s < settings.SYNC.silent_s else None


@beat_init.connect  # type: ignore[untyped-decorator]
def appear_as_beat(sender: Service, **_: Any) -> None:
    scheduler = sender.scheduler
    presence.tell_where_it_hangs()
    present = presence.Presence(scheduler.name, look=scheduler.look, part=presence.BEAT)
    present.appear()
    atexit.register(present.leave)
