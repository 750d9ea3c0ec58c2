"""Who is silent, by what a watcher saw: seconds of its own clock, given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from embedded import watchdog
from embedded.watchdog import Watch
from tests.servers import servers

THEN = datetime(2026, 1, 1, tzinfo=UTC)
CHILD = 4711


def make_watch() -> Watch:
    return Watch(silent_s=60, start_s=180, gap_s=30)


def tell(watch: Watch, *moments: float, clock: datetime = THEN) -> None:
    """The child told of itself at each of these looks."""
    for now in moments:
        watch.note({CHILD: clock + timedelta(seconds=now)}, now)


def repeat(watch: Watch, seen_at: float, *moments: float) -> None:
    """The looks saw the same row."""
    for now in moments:
        watch.note({CHILD: THEN + timedelta(seconds=seen_at)}, now)


def test_a_row_that_does_not_move_tells_a_stuck_process() -> None:
    watch = make_watch()
    tell(watch, 100, 105, 110)
    repeat(watch, 110, *range(115, 171, 5))
    assert watch.silence_s(CHILD, 90) is None
    repeat(watch, 110, 175)
    assert watch.silence_s(CHILD, 90) == 65


def test_while_the_database_does_not_answer_nobody_is_silent() -> None:
    watch = make_watch()
    tell(watch, 100, 105)
    for now in range(110, 300, 5):
        watch.note(None, now)
        assert watch.silence_s(CHILD, 90) is None
    repeat(watch, 105, *range(300, 361, 5))  # it is back, and each is given the whole time again
    assert watch.silence_s(CHILD, 90) is None
    repeat(watch, 105, 365)
    assert watch.silence_s(CHILD, 90) == 65


def test_a_watcher_that_slept_has_seen_nothing() -> None:
    watch = make_watch()
    tell(watch, 100, 105)
    repeat(watch, 105, 500)
    assert watch.silence_s(CHILD, 90) is None


def test_a_jump_of_the_databases_clock_makes_nobody_silent() -> None:
    watch = make_watch()
    tell(watch, 100, 105)
    tell(watch, *range(110, 300, 5), clock=THEN + timedelta(days=400))
    assert watch.silence_s(CHILD, 90) is None
    tell(watch, *range(300, 600, 5))
    assert watch.silence_s(CHILD, 90) is None


def test_a_start_is_given_longer_whatever_an_earlier_process_left() -> None:
    watch = make_watch()
    repeat(watch, 0, *range(100, 281, 5))  # a row of one that had the same number
    assert watch.silence_s(CHILD, 100) is None
    repeat(watch, 0, 285)
    assert watch.silence_s(CHILD, 100) == 185
    tell(watch, 290)
    assert watch.silence_s(CHILD, 100) is None
    repeat(watch, 290, *range(295, 361, 5))
    assert watch.silence_s(CHILD, 100) == 70
    assert watch.silence_s(CHILD, 355) is None  # it was started again


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_no_writes_does_not_answer() -> None:
    from django.db import connection

    name = connection.settings_dict["NAME"]
    url = f"{servers().database_url.rpartition('/')[0]}/{name}"
    assert watchdog.look(url) == {}
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    try:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            watchdog.look(url)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
