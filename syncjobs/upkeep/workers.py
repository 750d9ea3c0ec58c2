"""This worker process: its name, its heart, its slots, and its row of presence."""

from __future__ import annotations

import threading
import uuid

from django.conf import settings

from syncjobs.attempt.execution import execute_attempt
from syncjobs.attempt.parking import park_without_room
from syncjobs.claims.claiming import leave_without_store
from syncjobs.claims.halting import leave_to_person
from syncjobs.claims.presence import INDEX, WORKER, Load, Presence, name_process
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.queries.halts import read_installation
from syncjobs.records.lines import EndLine


class Worker:
    """Works on at most `slots` records at once; a process has one. The process of the queue `index` has no slots."""

    def __init__(self, slots: int, part: str = WORKER) -> None:
        self.name = name_process()
        self.heart = Heart(self.name)
        self.presence = Presence(self.name, slots, self._look, part=part)
        self._slots = threading.BoundedSemaphore(slots)
        self._counting = threading.Lock()
        self._running = 0

    def work_on(self, record_id: uuid.UUID) -> State | None:
        """Returns the state in which the record is left; None: see `attempt`."""
        line = self.attempt(record_id)
        return None if line is None else State(line.state)

    def attempt(self, record_id: uuid.UUID) -> EndLine | None:
        """Returns how the attempt ended; None where there was nothing to do, and if every slot is taken, the store is
        not here, a restore has halted this host, or the store's disk is nearly full: the record stays queued, and beat
        sends its message again."""
        if self.heart.draining or not self._slots.acquire(blocking=False):
            return None
        self._count(1)
        try:
            if self._has_to_wait(record_id):
                return None
            return execute_attempt(record_id, self.heart)
        finally:
            self._count(-1)
            self._slots.release()

    def _has_to_wait(self, record_id: uuid.UUID) -> bool:
        known = read_installation()
        return (
            leave_without_store(record_id, known)
            or leave_to_person(record_id, known)
            or park_without_room(record_id)
        )

    def drain(self) -> None:
        """Every record in work goes back to the queue; no new one is taken."""
        self.heart.drain()
        self.presence.tell_now()

    def _count(self, change: int) -> None:
        with self._counting:
            self._running += change

    def _look(self) -> Load:
        return Load(self._running, self.heart.draining)


_lock = threading.Lock()
_worker: Worker | None = None


def this_worker() -> Worker:
    global _worker
    with _lock:
        if _worker is None:
            _worker = Worker(settings.SYNC.sync_concurrency)
        return _worker


def be_indexer() -> Worker:
    """This process takes no records: it consumes the queue `index` alone. Call it before anything asks `this_worker`."""
    global _worker
    with _lock:
        if _worker is None:
            _worker = Worker(0, INDEX)
        return _worker
