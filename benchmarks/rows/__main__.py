"""`python -m benchmarks.rows`: first loads, loads without a change and increments, beside COPY and sling."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg

from benchmarks import stand
from benchmarks.rows.corpora import ROW_CORPORA, RowCorpus, table_sum
from benchmarks.rows.figures import OURS, Figures, Goal
from benchmarks.rows.peers import copy_into_copy, find_sling, make_peers_database, run_sling
from embedded import ports, postgres
from embedded.child import Child

if TYPE_CHECKING:
    from farends.spec import Target
    from syncjobs.models import SyncJob, SyncRecord

LIMIT, SLING = "COPY", "sling"
GOALS = (
    Goal("R1 first load", LIMIT, 1.8),
    Goal("R1 first load", SLING, 0.6),
    Goal("R1 nothing changed", LIMIT, 1.6),
    Goal("R2 one row of a hundred", SLING, 1.0),
    Goal("R6 first load", LIMIT, 1.6),
    Goal("R6 first load", SLING, 0.6),
    Goal("R6 nothing changed", LIMIT, 1.6),
)


class Stand:
    """A source on a server of its own; the product's server also takes what the peers copy."""

    def __init__(self, source: str, destination: str, home: Path) -> None:
        self.source = source
        self.destination = destination
        self.home = home
        self.figures = Figures()

    def target(self) -> Target:
        from farends.spec import Target
        from farends.sql.options import SqlOptions, SqlSecret

        parts = urlsplit(self.source)
        options = SqlOptions(
            engine="postgresql",
            database=parts.path.lstrip("/"),
            username=str(parts.username),
            tls="off",
        )
        secret = SqlSecret(password=str(parts.password))
        return Target(str(parts.hostname), int(parts.port or 0), options, secret)

    def make_job(self, corpus: RowCorpus, name: str, **fields: object) -> SyncJob:
        from tests.rows import make_connector, make_job

        connector = make_connector(self.target(), kind="sql", workspace=name)
        given = {"entity": {"table": corpus.name}, "name": name, "sync_mode": "incremental"}
        return make_job(connector, **given | fields)

    def load(self, corpus: RowCorpus, case: str, round_: int) -> None:
        """First loads of all, and ours once more without a change."""
        self.figures.add(f"{case} first load", LIMIT, self._limit(corpus))
        job = self.make_job(corpus, f"{case.lower()}-{round_}")
        self._sync(job, f"{case} first load")
        self._verify(job, corpus)
        record = self._sync(job, f"{case} nothing changed", mode="full")
        if (record.rows_added, record.rows_changed, record.rows_removed) != (0, 0, 0):
            raise RuntimeError("rows were written though none had changed")
        self._drop(job)
        again = self.figures.walls[f"{case} first load", LIMIT][-1]
        self.figures.walls[f"{case} nothing changed", LIMIT].append(again)
        if find_sling() is not None:
            wall_s = run_sling(corpus, self.source, self.destination, self.home)
            self.figures.add(f"{case} first load", SLING, wall_s)

    def change(self, corpus: RowCorpus, rounds: int) -> None:
        """One row of a hundred is changed or new, told by `updated_at`."""
        job = self.make_job(corpus, "r2", cursor={"field": "updated_at"})
        stand.sync(job)
        with psycopg.connect(self.source, autocommit=True) as session:
            for turn in range(rounds):
                count = corpus.change(session, turn)
                record = self._sync(job, "R2 one row of a hundred")
                if (record.rows_added or 0) + (record.rows_changed or 0) != count:
                    raise RuntimeError(f"{count} rows differ, and not as many came")
                self._verify(job, corpus)
                if find_sling() is not None:
                    wall_s = run_sling(
                        corpus, self.source, self.destination, self.home, incremental=True
                    )
                    self.figures.add("R2 one row of a hundred", SLING, wall_s)
                    self._verify_copy(corpus, "sling")
        self._drop(job)

    def _limit(self, corpus: RowCorpus) -> float:
        wall_s = copy_into_copy(corpus, self.source, self.destination)
        self._verify_copy(corpus, "public")
        return wall_s

    def _sync(self, job: SyncJob, case: str, mode: str | None = None) -> SyncRecord:
        from syncjobs.models import SyncMode

        run = stand.sync(job, mode=None if mode is None else SyncMode(mode))
        self.figures.add(case, OURS, run.wall_s)
        self.figures.add_memory(run.memory_bytes)
        return job.records.latest("queued_at")

    def _verify(self, job: SyncJob, corpus: RowCorpus) -> None:
        from datasets.models import Table

        table = Table.objects.get(dataset=job.dataset)
        self._compare(corpus, os.environ["DATABASE_URL"], table.schema, table.relation)

    def _verify_copy(self, corpus: RowCorpus, schema: str) -> None:
        self._compare(corpus, self.destination, schema, corpus.name)

    def _compare(self, corpus: RowCorpus, url: str, schema: str, table: str) -> None:
        with psycopg.connect(self.source) as source, psycopg.connect(url) as copy:
            expected = table_sum(source, corpus, "public", corpus.name)
            other = replace(corpus, canon=corpus.canon.replace("wide.*", f'"{table}".*'))
            if table_sum(copy, other, schema, table) != expected:
                raise RuntimeError(f"{schema}.{table} does not equal its source")

    def _drop(self, job: SyncJob) -> None:
        """What the next round writes must not share the disk's cache with this."""
        from django.db import connection

        from datasets.models import Table

        for table in Table.objects.filter(dataset=job.dataset):
            with connection.cursor() as cursor:
                quote = connection.ops.quote_name
                cursor.execute(f"DROP TABLE {quote(table.schema)}.{quote(table.relation)}")


@contextmanager
def other_server() -> Iterator[str]:
    """The URL of a PostgreSQL with the product's usual settings, on a port of its own."""
    home = Path(tempfile.mkdtemp(prefix="syncproject-bench-source-"))
    home.chmod(0o711)
    made = postgres.prepare_postgres(home, ports.find_free())
    server = Child(made.program(home / "postgres.log"))
    server.start()
    try:
        server.wait_until_ready()
        yield made.url
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows", description=__doc__)
    parser.add_argument("--cases", default="R1,R2,R6")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; medians count")
    parser.add_argument("--divide", type=int, default=1, help="make tables smaller by this factor")
    asked = parser.parse_args()
    cases = asked.cases.split(",")
    with stand.product() as home, other_server() as source:
        measured = Stand(source, make_peers_database(), home)
        for case in ("R1", "R6"):
            corpus = ROW_CORPORA[case]
            corpus = replace(corpus, rows=corpus.rows // asked.divide)
            if case in cases or (case == "R1" and "R2" in cases):
                with psycopg.connect(source, autocommit=True) as session:
                    corpus.make(session)
            if case in cases:
                for round_ in range(asked.rounds):
                    measured.load(corpus, case, round_)
            if case == "R1" and "R2" in cases:
                measured.change(corpus, asked.rounds)
        sys.stdout.write(measured.figures.tell(GOALS))


if __name__ == "__main__":
    main()
