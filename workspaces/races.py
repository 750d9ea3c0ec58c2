"""Looks again after a lost race for a name.

Checks read what is committed, and two people who give one name pass them together. The database lets one row in
and refuses the other. By then the first row can be seen: the same request, worked at once more, is answered with
what the check says of it. So no surface needs words of its own for a race.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from django.db import IntegrityError
from psycopg.errors import UniqueViolation

log = structlog.get_logger(__name__)
T = TypeVar("T")

_LOOKS = 3  # the row that was in the way may go again, and another come


def is_taken(exc: IntegrityError) -> bool:
    """Whether somebody else's row was there first."""
    return isinstance(exc.__cause__, UniqueViolation)


def work_again_where_taken(work: Callable[[], T]) -> T:
    """`work` keeps its rows in a transaction of its own, so that a refused try leaves nothing. Raises
    IntegrityError where the rows of others stay in the way."""
    for _ in range(_LOOKS - 1):
        try:
            return work()
        except IntegrityError as exc:
            if not is_taken(exc):
                raise
            log.info("race.lost", reason=str(exc).splitlines()[0])
    return work()
