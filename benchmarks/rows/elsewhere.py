"""`python -m benchmarks.rows.elsewhere`: a table of MariaDB, beside its own client into psql and beside pgloader;
a CSV, beside psql and beside sling."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

from benchmarks import stand
from benchmarks.rows.corpora import ELSEWHERE, RowCorpus, table_sum
from benchmarks.rows.figures import OURS, Figures, Goal
from benchmarks.rows.peers import (
    copy_csv,
    copy_from_mariadb,
    find_pgloader,
    find_sling,
    make_peers_database,
    run_pgloader,
    sling_csv,
)

if TYPE_CHECKING:
    from syncjobs.models import SyncJob

R3, R4 = "R3 MariaDB", "R4 CSV"
CLIENTS, PGLOADER, PSQL, SLING = "mariadb into psql", "pgloader", "psql \\copy", "sling"
GOALS = (
    Goal(R3, CLIENTS, 2.0),
    Goal(R3, PGLOADER, 0.7),
    Goal(R4, PSQL, 1.5),
    Goal(R4, SLING, 0.4),
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to copy: it returns its seconds. `schema` is where its copy lies in the database of the peers."""

    name: str
    run: Callable[[], float]
    schema: str


class Job(Protocol):
    """Makes the job of a round, and returns it."""

    def __call__(self, turn: int) -> SyncJob: ...


class Measured:
    """The rows are made in the database of the peers, which tells what each copy must equal."""

    def __init__(self, corpus: RowCorpus, peers: str, figures: Figures) -> None:
        self.corpus = corpus
        self.peers = peers
        self.figures = figures
        with psycopg.connect(peers, autocommit=True) as session:
            replace(corpus, name="made").make(session)
            self.expected = table_sum(session, corpus, "public", "made")

    def write_out(self, into: Path, form: str) -> None:
        query = f"COPY (SELECT * FROM made ORDER BY id) TO STDOUT ({form})"  # noqa: S608 — our own words
        with (
            into.open("wb") as file,
            psycopg.connect(self.peers) as session,
            session.cursor().copy(query.encode()) as rows,
        ):
            for block in rows:
                file.write(block)
        into.chmod(0o644)

    def race(self, case: str, ways: list[Way], make: Job, rounds: int) -> None:
        """All in turn, so often; each copy is verified and dropped."""
        from datasets.models import Table

        for turn in range(rounds):
            for way in ways:
                self.figures.add(case, way.name, way.run())
                self._verify(self.peers, way.schema, self.corpus.name)
            job = make(turn)
            run = stand.sync(job)
            self.figures.add(case, OURS, run.wall_s)
            self.figures.add_memory(run.memory_bytes)
            table = Table.objects.get(dataset=job.dataset)
            self._verify(os.environ["DATABASE_URL"], table.schema, table.relation)

    def _verify(self, url: str, schema: str, relation: str) -> None:
        with psycopg.connect(url, autocommit=True) as session:
            if table_sum(session, self.corpus, schema, relation) != self.expected:
                raise RuntimeError(f"{schema}.{relation} does not equal its source")
            session.execute(f'DROP TABLE "{schema}"."{relation}"'.encode())


def measure_mariadb(measured: Measured, home: Path, rounds: int) -> None:
    from tests.hosts.mariadb import making_mysql_database, running_mariadb
    from tests.rows import make_connector, make_job

    corpus = measured.corpus
    with running_mariadb() as port, making_mysql_database(port) as database:
        rows = home / "rows.tsv"
        measured.write_out(rows, "FORMAT text")
        columns = (
            "id BIGINT UNSIGNED PRIMARY KEY, customer VARCHAR(200), email VARCHAR(200), amount DECIMAL(12,2), qty INT,"
            " active TINYINT(1), placed_on DATE, meta JSON, updated_at DATETIME(6) NOT NULL, note TEXT, KEY (updated_at)"
        )
        database.run(
            f"CREATE TABLE {corpus.name} ({columns}) DEFAULT CHARSET=utf8mb4",
            f"LOAD DATA INFILE '{rows}' INTO TABLE {corpus.name} CHARACTER SET utf8mb4",
            f"ANALYZE TABLE {corpus.name}",
        )
        rows.unlink()
        peers = measured.peers
        ways = [Way(CLIENTS, lambda: copy_from_mariadb(corpus, database, peers), "public")]
        if find_pgloader() is not None:
            ways.append(
                Way(PGLOADER, lambda: run_pgloader(corpus, database, peers, home), "pgloader")
            )

        def make(turn: int) -> SyncJob:
            connector = make_connector(database.target(), kind="sql", workspace=f"r3-{turn}")
            return make_job(connector, name="r3", entity={"table": corpus.name}, sync_mode="full")

        measured.race(R3, ways, make, rounds)


def measure_csv(measured: Measured, home: Path, rounds: int) -> None:
    """Ours reads the file from a version of a dataset, where a job of files has put it."""
    from syncjobs.configuration.jobs import save_job
    from syncjobs.models import SyncJob

    corpus, peers = measured.corpus, measured.peers
    sheet = home / "sheet.csv"
    measured.write_out(sheet, "FORMAT csv, HEADER true")
    ways = [Way(PSQL, lambda: copy_csv(corpus, sheet, peers), "public")]
    if find_sling() is not None:
        ways.append(Way(SLING, lambda: sling_csv(corpus, sheet, peers, home), "sling"))

    def make(turn: int) -> SyncJob:
        job = SyncJob(
            **put_into_dataset(sheet, f"r4-{turn}"),
            name="r4",
            entity={"path": sheet.name, "format": "csv"},
            key=["id"],
            sync_mode="full",
        )
        save_job(job)
        return job

    measured.race(R4, ways, make, rounds)
    sheet.unlink()


def put_into_dataset(file: Path, workspace: str) -> dict[str, Any]:
    """The workspace and the dataset of a job that reads it."""
    from datasets.models import Entry, Version
    from datasets.store import open_store
    from farends.http.transport import HttpOptions, HttpSecret
    from farends.spec import Target
    from tests.rows import make_connector, make_job

    nowhere = Target("192.0.2.1", 80, HttpOptions(), HttpSecret())
    job = make_job(make_connector(nowhere, kind="http", workspace=workspace), name="drop")
    store = open_store(job.workspace_id)
    store.prepare()
    writer = store.create("bench")
    with file.open("rb") as reading:
        while block := reading.read(1 << 20):
            writer.write(block)
    got = writer.finish()
    store.commit("bench", [got])
    Entry.objects.create(
        dataset=job.dataset, path=file.name, size_bytes=got.size_bytes, sha256=got.sha256, since=1
    )
    Version.objects.create(dataset=job.dataset, number=1, file_count=1, size_bytes=got.size_bytes)
    return {"workspace": job.workspace, "source_dataset": job.dataset}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rows.elsewhere", description=__doc__
    )
    parser.add_argument("--cases", default="R3,R4")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; medians count")
    parser.add_argument("--divide", type=int, default=1, help="make tables smaller by this factor")
    asked = parser.parse_args()
    figures = Figures()
    with stand.product() as home:
        peers = make_peers_database()
        for case, measure in (("R3", measure_mariadb), ("R4", measure_csv)):
            if case in asked.cases.split(","):
                corpus = ELSEWHERE[case]
                corpus = replace(corpus, rows=corpus.rows // asked.divide)
                measure(Measured(corpus, peers, figures), home, asked.rounds)
        sys.stdout.write(figures.tell(GOALS))


if __name__ == "__main__":
    main()
