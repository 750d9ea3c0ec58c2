"""A canary in each queue: whoever runs it says that the queue is consumed.

Records never take every thread of a worker: it has two to spare.
"""

from __future__ import annotations

from celery import shared_task

from syncjobs.claims.pulsing import note_canary_answered
from syncjobs.upkeep.workers import this_worker
from tasks.queues import QUEUES, name_canary


def make_canary(queue: str) -> None:
    @shared_task(name=name_canary(queue))  # type: ignore[untyped-decorator]
    def answer() -> None:
        note_canary_answered(queue, holder=this_worker().name)


for _queue in QUEUES:
    make_canary(_queue)
