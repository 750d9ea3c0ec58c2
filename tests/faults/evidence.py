"""What a run has left behind, read from SQL and from the store's files: by statements and rules of its
own, because whatever reads with the product's code believes what the product believes."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

_ATTEMPT = re.compile(r"(?:sync|keeping) ([0-9a-f]{32})\.(\d+)$")


@dataclass(frozen=True, slots=True)
class Note:
    """A row of the history. `attempt` is the record and the token that the session was opened for."""

    id: int
    at: float
    committed_at: float
    process: str
    session: str
    what: str
    dataset: uuid.UUID | None
    record: uuid.UUID | None
    fence: int | None  # the dataset's token at that moment
    data: dict[str, Any]

    @property
    def attempt(self) -> tuple[uuid.UUID, int] | None:
        found = _ATTEMPT.search(self.session)
        return (uuid.UUID(found[1]), int(found[2])) if found else None

    @property
    def event(self) -> str:
        return str(self.data.get("event", ""))

    @property
    def token(self) -> int:
        return int(self.data.get("token", 0))


@dataclass(frozen=True, slots=True)
class Record:
    id: uuid.UUID
    job: uuid.UUID
    state: str
    fire: float | None
    version: int | None
    finished: bool
    dry_run: bool
    error: str
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    path: str
    sha256: bytes
    size_bytes: int
    since: int
    until: int | None


@dataclass(frozen=True, slots=True)
class Version:
    dataset: uuid.UUID
    number: int
    is_current: bool
    file_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Blob:
    """How a blob is found in the store. `problem` is empty where it is what it is named by."""

    size_bytes: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    history: list[Note]
    records: list[Record]
    versions: list[Version]
    entries: dict[uuid.UUID, list[Entry]]  # by dataset
    blobs: dict[tuple[uuid.UUID, bytes], Blob]  # by workspace and digest, of all that entries name


def read(
    admin: psycopg.Connection[Any], store: Path, workspaces: dict[uuid.UUID, uuid.UUID]
) -> Evidence:
    """`workspaces` are those of the datasets."""
    entries = defaultdict(list)
    for row in _rows(
        admin,
        "SELECT dataset_id, path, sha256, size_bytes, since, until FROM datasets_entry ORDER BY id",
    ):
        entries[row.dataset_id].append(
            Entry(row.path, bytes(row.sha256), row.size_bytes, row.since, row.until)
        )
    wanted = {
        (workspaces[dataset], entry.sha256) for dataset in entries for entry in entries[dataset]
    }
    return Evidence(
        history=list(_history(admin)),
        records=[
            Record(
                row.id,
                row.job_id,
                row.state,
                float(row.fire) if row.fire is not None else None,
                row.dataset_version,
                row.finished_at is not None,
                row.dry_run,
                row.error,
                row.error_code,
            )
            for row in _rows(
                admin,
                "SELECT *, extract(epoch FROM scheduled_for) AS fire FROM syncjobs_syncrecord",
            )
        ],
        versions=[
            Version(row.dataset_id, row.number, row.is_current, row.file_count, row.size_bytes)
            for row in _rows(admin, "SELECT * FROM datasets_version ORDER BY dataset_id, number")
        ],
        entries=dict(entries),
        blobs=dict(_look_at_blobs(admin, store, wanted)),
    )


def _rows(admin: psycopg.Connection[Any], text: str) -> Iterator[Any]:
    with admin.cursor(row_factory=namedtuple_row) as cursor:
        yield from cursor.execute(text)


def _history(admin: psycopg.Connection[Any]) -> Iterator[Note]:
    for row in _rows(
        admin,
        "SELECT *, extract(epoch FROM at) AS at_s,"
        " extract(epoch FROM pg_xact_commit_timestamp(xact::text::xid)) AS committed_s"
        " FROM faults.history ORDER BY id",
    ):
        yield Note(
            row.id,
            float(row.at_s),
            float(row.committed_s),
            row.process,
            row.session,
            row.what,
            row.dataset,
            row.record,
            row.fence,
            row.data,
        )


def _look_at_blobs(
    admin: psycopg.Connection[Any], store: Path, wanted: set[tuple[uuid.UUID, bytes]]
) -> Iterator[tuple[tuple[uuid.UUID, bytes], Blob]]:
    places = {
        (row.workspace_id, bytes(row.sha256)): row
        for row in _rows(admin, "SELECT * FROM datasets_packedblob")
    }
    for workspace, sha256 in wanted:
        place = places.get((workspace, sha256))
        if place is not None:
            path = store / str(workspace) / "packs" / f"{place.pack.hex}.pack"
        else:
            digest = sha256.hex()
            path = store / str(workspace) / "blobs" / digest[:2] / digest
        try:
            with path.open("rb") as file:
                if place is not None:
                    file.seek(place.offset)
                content = file.read(place.size_bytes if place is not None else -1)
        except OSError as exc:
            yield (workspace, sha256), Blob(0, f"missing: {path.name}: {exc.strerror}")
            continue
        found = hashlib.sha256(content).digest()
        problem = "" if found == sha256 else f"differs: {path.name} holds {found.hex()[:16]}…"
        yield (workspace, sha256), Blob(len(content), problem)


def unindexed_packs(admin: psycopg.Connection[Any], store: Path) -> list[Path]:
    known = {row.pack.hex for row in _rows(admin, "SELECT DISTINCT pack FROM datasets_packedblob")}
    return [path for path in store.glob("*/packs/*") if path.stem not in known]


# What a worker says when the database is away, or sends it away; all else is a fault of its own.
_AWAY = re.compile(
    r"connect|terminat|closed|starting up|shutting down|recovery mode|in doubt|not yet accepting|timeout"
)
_REFUSED = re.compile(r'event=heartbeat\.(?:failed|crashed)(?: error="?([^"\n]*))?')


def refused_heartbeats(logs: Path) -> list[tuple[str, str]]:
    """Of each process that said so: heartbeats that failed though the database was there."""
    return [
        (log.stem, found[1] or "crashed")
        for log in sorted(logs.glob("worker_*.log"))
        for found in _REFUSED.finditer(log.read_text(errors="replace"))
        if not _AWAY.search(found[1] or "")
    ]
