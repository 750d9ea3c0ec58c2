"""The queues, each named once: settings, messages, canaries and workers' command lines are made from here.

A further queue is a line here and a module of this package with its name. A task belongs to the queue that its
name begins with.
"""

from __future__ import annotations

CONTROL = "control"  # the platform's own chores
SYNC = "sync"  # one message is one record to look at
DELIVER = "deliver"  # one message is one stream to deliver, or to speak for

# A worker's threads beside those for records: so many streams at once, and two that are always free for what is
# quickly done.
DELIVERIES = 4
THREADS_BESIDE = DELIVERIES + 2

QUEUES = (CONTROL, SYNC, DELIVER)
CONSUMED = ",".join(QUEUES)  # what a worker consumes, as `celery worker -Q` takes it
ROUTES = {f"{queue}.*": {"queue": queue} for queue in QUEUES}


def name_canary(queue: str) -> str:
    """The task that a worker of this queue answers in the database."""
    return f"{queue}.canary"
