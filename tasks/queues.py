"""The queues, each named once: settings, messages, canaries and workers' command lines are made from here.

A further queue is a line here and a module of this package with its name. A task belongs to the queue that its
name begins with.
"""

from __future__ import annotations

CONTROL = "control"  # the platform's own chores
SYNC = "sync"  # one message is one record to look at
DELIVER = "deliver"  # one message is one stream to deliver, or to speak for
INDEX = (
    "index"  # one message is one dataset whose index is behind; a process of its own consumes it
)

ALERTS = "alerts"  # a message says that alerts are to be sent; the process of `index` sends them

# A worker's threads beside those for records: so many streams at once, and two that are always free for what is
# quickly done.
DELIVERIES = 4
THREADS_BESIDE = DELIVERIES + 2

# Datasets that one process indexes at once, a thread that sends alerts, and one that is always free for what is quickly
# done.
INDEXED_AT_ONCE = 2
INDEX_THREADS = INDEXED_AT_ONCE + 2

QUEUES = (CONTROL, SYNC, DELIVER, INDEX, ALERTS)
# What a process beside the workers consumes, as `celery worker -Q` takes it. Indexing takes the processor for minutes,
# and alerts are sent by a child of 60 MB: no sync is to wait or to make room for them.
BESIDE = (INDEX, ALERTS)
CONSUMED_BESIDE = ",".join(BESIDE)
CONSUMED = ",".join(queue for queue in QUEUES if queue not in BESIDE)
ROUTES = {f"{queue}.*": {"queue": queue} for queue in QUEUES}


def name_canary(queue: str) -> str:
    """The task that a worker of this queue answers in the database."""
    return f"{queue}.canary"
