"""This worker process: its name, its heart, its slots."""

from __future__ import annotations

import os
import socket
import threading
import uuid

from django.conf import settings

from syncjobs.core.states import State
from syncjobs.lifecycle.execution import execute
from syncjobs.lifecycle.heartbeat import Heart


class Worker:
    """Works on at most `slots` records at once; a process has one."""

    def __init__(self, slots: int) -> None:
        name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
        self.heart = Heart(name)
        self._slots = threading.BoundedSemaphore(slots)

    def work_on(self, record_id: uuid.UUID) -> State | None:
        """None also where every slot is taken: the record stays queued for whoever is free first."""
        if self.heart.draining or not self._slots.acquire(blocking=False):
            return None
        try:
            return execute(record_id, self.heart)
        finally:
            self._slots.release()

    def drain(self) -> None:
        """Every record in work goes back to the queue; no new one is taken."""
        self.heart.drain()


_lock = threading.Lock()
_worker: Worker | None = None


def this_worker() -> Worker:
    global _worker
    with _lock:
        if _worker is None:
            _worker = Worker(settings.SYNC.sync_concurrency)
        return _worker
