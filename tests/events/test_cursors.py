"""A consumer reads the log in order and sees every event once, whoever commits late, reads beside it or dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from database.sessions import open_session
from events.cursors import EventCursor, Span
from events.models import CursorPlace, SyncEvent
from syncjobs.models import Pulse
from tests.events.rows import names_of_all, write, write_in
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


class Reader:
    """A consumer that remembers what it was given."""

    def __init__(self, name: str = "test", **options: int) -> None:
        self.cursor = EventCursor(name, **options)
        self.seen: list[str] = []

    def take(self, span: Span) -> None:
        self.seen += span.events().values_list("event", flat=True)

    def read(self) -> list[str]:
        self.cursor.read_all(self.take)
        return self.seen


@pytest.fixture
def session() -> Iterator[Any]:
    with closing(open_session(statement_timeout_s=30, name="test")) as opened:
        yield opened


def test_events_come_in_order_and_each_once() -> None:
    reader = Reader()
    write("first", "second")
    write("third")
    assert reader.read() == ["first", "second", "third"]
    write("fourth")
    assert reader.read() == ["first", "second", "third", "fourth"]


def test_a_part_is_read_at_once_where_there_are_many() -> None:
    reader = Reader(at_once=2)
    write("a", "b", "c", "d", "e")
    parts: list[list[str]] = []
    while reader.cursor.read(reader.take):
        parts.append(reader.seen)
        reader.seen = []
    assert parts == [["a", "b"], ["c", "d"], ["e"]]


def test_each_consumer_has_a_place_of_its_own() -> None:
    one, other = Reader("one"), Reader("other")
    write("first")
    assert one.read() == ["first"]
    write("second")
    assert other.read() == ["first", "second"]
    assert one.read() == ["first", "second"]


def test_an_event_that_is_committed_after_later_ones_is_not_missed(session: Any) -> None:
    reader = Reader()
    with session.transaction():
        write_in(session, "early")  # has its id, and nobody sees it yet
        write("late")
        assert reader.read() == []
        write("later")
        assert reader.read() == []
    assert reader.read() == ["early", "late", "later"]


def test_an_event_that_is_undone_holds_nothing_up(session: Any) -> None:
    reader = Reader()
    session.execute("BEGIN")
    write_in(session, "undone")
    write("kept")
    assert reader.read() == []
    session.execute("ROLLBACK")
    assert reader.read() == ["kept"]


@contextmanager
def paused_inserts(event: str) -> Iterator[None]:
    """Whoever inserts that event waits between drawing its id and writing its row, where it is not known to
    the database as a writer of anything."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_advisory_lock_shared(77); PERFORM pg_advisory_unlock_shared(77);"
            " RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER pause BEFORE INSERT ON events_syncevent FOR EACH ROW"
            f" WHEN (NEW.event = '{event}') EXECUTE FUNCTION pause()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER pause ON events_syncevent")
            cursor.execute("DROP FUNCTION pause")


def is_waiting(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE application_name = %s AND wait_event_type = 'Lock')",
            [name],
        )
        return bool(cursor.fetchone()[0])


def test_a_writer_between_its_id_and_its_row_is_waited_for(session: Any) -> None:
    reader = Reader()
    write("first")  # draws ids ahead, so that the next one leaves no trace of its own
    reader.read()
    with (
        closing(open_session(statement_timeout_s=30, name="slow writer")) as slow,
        ThreadPoolExecutor(1) as pool,
        paused_inserts("slow"),
    ):
        session.execute("SELECT pg_advisory_lock(77)")
        writing = pool.submit(write_in, slow, "slow")
        until(lambda: is_waiting("slow writer"), "nobody waited")
        write("quick")
        assert reader.read() == ["first"]
        session.execute("SELECT pg_advisory_unlock(77)")
        writing.result()
        assert reader.read() == ["first", "slow", "quick"]


def test_a_long_transaction_that_writes_no_event_holds_nothing_up(session: Any) -> None:
    reader = Reader()
    with session.transaction():
        session.execute("INSERT INTO syncjobs_pulse (part, at, holder) VALUES ('x', now(), '')")
        write("first")
        assert reader.read() == ["first"]


def test_what_is_settled_is_read_while_others_go_on_writing(session: Any) -> None:
    """Where some writer is always under way, one that began after the look holds up nothing."""
    reader = Reader()
    with closing(open_session(statement_timeout_s=30, name="test")) as early:
        early.execute("BEGIN")
        write_in(early, "a")
        write("b")
        assert reader.read() == []
        with session.transaction():
            write_in(session, "c")
            assert reader.read() == []
            early.execute("COMMIT")
            assert reader.read() == ["a", "b"]
    assert reader.read() == ["a", "b", "c"]


def test_two_readers_of_one_name_take_turns() -> None:
    first, second, other = Reader(), Reader(), Reader("other")
    write("a", "b")

    def take(span: Span) -> None:
        first.take(span)
        with ThreadPoolExecutor(1) as pool:  # meanwhile, in a session of its own
            assert pool.submit(elsewhere, second.read).result() == []
            assert pool.submit(elsewhere, other.read).result() == ["a", "b"]

    first.cursor.read(take)
    assert first.seen == ["a", "b"]
    assert second.read() == []


def elsewhere(look: Callable[[], list[str]]) -> list[str]:
    try:
        return look()
    finally:
        connection.close()


def test_what_a_consumer_cannot_take_comes_again() -> None:
    reader = Reader()
    write("a")

    def fail(span: Span) -> None:
        Pulse.objects.create(part="half done", at=span.events()[0].at)
        raise RuntimeError("the consumer has an error")

    with pytest.raises(RuntimeError, match="has an error"):
        reader.cursor.read(fail)
    assert not Pulse.objects.exists()
    assert reader.read() == ["a"]


CONSUMER = """
import sys, django
django.setup()
from events.cursors import EventCursor
from syncjobs.models import Pulse

def take(span):
    for event in span.events():
        Pulse.objects.create(part=event.event, at=event.at)
    print("read", flush=True)
    sys.stdin.readline()

EventCursor("test").read(take)
"""


def test_a_reader_that_is_killed_before_its_commit_has_read_nothing() -> None:
    write("a", "b")
    words = connection.settings_dict
    place = f"{words['HOST']}:{words['PORT']}/{words['NAME']}"
    consumer = subprocess.Popen(
        [sys.executable, "-c", CONSUMER],
        env=os.environ
        | {"DATABASE_URL": f"postgresql://{words['USER']}:{words['PASSWORD']}@{place}"},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with consumer:
        assert consumer.stdout is not None
        assert consumer.stdout.readline() == "read\n"
        consumer.kill()
    reader = Reader()
    assert until(reader.read, "the killed reader still holds the cursor") == ["a", "b"]
    assert not Pulse.objects.exists()


def test_many_writers_and_readers_at_once_lose_and_double_nothing() -> None:
    """Each writer begins several events before it commits, and undoes some."""
    ready = threading.Barrier(8)
    stopped = threading.Event()
    readers = [Reader() for _ in range(3)]

    def write_many(writer: int) -> None:
        with closing(open_session(statement_timeout_s=30, name="writer")) as own:
            ready.wait(30)
            for turn in range(80):
                own.execute("BEGIN")
                for number in range(1 + (writer + turn) % 4):
                    write_in(own, f"{writer} {turn} {number}")
                own.execute("ROLLBACK" if (writer + turn) % 5 == 0 else "COMMIT")

    def read_on(reader: Reader) -> None:
        connection.ensure_connection()
        ready.wait(30)
        while not stopped.is_set():
            reader.read()
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        reading = [pool.submit(read_on, reader) for reader in readers]
        for writing in [pool.submit(write_many, writer) for writer in range(5)]:
            writing.result()
        stopped.set()
        for each in reading:
            each.result()
    while readers[0].cursor.read(readers[0].take):
        pass
    seen = Counter(name for reader in readers for name in reader.seen)
    assert seen == Counter(names_of_all())
    assert CursorPlace.objects.get().passed_id == SyncEvent.objects.latest("pk").pk


def test_a_restored_dump_is_read_on() -> None:
    """The transactions that its cursors waited for are of another server."""
    reader = Reader()
    write("a")
    CursorPlace.objects.create(
        name="test", seen_id=SyncEvent.objects.latest("pk").pk, writers=["250/1000000"]
    )
    assert reader.read() == ["a"]
