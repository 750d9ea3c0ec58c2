"""A table that is no sync record's is leased by its description alone: claimed, renewed, taken back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from syncjobs.claims.reaping import reap
from syncjobs.engine.progress import Progress
from syncjobs.engine.stops import CancelAsked, LeaseLost
from syncjobs.leases.heart import Heart
from syncjobs.leases.lease import Lease
from syncjobs.leases.leased import Leased, ToldColumn
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True, slots=True)
class Asked:
    stopped: bool
    bytes: int


TAILS = Leased(
    table="practice_tail",
    key="stream",
    key_type="bigint",
    told=(ToldColumn("bytes", "bigint", lambda snapshot: snapshot.bytes_transferred),),
    asks=("r.bytes", "r.stopped"),  # in another order than the fields
    answer=Asked,
    hear=lambda work, answer: work.ask_to_cancel() if answer.stopped else None,
    frees=("waiting_for = 'a worker'",),
)


@dataclass(frozen=True, slots=True)
class Tail:
    key: int
    token: int


@pytest.fixture(autouse=True)
def tails() -> Iterator[None]:
    ask(
        "CREATE TABLE practice_tail (stream bigint PRIMARY KEY, token bigint NOT NULL, lease_owner text,"
        " lease_expires_at timestamptz, bytes bigint DEFAULT 0, stopped boolean DEFAULT false,"
        " waiting_for text DEFAULT '')"
    )
    yield
    ask("DROP TABLE practice_tail")


def ask(statement: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def claim(stream: int, *, lease_s: int) -> Tail:
    ask(
        "INSERT INTO practice_tail (stream, token, lease_owner, lease_expires_at)"
        " VALUES (%s, 1, 'worker', now() + make_interval(secs => %s))",
        stream,
        lease_s,
    )
    return Tail(stream, 1)


@pytest.fixture
def held() -> Iterator[Lease]:
    heart = Heart("worker")
    lease = heart.hold(TAILS, claim(7, lease_s=-1), Progress())
    yield lease
    heart.release(lease)


def raises(lease: Lease, error: type[Exception]) -> bool:
    try:
        lease.check()
    except error:
        return True
    return False


def test_its_lease_is_renewed_and_tells_of_the_work(held: Lease) -> None:
    held.progress.received(5)
    renewed = "SELECT bytes FROM practice_tail WHERE lease_expires_at > now() AND bytes = 5"
    until(lambda: ask(renewed) == [(5,)], "the lease was not renewed")
    assert reap([TAILS], young_s=0) == 0


def test_its_work_hears_of_a_stop(held: Lease) -> None:
    ask("UPDATE practice_tail SET stopped = true")
    until(lambda: raises(held, CancelAsked), "the work did not hear of it")


def test_a_row_whose_lease_ran_out_is_freed_under_a_higher_token() -> None:
    claim(8, lease_s=60)
    stale = claim(7, lease_s=-1)
    reap(young_s=0)  # the first sweep of a database holds back
    assert reap([TAILS], young_s=0) == 1
    rows = ask("SELECT stream, token, lease_owner, waiting_for FROM practice_tail ORDER BY stream")
    assert rows == [(7, 2, None, "a worker"), (8, 1, "worker", "")]
    heart = Heart("worker")
    lease = heart.hold(TAILS, stale, Progress())
    until(lambda: raises(lease, LeaseLost), "the old claim did not learn of its loss")
    heart.release(lease)
    assert ask("SELECT token FROM practice_tail WHERE lease_owner IS NULL") == [(2,)]


def test_a_sweep_that_holds_back_frees_no_row(settings: Settings) -> None:
    claim(7, lease_s=-1)
    assert reap([TAILS], young_s=10**9) == 0
    settings.SYNC = dataclasses.replace(settings.SYNC, lease_s=1)
    assert reap([TAILS], young_s=0) == 1
