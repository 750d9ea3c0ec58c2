"""`python -m benchmarks.rows.behaviour`: six ordinary cases of a source, and what becomes of a copy by each peer."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks import stand
from benchmarks.rows.__main__ import other_server
from benchmarks.rows.behaviour.copiers import Copier, Product, count, find_peers
from benchmarks.rows.peers import make_peers_database
from tests.answering import answering

ROWS, MANY = 1_000, 200_000
LATEST = "timestamptz '2026-02-01'"
NO_INCREMENTAL = "has no incremental load"


@dataclass(frozen=True, slots=True)
class Case:
    """`run` returns what became of the copy, in words. Each case has a table of its own."""

    name: str
    table: str
    rows: int
    run: Callable[[Copier, str, str], str]


@contextmanager
def session_of(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True) as session:
        yield session


def make_table(source: str, table: str, rows: int) -> None:
    with session_of(source) as session:
        for statement in (
            f"CREATE TABLE {table} (id bigint PRIMARY KEY, words text, updated_at timestamptz)",
            f"INSERT INTO {table} SELECT n, 'row ' || n, {LATEST} - (({rows} - n) * interval '1 s')"  # noqa: S608 — our own words
            f" FROM generate_series(1, {rows}) n",
            f"ANALYZE {table}",
        ):
            session.execute(statement.encode())


def add_row(session: psycopg.Connection[tuple[object, ...]], table: str, id_: int, at: str) -> None:
    session.execute(f"INSERT INTO {table} VALUES ({id_}, 'added', {at})".encode())  # noqa: S608 — our own words


def see_tie(copier: Copier, source: str, table: str) -> str:
    copier.copy(table, "incremental")
    with session_of(source) as session:
        add_row(session, table, 5001, LATEST)
    return _tell_added(copier, table, "id = 5001")


def see_late_commit(copier: Copier, source: str, table: str) -> str:
    copier.copy(table, "incremental")
    with psycopg.connect(source) as late, session_of(source) as session:
        add_row(late, table, 5001, f"{LATEST} + interval '1 min'")
        add_row(session, table, 5002, f"{LATEST} + interval '2 min'")
        copier.copy(table, "incremental")
        late.commit()
    return _tell_added(copier, table, "id = 5001")


def see_null_cursor(copier: Copier, source: str, table: str) -> str:
    copier.copy(table, "incremental")
    with session_of(source) as session:
        for id_ in (5001, 5002, 5003):
            add_row(session, table, id_, "NULL")
    return _tell_added(copier, table, "id > 5000", wanted=3)


def _tell_added(copier: Copier, table: str, condition: str, wanted: int = 1) -> str:
    ran = copier.copy(table, "incremental")
    found = count(copier.url, copier.place(table), condition)
    return f"{'present' if found == wanted else f'**{found} of {wanted} rows**'}, {ran.status}"


def see_emptied_source(copier: Copier, source: str, table: str) -> str:
    copier.copy(table, "full")
    with session_of(source) as session:
        session.execute(f"DELETE FROM {table}".encode())  # noqa: S608 — our own words
    ran = copier.copy(table, "full")
    found = count(copier.url, copier.place(table))
    return f"{found} of {ROWS} rows, {ran.status}"


def see_view(copier: Copier, source: str, table: str) -> str:
    copier.copy(table, "full")
    with session_of(copier.url) as session:
        query = f"SELECT * FROM {copier.place(table)}"  # noqa: S608 — our own words
        session.execute(f"CREATE VIEW public.seen_{copier.name} AS {query}".encode())
    with session_of(source) as session:
        add_row(session, table, 5001, LATEST)
    ran = copier.copy(table, "full")
    there = count(copier.url, f"public.seen_{copier.name}")
    found = count(copier.url, copier.place(table))
    kept = "the view is gone" if there is None else f"the view shows {there}"
    return f"{found} of {ROWS + 1} rows, {kept}, {ran.status}"


def see_kill(copier: Copier, source: str, table: str) -> str:
    """A second full load is killed at two thirds; a reader looks all the time."""
    took_s = copier.copy(table, "full").took_s
    with session_of(source) as session:
        session.execute(f"UPDATE {table} SET words = words || '!'".encode())  # noqa: S608 — our own words
    place, least, ended = copier.place(table), [MANY], threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            with suppress(psycopg.Error):
                least.append(count(copier.url, place) or 0)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        ran = copier.copy(table, "full", kill_after_s=took_s * 2 / 3)
    finally:
        ended.set()
        reader.join()
    left = count(copier.url, place)
    again = copier.copy(table, "full")
    right = count(copier.url, place, "words LIKE '%!'") == MANY
    words = "right" if right else "**wrong**"
    return (
        f"{ran.status}: {left} of {MANY} rows are left, a reader saw {min(least)} at least; next run {words},"
        f" {again.status}"
    )


CASES = (
    Case("new row with the cursor's own value", "tie", ROWS, see_tie),
    Case("row committed late, with an older cursor", "late", ROWS, see_late_commit),
    Case("three rows with a NULL cursor", "nulls", ROWS, see_null_cursor),
    Case("emptied source, full load", "emptied", ROWS, see_emptied_source),
    Case("view on the table, full load", "viewed", ROWS, see_view),
    Case("`kill -9` in a full load", "killed", MANY, see_kill),
)
INCREMENTAL = {"tie", "late", "nulls"}


def run_cases(copier: Copier, source: str, cases: Sequence[Case]) -> list[str]:
    told = []
    for case in cases:
        if case.table in INCREMENTAL and not copier.is_incremental:
            told.append(NO_INCREMENTAL)
            continue
        table = f"{case.table}_{copier.name.lower()}"
        try:
            told.append(case.run(copier, source, table))
        except (psycopg.Error, RuntimeError, LookupError) as exc:
            told.append(f"**fails**: {str(exc).splitlines()[0][:120]}")
        print(f"{copier.name}: {case.name}: {told[-1]}", file=sys.stderr, flush=True)  # noqa: T201 — a command talks
    return told


def make_product(source: str, tables: Sequence[str], stack: ExitStack, home: Path) -> Product:
    from tests.rows import make_connector, make_job
    from tests.rowwork.killing import target_of

    connector = make_connector(target_of(source), kind="sql")
    jobs = {name: make_job(connector, name=name, entity={"table": name}) for name in tables}
    ask = stack.enter_context(answering("tests.rowwork.row_forks", home / "forks.log"))
    return Product(os.environ["DATABASE_URL"], jobs, ask)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rows.behaviour", description=__doc__
    )
    parser.add_argument("--cases", default=",".join(case.table for case in CASES))
    parser.add_argument("--peers", default="sling,ingestr,dlt,pgloader")
    asked = parser.parse_args()
    cases = [case for case in CASES if case.table in asked.cases.split(",")]
    with ExitStack() as stack:
        home = stack.enter_context(stand.product())
        source = stack.enter_context(other_server())
        peers = [
            peer
            for peer in find_peers(source, make_peers_database(), home)
            if peer.name in asked.peers.split(",")
        ]
        names = ["SyncProject", *(peer.name for peer in peers)]
        for case in cases:
            for name in names:
                make_table(source, f"{case.table}_{name.lower()}", case.rows)
        own = make_product(source, [f"{case.table}_syncproject" for case in cases], stack, home)
        copiers: list[Copier] = [own, *peers]
        columns = [run_cases(copier, source, cases) for copier in copiers]
        lines = [f"| case | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for case, row in zip(cases, zip(*columns, strict=True), strict=True):
            lines.append(f"| {case.name} | {' | '.join(row)} |")
        sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
