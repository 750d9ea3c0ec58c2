"""Works at a change again that has lost a race.

Checks read what is committed, and two people who give one name pass them together. The database lets one row in
and refuses the other. By then the first row can be seen: the same request, worked at once more, is answered with
what the check says of it. So no surface needs words of its own for a race.

And two changes may wait for each other's rows. The database ends one of them, which finds the other one's rows
free when it is worked at again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from django.db import DatabaseError
from psycopg.errors import DeadlockDetected, LockNotAvailable, UniqueViolation

log = structlog.get_logger(__name__)
T = TypeVar("T")

STILL_TAKEN = "Others keep making and removing the same thing: ask again."
BUSY = "Others are changing the same things just now: ask again."
BUSY_FOR_S = 1

_TRIES = 3  # the row that was in the way may go again, and another come


def is_taken(exc: BaseException) -> bool:
    """Whether somebody else's row was there first."""
    return isinstance(exc.__cause__, UniqueViolation)


def is_busy(exc: BaseException) -> bool:
    """Whether somebody else had the rows for too long, or waited for ours as we did for theirs."""
    return isinstance(exc.__cause__, DeadlockDetected | LockNotAvailable)


def work_again_after_races(work: Callable[[], T]) -> T:
    """`work` keeps its rows in a transaction of its own, so that a try that fails leaves nothing. Raises
    DatabaseError where others stay in the way."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except DatabaseError as exc:
            if not isinstance(exc.__cause__, UniqueViolation | DeadlockDetected):
                raise
            log.info("race.lost", reason=str(exc).splitlines()[0])
    return work()
