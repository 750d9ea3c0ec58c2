"""Who copies a table: each peer as a command, and the product by a worker's process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

from benchmarks.rows.peers import find_pgloader, find_sling

if TYPE_CHECKING:
    from syncjobs.models import SyncJob
    from tests.answering import Ask

_DLT = Path(sys.prefix) / "bench" / "dlt" / "bin" / "python"
_INGESTR = Path(sys.prefix) / "bench" / "ingestr" / "bin" / "ingestr"
_LONGEST_S = 600


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended: `status` is a word for people, `took_s` its time."""

    status: str
    took_s: float


class Copier(Protocol):
    """`copy` runs to the end, or is killed after some seconds. `place` is where the copy lies."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def is_incremental(self) -> bool: ...
    def copy(self, table: str, mode: str, kill_after_s: float | None = None) -> Ran: ...
    def place(self, table: str) -> str: ...


@dataclass(frozen=True)
class CommandPeer:
    """`source` and `url` are URLs of PostgreSQL."""

    name: str
    source: str
    url: str
    home: Path
    schema: str
    is_incremental: bool = True

    def place(self, table: str) -> str:
        return f"{self.schema}.{table}"

    def copy(self, table: str, mode: str, kill_after_s: float | None = None) -> Ran:
        command, told = self._write(table, mode)
        began = time.monotonic()
        running = subprocess.Popen(  # noqa: S603 — our own words
            command,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **told},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            status = running.wait(_LONGEST_S if kill_after_s is None else kill_after_s)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            return Ran("killed", time.monotonic() - began)
        return Ran(f"exit status {status}", time.monotonic() - began)

    def _write(self, table: str, mode: str) -> tuple[Sequence[str], Mapping[str, str]]:
        source, url = f"{self.source}?sslmode=disable", f"{self.url}?sslmode=disable"
        if self.name == "sling":
            how = (
                ["incremental", "--update-key", "updated_at"]
                if mode == "incremental"
                else ["full-refresh"]
            )
            words = [str(find_sling()), "run", "--src-conn", "SOURCE", "--src-stream", f"public.{table}", "--tgt-conn", "TARGET", "--tgt-object", self.place(table), "--primary-key", "id", "--mode", *how]  # fmt: skip
            return words, {"SOURCE": source, "TARGET": url, "SLING_DISABLE_TELEMETRY": "TRUE", "SLING_HOME_DIR": str(self.home / "sling")}  # fmt: skip
        if self.name == "ingestr":
            how = (
                ["merge", "--incremental-key", "updated_at"]
                if mode == "incremental"
                else ["replace"]
            )
            words = [str(_INGESTR), "ingest", "--source-uri", source, "--source-table", f"public.{table}", "--dest-uri", url, "--dest-table", self.place(table), "--primary-key", "id", "--yes", "--progress", "log", "--incremental-strategy", *how]  # fmt: skip
            return words, {"INGESTR_DISABLE_TELEMETRY": "true", "DISABLE_TELEMETRY": "true"}
        if self.name == "dlt":
            script = Path(__file__).with_name("dlt_tables.py")
            home = self.home / "dlt"
            return [str(_DLT), str(script), self.source, self.url, table, str(home), mode], {}
        order = self.home / f"{table}.load"
        order.write_text(
            f"LOAD DATABASE FROM {self.source} INTO {self.url} WITH include drop, create tables, reset no sequences"
            f" INCLUDING ONLY TABLE NAMES MATCHING '{table}' IN SCHEMA 'public'"
            f" ALTER SCHEMA 'public' RENAME TO '{self.schema}';"
        )
        return [
            str(find_pgloader()),
            "--quiet",
            "--root-dir",
            str(self.home / "pgloader"),
            str(order),
        ], {}


class Product:
    """Each run is a record that a forked worker executes; what is killed goes on at the next run, as in production."""

    name = "SyncProject"
    is_incremental = True

    def __init__(self, url: str, jobs: Mapping[str, SyncJob], ask: Ask) -> None:
        self.url = url
        self._jobs = jobs
        self._ask = ask
        self._left: Any = None

    def copy(self, table: str, mode: str, kill_after_s: float | None = None) -> Ran:
        from syncjobs.core.states import FINAL
        from syncjobs.models import SyncMode, Trigger
        from syncjobs.queueing.enqueueing import enqueue
        from tests.rowwork.killing import take_back

        record = self._left or enqueue(
            self._jobs[table], trigger=Trigger.MANUAL, mode=SyncMode(mode)
        )
        order: dict[str, Any] = {"record": str(record.pk), "failpoint": "", "late_mark": False}
        if kill_after_s is not None:
            order["after_s"] = kill_after_s
        began = time.monotonic()
        killed = self._ask(order)["killed"]
        took_s = time.monotonic() - began
        take_back(record)
        self._left = None if record.state in FINAL or record.state == "held" else record
        return Ran("killed" if killed else str(record.state), took_s)

    def place(self, table: str) -> str:
        from datasets.models import Table

        found = Table.objects.get(dataset=self._jobs[table].dataset)
        return f'"{found.schema}"."{found.relation}"'


def find_peers(source: str, url: str, home: Path) -> list[CommandPeer]:
    """Those that are installed."""
    found = {
        "sling": find_sling() is not None,
        "ingestr": _INGESTR.is_file(),
        "dlt": _DLT.is_file(),
        "pgloader": shutil.which("pgloader") is not None,
    }
    return [
        CommandPeer(name, source, url, home, name, is_incremental=name != "pgloader")
        for name, there in found.items()
        if there
    ]


def count(url: str, place: str, condition: str = "true") -> int | None:
    """None: there is no such table."""
    query = f"SELECT count(*) FROM {place} WHERE {condition}"  # noqa: S608 — our own words
    with psycopg.connect(url, autocommit=True) as session:
        try:
            [number] = session.execute(query.encode()).fetchall()[0]
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return None
    return int(number)
