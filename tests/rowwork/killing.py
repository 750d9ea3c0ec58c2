"""`python -m tests.rowwork.killing`: workers and servers are killed while tables are synced, beside writers; status 1
where a reader saw a torn table, a row was missing, or a record ended as it should not.

One job fills a table at home, another one in a database on a server of its own; the source has a third server. Each
record is killed at a named point, at any time, or by the crash of one of the three servers, and goes on until it ends.
The writer moves cents from row to row, so each committed state of the source has one sum, and so has each copy of it.
It adds rows and deletes rows that hold no cent; some of its transactions commit late.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg

from benchmarks import stand
from benchmarks.rows.__main__ import other_server
from tests.answering import Ask, answering

if TYPE_CHECKING:
    from farends.spec import Target
    from syncjobs.models import SyncJob, SyncRecord

ROWS, CENTS = 1_000, 100
CRASH, ANY_TIME = "crash", "any time"
MUTANTS = ("late_mark", "logged_checkpoint")
REST_EVERY = 10  # records
_DIGEST = "SELECT id, cents, words FROM {} ORDER BY id"


@dataclass
class Seen:
    """What the run has met."""

    kills: Counter[str] = field(default_factory=Counter)
    records: int = 0
    looks: int = 0
    findings: list[str] = field(default_factory=list)

    def find(self, words: str) -> None:
        self.findings.append(words)
        say(f"FOUND {words}")


class Writer(threading.Thread):
    """Writes at the source until it ends, with pauses that the run asks for. A crash of the server costs it a
    transaction."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(name="writer", daemon=True)
        self._url = url
        self._chance = random.Random(seed)  # noqa: S311 — repeatable
        self._next = ROWS
        self._may_write, self._ended = threading.Event(), threading.Event()
        self._turn = threading.Lock()
        self._late: psycopg.Connection[Any] | None = None

    def run(self) -> None:
        while not self._ended.is_set():
            self._may_write.wait()
            with self._turn, suppress(psycopg.OperationalError):
                self._write()
            self._ended.wait(0.02)

    def resume(self) -> None:
        self._may_write.set()

    def rest(self) -> None:
        """Returns when nothing is being written, and all is committed."""
        self._may_write.clear()
        with self._turn:
            self._settle()

    def end(self) -> None:
        self._ended.set()
        self.resume()
        self.join()

    def _write(self) -> None:
        with psycopg.connect(self._url) as session:
            for _ in range(3):
                self._transfer(session)
            session.execute(
                "DELETE FROM accounts WHERE cents = 0 AND id > %s AND id %% 3 = 0", [ROWS]
            )
            self._add(session, "new")
        if self._chance.random() < 0.3:
            self._settle()
            self._late = psycopg.connect(self._url)
            self._add(self._late, "late")

    def _settle(self) -> None:
        late, self._late = self._late, None
        if late is not None:
            with closing(late), suppress(psycopg.OperationalError):
                late.commit()

    def _add(self, session: psycopg.Connection[Any], words: str) -> None:
        self._next += 1
        session.execute("INSERT INTO accounts VALUES (%s, 0, %s)", [self._next, words])

    def _transfer(self, session: psycopg.Connection[Any]) -> None:
        of, to = self._chance.sample(range(1, ROWS + 1), 2)
        cents = self._chance.randrange(1, 50)
        session.execute(
            "UPDATE accounts SET cents = cents + CASE id WHEN %s THEN -%s::bigint ELSE %s::bigint END"
            " WHERE id IN (%s, %s)",
            [of, cents, cents, of, to],
        )


class Reader(threading.Thread):
    """Looks at a copy all the time: it must have the sum whenever it can be seen."""

    def __init__(self, copy: Copy, seen: Seen) -> None:
        super().__init__(name="reader", daemon=True)
        self._copy, self._seen = copy, seen
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.03):
            with suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable):
                total = self._copy.sum_up()
                self._seen.looks += 1
                if total != ROWS * CENTS:
                    self._seen.find(f"{self._copy.name} was torn: it holds {total} cents")

    def end(self) -> None:
        self._ended.set()
        self.join()


@dataclass(frozen=True)
class Copy:
    """A job and its table: `url` is that of the database, `server` what crashes with it."""

    name: str
    job: SyncJob
    url: str
    table: str

    def sum_up(self) -> int:
        [total] = self._ask(f"SELECT sum(cents)::bigint FROM {self.table}")[0]  # noqa: S608 — our own names
        return int(total or 0)

    def rows(self) -> dict[int, tuple[int, str]]:
        return {row[0]: row[1:] for row in self._ask(_DIGEST.format(self.table))}

    def _ask(self, query: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as session:
            return session.execute(query.encode()).fetchall()


class Run:
    def __init__(self, source: str, copies: list[Copy], ask: Ask, seed: int, mutant: str) -> None:
        self.seen = Seen()
        self._source = source
        self._copies = copies
        self._ask = ask
        self._mutant = mutant
        self._chance = random.Random(seed)  # noqa: S311 — repeatable
        self._writer = Writer(source, seed)
        self._took_s = 0.6  # what an attempt that nobody disturbs takes

    def go(self, kills: int) -> None:
        readers = [Reader(copy, self.seen) for copy in self._copies]
        for thread in (self._writer, *readers):
            thread.start()
        try:
            while self.seen.kills.total() < kills and not self.seen.findings:
                self._round()
            self._rest()
        finally:
            self._writer.end()
            for reader in readers:
                reader.end()

    def _round(self) -> None:
        self._writer.resume()
        for copy in self._copies:
            for _ in range(REST_EVERY // 2):
                self._sync(copy, self._chance.choice(("incremental", "full")), kills=2)
        self._rest()

    def _rest(self) -> None:
        """Nobody writes: an incremental brings what is missing, a whole reading takes away what is gone."""
        self._writer.rest()
        with psycopg.connect(self._source, autocommit=True) as session:
            found = session.execute(_DIGEST.format("accounts").encode()).fetchall()
        wanted = {row[0]: row[1:] for row in found}
        for copy in self._copies:
            self._sync(copy, "incremental", kills=0)
            held = copy.rows()
            if missing := [key for key in wanted if held.get(key) != wanted[key]]:
                self.seen.find(f"{copy.name} lacks rows, or has old ones: {missing[:10]}")
            self._sync(copy, "full", kills=0)
            if copy.rows() != wanted:
                self.seen.find(f"{copy.name} does not equal its source after a whole reading")

    def _sync(self, copy: Copy, mode: str, kills: int) -> None:
        from syncjobs.core.states import FINAL, State
        from syncjobs.models import SyncMode, Trigger
        from syncjobs.queueing.enqueueing import enqueue

        record = enqueue(copy.job, trigger=Trigger.MANUAL, mode=SyncMode(mode))
        for turn in range(12):
            if record.state in FINAL:
                break
            self._work(copy, record, is_killed=turn < kills)
        self.seen.records += 1
        if (record.state, record.error) != (State.SUCCEEDED, ""):
            self.seen.find(f"{copy.name}: a record ended {record.state}: {record.error}")

    def _work(self, copy: Copy, record: SyncRecord, *, is_killed: bool) -> None:
        from syncjobs.works.rows.failpoints import (
            AFTER_COMMIT,
            BEFORE_COMMIT,
            FENCED,
            READ,
            STAGED,
        )

        if self._mutant == "logged_checkpoint":
            self._log_checkpoints()
        order: dict[str, Any] = {
            "record": str(record.pk),
            "failpoint": "",
            "late_mark": self._mutant == "late_mark",
        }
        way = ""
        if is_killed:
            ways = (FENCED, READ, STAGED, BEFORE_COMMIT, AFTER_COMMIT, ANY_TIME, ANY_TIME, CRASH)
            way = self._chance.choice(ways[-1:] if self._mutant == "logged_checkpoint" else ways)
            if way in (ANY_TIME, CRASH):
                order["after_s"] = self._chance.uniform(0, self._took_s)
            else:
                order["failpoint"] = f"{way}:{self._chance.choice((1, 1, 2, 5))}"
        began = time.monotonic()
        if way == CRASH:
            urls = [self._source, *(each.url for each in self._copies)]
            # The others crash without meeting what this mutant does.
            url = copy.url if self._mutant == "logged_checkpoint" else self._chance.choice(urls)
            way = f"{CRASH} of {self._name_server(url)}"
            # A process of a server that is killed takes all sessions along, and what is UNLOGGED is emptied.
            with closing(psycopg.connect(url)) as victim:
                self._ask(order | {"crashes": victim.info.backend_pid})
            self.seen.kills[way] += 1
        elif self._ask(order)["killed"]:
            self.seen.kills[way] += 1
        elif not way:
            self._took_s = time.monotonic() - began
        for url in (self._source, *(each.url for each in self._copies)):
            wait_until_up(url)
        take_back(record)

    def _name_server(self, url: str) -> str:
        named = {copy.url: copy.name for copy in self._copies}
        return f"the server of {named.get(url, 'the source')}"

    def _log_checkpoints(self) -> None:
        for copy in self._copies:
            with psycopg.connect(copy.url, autocommit=True) as session, suppress(psycopg.Error):
                session.execute("ALTER TABLE syncproject_staging.checkpoint SET LOGGED")


def wait_until_up(url: str) -> None:
    ends_at = time.monotonic() + 300
    while True:
        try:
            with psycopg.connect(url, connect_timeout=5) as session:
                session.execute("SELECT 1")
                return
        except psycopg.OperationalError:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.05)


def take_back(record: SyncRecord) -> None:
    """As the reaper does it a lease after a worker's death, now."""
    from django.db import connection

    from syncjobs.claims.reaping import reap
    from syncjobs.core.states import State
    from syncjobs.models import SyncRecord
    from tests.rows import fresh

    connection.close()  # its server may have crashed
    if fresh(record).state == State.RUNNING:
        SyncRecord.objects.filter(pk=record.pk).update(lease_expires_at="2026-01-01T00:00:00Z")
        ends_at = time.monotonic() + 300
        while not reap(young_s=0):  # the dead worker's transaction may still be on its way out
            if time.monotonic() > ends_at:
                raise RuntimeError("the record was not taken back")
            time.sleep(0.05)
    SyncRecord.objects.filter(pk=record.pk, state=State.QUEUED).update(
        not_before=None, crash_count=0, vain_attempts=0
    )
    fresh(record)


def make_source(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE accounts (id bigint PRIMARY KEY, cents bigint, words text)")
        session.execute(
            "INSERT INTO accounts SELECT n, %s, repeat('x', 40) FROM generate_series(1, %s) n",
            [CENTS, ROWS],
        )


def target_of(url: str, **options: Any) -> Target:
    from farends.spec import Target
    from farends.sql.options import SqlOptions, SqlSecret

    parts = urlsplit(url)
    made = SqlOptions(
        engine="postgresql",
        database=parts.path.lstrip("/"),
        username=str(parts.username),
        tls="off",
        **options,
    )
    return Target(
        str(parts.hostname), int(parts.port or 0), made, SqlSecret(password=str(parts.password))
    )


@contextmanager
def standing(seed: int, mutant: str) -> Iterator[Run]:
    import os

    with ExitStack() as stack:
        home = stack.enter_context(stand.product())
        source = stack.enter_context(other_server())
        elsewhere = stack.enter_context(other_server())
        make_source(source)
        with psycopg.connect(elsewhere, autocommit=True) as session:
            session.execute("CREATE SCHEMA shop")
        at_home = os.environ["DATABASE_URL"]
        copies = make_copies(source, at_home, elsewhere)
        ask = stack.enter_context(answering("tests.rowwork.row_forks", Path(home) / "forks.log"))
        run = Run(source, copies, ask, seed, mutant)
        yield run


def make_copies(source: str, at_home: str, elsewhere: str) -> list[Copy]:
    """Each table is there once before anything is killed."""
    from datasets.models import Table
    from tests.rows import make_connector, make_job
    from tests.rows import run as run_job

    connector = make_connector(target_of(source), kind="sql")
    warehouse = make_connector(target_of(elsewhere, writable=True, schemas=("shop",)), kind="sql")
    there = {"connector": str(warehouse.pk), "schema": "shop", "table": "accounts"}
    made = []
    for name, url, destination in (("home", at_home, None), ("warehouse", elsewhere, there)):
        job = make_job(
            connector,
            name=name,
            entity={"table": "accounts"},
            destination=destination,
            max_attempts=50,
        )
        run_job(job)
        table = Table.objects.get(dataset=job.dataset)
        made.append(Copy(name, job, url, f'"{table.schema}"."{table.relation}"'))
    return made


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rowwork.killing", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--mutant", choices=MUTANTS, default="", help="a broken build")
    asked = parser.parse_args()
    began = time.monotonic()
    with standing(asked.seed, asked.mutant) as run:
        run.go(asked.kills)
        seen = run.seen
    say(
        f"seed {asked.seed}, {time.monotonic() - began:.0f} s: {seen.kills.total()} kills over {seen.records} records of"
        f" rows, {seen.looks} looks at the tables, {len(seen.findings)} findings"
    )
    for name, count in sorted(seen.kills.items()):
        say(f"  {count:5} {name}")
    return 1 if seen.findings else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
