"""Workers are killed at each named point of a row sync, beside writers, and nothing is torn or missing.

The checker knows the source alone: transfers between rows keep a sum, so every committed state of the table has it; and
at rest both tables have one digest.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now
from pytest_django import Settings

from syncjobs.claims.reaping import reap
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.works.rows.failpoints import AFTER_COMMIT, BEFORE_COMMIT, FENCED, READ, STAGED
from tests.answering import Ask, answering
from tests.hosts.databases import Database, making_database
from tests.rows import fresh, make_connector, make_job
from tests.rowwork.conftest import table_of
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

ROWS = 1000
POINTS = (FENCED, READ, STAGED, BEFORE_COMMIT, AFTER_COMMIT)


@pytest.fixture
def shop(settings: Settings) -> Iterator[Database]:
    settings.OWN_LISTENERS = ()
    with making_database() as database:
        database.session.execute(
            "CREATE TABLE accounts (id bigint PRIMARY KEY, cents bigint, words text)"
        )
        database.session.execute(
            "INSERT INTO accounts SELECT n, 100, repeat('x', 40) FROM generate_series(1, %s) n",
            [ROWS],
        )
        yield database


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    database = connection.settings_dict
    url = (
        f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
        f"/{database['NAME']}"
    )
    with answering("tests.rowwork.row_forks", tmp_path / "forks.log", DATABASE_URL=url) as asking:
        yield asking


@pytest.fixture
def job(shop: Database) -> SyncJob:
    connector = make_connector(shop.target(), kind="sql")
    return make_job(connector, entity={"table": "accounts"}, name="accounts")


class Bank:
    """Writes at the source: transfers, new accounts without a cent, and transactions that commit late."""

    def __init__(self, shop: Database, seed: int) -> None:
        self._shop = shop
        self._chance = random.Random(seed)  # noqa: S311 — repeatable
        self._accounts = ROWS
        self._late: psycopg.Connection[Any] | None = None

    def work(self) -> None:
        for _ in range(5):
            self._transfer(self._shop.session)
        self._accounts += 1
        self._shop.session.execute(f"INSERT INTO accounts VALUES ({self._accounts}, 0, 'new')")  # noqa: S608
        self.settle()
        self._late = self._shop.connect()
        self._accounts += 1
        self._late.execute(f"INSERT INTO accounts VALUES ({self._accounts}, 0, 'late')")  # noqa: S608

    def settle(self) -> None:
        """What was begun before the last sync commits behind it."""
        if self._late is not None:
            self._late.commit()
            self._late.close()
            self._late = None

    def _transfer(self, session: psycopg.Connection[Any]) -> None:
        of, to = self._chance.sample(range(1, ROWS + 1), 2)
        cents = self._chance.randrange(1, 50)
        session.execute(
            "UPDATE accounts SET cents = cents + CASE id WHEN %s THEN -%s::bigint ELSE %s::bigint END"
            " WHERE id IN (%s, %s)",
            [of, cents, cents, of, to],
        )


def look(job: SyncJob) -> tuple[int, str]:
    """The sum and the digest of what the destination holds now."""
    table = table_of(job, "public.accounts")
    with connection.cursor() as cursor:
        digest = "md5(string_agg((id, cents, words)::text, '' ORDER BY id))"
        place = f"{table.schema}.accounts"
        cursor.execute(f"SELECT coalesce(sum(cents), 0), coalesce({digest}, '') FROM {place}")  # noqa: S608
        return tuple(cursor.fetchone())


def digest_of(shop: Database) -> str:
    [digest] = shop.session.execute(
        "SELECT md5(string_agg((id, cents, words)::text, '' ORDER BY id)) FROM accounts"
    ).fetchone() or [""]
    return str(digest)


def go_on(
    ask: Ask,
    record: SyncRecord,
    failpoint: str = "",
    *,
    between: list[str] | None = None,
    late_mark: bool = False,
) -> bool:
    """Whether the worker was killed. What it held is taken back, as a lease after its death."""
    told = ask(
        {
            "record": str(record.pk),
            "failpoint": failpoint,
            "between": between,
            "late_mark": late_mark,
        }
    )
    if fresh(record).state == State.RUNNING:
        SyncRecord.objects.filter(pk=record.pk).update(
            lease_expires_at=Now() - timedelta(seconds=1)
        )
        # Its transaction may still be on its way out.
        until(lambda: reap(young_s=0), "the record was not taken back")
    SyncRecord.objects.filter(pk=record.pk, state=State.QUEUED).update(
        not_before=None, crash_count=0
    )
    return bool(told["killed"])


def test_t19_workers_that_are_killed_leave_no_torn_state_and_no_row_behind(
    job: SyncJob, shop: Database, ask: Ask
) -> None:
    chance = random.Random(1)  # noqa: S311 — repeatable
    bank, kills, published = Bank(shop, 1), 0, False
    rounds = [(point, mode) for mode in SyncMode for point in POINTS]
    for point, mode in rounds:
        bank.work()
        record = enqueue(job, trigger=Trigger.MANUAL, mode=mode)
        nth = chance.randrange(1, 3) if point in (READ, STAGED) and mode == SyncMode.FULL else 1
        kills += go_on(ask, record, f"{point}:{nth}")
        published = published or fresh(record).dataset_version is not None
        if published:
            assert look(job)[0] == 100 * ROWS
        bank.work()
        for _ in range(4):
            if fresh(record).state in FINAL:
                break
            go_on(ask, record)
        assert (fresh(record).state, record.error, point) == (State.SUCCEEDED, "", point)
        published = True
        assert look(job)[0] == 100 * ROWS
    bank.settle()
    last = enqueue(job, trigger=Trigger.MANUAL)
    go_on(ask, last)
    assert fresh(last).state == State.SUCCEEDED
    assert kills >= len(rounds) - 2
    assert look(job)[1] == digest_of(shop)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM syncproject_staging.checkpoint WHERE table_id = %s",
            [table_of(job, "public.accounts").pk],
        )
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("late_mark", [False, True])
def test_the_checker_sees_a_mark_that_is_taken_after_the_reading(
    job: SyncJob, shop: Database, ask: Ask, late_mark: bool
) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    commits = [shop.url, "INSERT INTO accounts VALUES (5000, 0, 'between')"]
    go_on(ask, record, between=commits, late_mark=late_mark)
    assert fresh(record).state == State.SUCCEEDED
    go_on(ask, enqueue(job, trigger=Trigger.MANUAL))
    assert (look(job)[1] == digest_of(shop)) is not late_mark


@pytest.mark.parametrize("apart", [False, True])
def test_the_checker_sees_a_checkpoint_that_outlives_its_rows(
    job: SyncJob, shop: Database, ask: Ask, apart: bool
) -> None:
    go_on(ask, enqueue(job, trigger=Trigger.MANUAL))  # what a first load stages is logged
    record = enqueue(job, trigger=Trigger.MANUAL, mode=SyncMode.FULL)
    assert go_on(ask, record, STAGED)
    kept = "LOGGED" if apart else "UNLOGGED"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE syncproject_staging.checkpoint SET {kept}")
        crash(cursor)
    go_on(ask, record)
    assert fresh(record).state == State.SUCCEEDED
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE syncproject_staging.checkpoint SET UNLOGGED")
    assert (look(job)[1] == digest_of(shop)) is not apart


def crash(cursor: Any) -> None:
    """What a crash of PostgreSQL does to UNLOGGED tables: it empties them all."""
    cursor.execute(
        "SELECT format('TRUNCATE %I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE c.relpersistence = 'u' AND c.relkind = 'r'"
    )
    for [statement] in cursor.fetchall():
        cursor.execute(statement)
