"""Sessions beside each other: who waits for whose lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connection, transaction

from database.sessions import open_session
from tests.waiting import until

T = TypeVar("T")


def race(runners: Sequence[Callable[[], T]], *, table: str) -> list[T]:
    """What each comes to, when all have passed their checks together: a lock lets them read, and write when all
    have come so far. All of them write to `table`, or wait for one that does."""
    with ThreadPoolExecutor(len(runners)) as pool:
        with transaction.atomic():
            _execute(f"LOCK TABLE {table} IN SHARE MODE")
            running = [pool.submit(in_a_session, runner) for runner in runners]
            until(lambda: count_waiting() == len(runners), "not all came to the lock")
        return [one.result() for one in running]


def meet(work: Callable[[], T], *, hold: Callable[[], object], rest: Callable[[], object]) -> T:
    """What `work` comes to, when it finds rows that somebody else has locked by `hold`, who then does `rest` and is done.
    Fails where the two wait for each other."""
    with ThreadPoolExecutor(1) as beside:
        with transaction.atomic():
            hold()
            working = beside.submit(in_a_session, work)
            until(lambda: count_waiting() or working.done(), "it did not come to the rows")
            assert not working.done(), f"it waited for nothing: {working.result()}"
            rest()
        return working.result(60)


@contextmanager
def locked_by_another(statement: str, parameters: Sequence[Any]) -> Iterator[None]:
    """Another session has these rows; this one waits 0.2 s at most for any."""
    with open_session(statement_timeout_s=60, name="another") as holder, holder.transaction():
        assert holder.execute(statement, parameters).rowcount == 1
        _execute("SET lock_timeout = '200ms'")
        try:
            yield
        finally:
            _execute("RESET lock_timeout")


def in_a_session(call: Callable[[], T]) -> T:
    """What it comes to, for a thread of its own, whose session ends with it."""
    try:
        return call()
    finally:
        connection.close()


def count_waiting() -> int:
    """How many sessions of this database wait for a lock of another."""
    _execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees its first look again
    rows = _execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(rows[0][0])


def _execute(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []
