"""What the product's rows are measured beside: COPY into COPY, psql, MariaDB's client, sling and pgloader."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg

from benchmarks.rows.corpora import RowCorpus
from embedded import wheels

if TYPE_CHECKING:
    from tests.hosts.mariadb import MysqlDatabase

# `deploy/install-bench-tools` puts it there: its wheel holds the program, and nothing else.
SLING = Path(sys.prefix) / "bench" / "sling_linux_amd64" / "bin" / "sling-linux-amd64"


def find_sling() -> str | None:
    return str(SLING) if SLING.is_file() else shutil.which("sling")


def find_pgloader() -> str | None:
    return shutil.which("pgloader")


def make_peers_database() -> str:
    """Beside the product's own, on the same server."""
    own = os.environ["DATABASE_URL"]
    with psycopg.connect(own, autocommit=True) as session:
        session.execute("CREATE DATABASE peers")
    return urlsplit(own)._replace(path="/peers").geturl()


def copy_into_copy(corpus: RowCorpus, source: str, destination: str) -> float:
    """Seconds of the bare limit: COPY in binary form through a pipe, then the key."""
    command = f"COPY {corpus.name} TO STDOUT (FORMAT binary)"
    return _pipe_into_copy(corpus, [_psql(), "-qX", source, "-c", command], destination, "binary")


def copy_from_mariadb(corpus: RowCorpus, source: MysqlDatabase, destination: str) -> float:
    """Seconds of MariaDB's own client, whose tab-separated rows psql takes as they are."""
    from tests.hosts.mariadb import PASSWORD, USER

    query = f"SELECT * FROM {corpus.name}"  # noqa: S608 — our own words
    command = [
        "mariadb", "--no-defaults", "-h127.0.0.1", f"-P{source.port}", f"-u{USER}", f"-p{PASSWORD}", "-N", "--batch",
        "--quick", "--default-character-set=utf8mb4", source.name, "-e", query,
    ]  # fmt: skip
    return _pipe_into_copy(corpus, command, destination, "text")


def copy_csv(corpus: RowCorpus, file: Path, destination: str) -> float:
    """Seconds of psql's \\copy, which is told the types, then the key."""
    return _pipe_into_copy(corpus, ["cat", str(file)], destination, "csv, HEADER true")


def _psql() -> str:
    return str(wheels.find_postgres_binaries(for_nobody=os.geteuid() == 0) / "psql")


def _pipe_into_copy(corpus: RowCorpus, out: Sequence[str], destination: str, form: str) -> float:
    psql, name = _psql(), corpus.name
    bare = corpus.columns.replace(" PRIMARY KEY", "")
    _run([psql, "-qX", destination, "-c", f"DROP TABLE IF EXISTS {name}"])
    began = time.perf_counter()
    _run([psql, "-qX", destination, "-c", f"CREATE TABLE {name} ({bare})"])
    into = [psql, "-qX", destination, "-c", f"COPY {name} FROM STDIN (FORMAT {form})"]
    with subprocess.Popen(out, stdout=subprocess.PIPE) as reading:  # noqa: S603 — our own words
        subprocess.run(into, stdin=reading.stdout, check=True)  # noqa: S603 — as above
    if reading.returncode:
        raise RuntimeError(f"{out[0]} ended with status {reading.returncode}")
    _run([psql, "-qX", destination, "-c", f"ALTER TABLE {name} ADD PRIMARY KEY (id)"])
    return time.perf_counter() - began


def run_sling(
    corpus: RowCorpus, source: str, destination: str, home: Path, *, incremental: bool = False
) -> float:
    """Seconds. Raises RuntimeError where it fails."""
    mode = ["incremental", "--update-key", "updated_at"] if incremental else ["full-refresh"]
    stream = ["--src-conn", "SOURCE", "--src-stream", f"public.{corpus.name}"]
    return _sling(corpus, [*stream, "--mode", *mode], destination, home, source)


def sling_csv(corpus: RowCorpus, file: Path, destination: str, home: Path) -> float:
    return _sling(
        corpus, ["--src-stream", f"file://{file}", "--mode", "full-refresh"], destination, home
    )


def _sling(
    corpus: RowCorpus, words: Sequence[str], destination: str, home: Path, source: str = ""
) -> float:
    program = find_sling()
    if program is None:
        raise LookupError("sling is not installed")
    target = ["--tgt-conn", "TARGET", "--tgt-object", f"sling.{corpus.name}", "--primary-key", "id"]
    told = {
        "SOURCE": f"{source}?sslmode=disable",
        "TARGET": f"{destination}?sslmode=disable",
        "SLING_DISABLE_TELEMETRY": "TRUE",
        "SLING_HOME_DIR": str(home / "sling"),
        "PATH": os.defpath,
        "HOME": str(home),
    }
    began = time.perf_counter()
    _run([program, "run", *words, *target], told)
    return time.perf_counter() - began


def run_pgloader(corpus: RowCorpus, source: MysqlDatabase, destination: str, home: Path) -> float:
    """Seconds. It makes the schema `pgloader`. Raises RuntimeError where it fails."""
    from tests.hosts.mariadb import PASSWORD, USER

    program = find_pgloader()
    if program is None:
        raise LookupError("pgloader is not installed")
    order = home / "pgloader.load"
    order.write_text(
        f"LOAD DATABASE FROM mysql://{USER}:{PASSWORD}@127.0.0.1:{source.port}/{source.name}?useSSL=false"
        f" INTO {destination} WITH include drop, create tables, create indexes, reset no sequences"
        f" INCLUDING ONLY TABLE NAMES MATCHING '{corpus.name}' ALTER SCHEMA '{source.name}' RENAME TO 'pgloader';"
    )
    began = time.perf_counter()
    _run([program, "--quiet", "--root-dir", str(home / "pgloader"), str(order)])
    return time.perf_counter() - began


def _run(command: Sequence[str], env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603 — as above
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stdout + done.stderr)[-1000:]}")
