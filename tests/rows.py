"""Rows for tests: a workspace, connectors for real hosts, jobs; and what a version holds."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from django.db import connection, models

from connectors.models import Connector
from connectors.secrets import seal
from datasets.models import Dataset, Entry, Version
from datasets.reading import get_version, iter_entries
from datasets.store import ensure_store, open_store
from farends.spec import Target
from syncjobs.attempt.execution import execute
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.waiting import until
from workspaces.models import Workspace

Row = TypeVar("Row", bound=models.Model)


def make_workspace(name: str = "acme") -> Workspace:
    ensure_store()
    return Workspace.objects.get_or_create(name=name)[0]


def make_connector(target: Target, *, kind: str = "sftp", workspace: str = "acme") -> Connector:
    connector = Connector(
        workspace=make_workspace(workspace),
        name=f"host-{Connector.objects.count()}",
        kind=kind,
        host=target.host,
        port=target.port,
        options={key: value for key, value in asdict(target.options).items() if value is not None},
    )
    seal(connector, asdict(target.secret))
    connector.save()
    return connector


def make_job(connector: Connector, **fields: Any) -> SyncJob:
    fields.setdefault("name", f"job-{SyncJob.objects.count()}")
    job = SyncJob(workspace=connector.workspace, connector=connector, **fields)
    save_job(job)
    return job


def make_version(dataset: Dataset, contents: dict[str, bytes]) -> Version:
    """A first version with these files, blobs included, as if a record had published it."""
    store = open_store(dataset.workspace_id)
    store.prepare()
    received = {}
    for path, content in contents.items():
        writer = store.create("test")
        writer.write(content)
        received[path] = writer.finish()
    store.commit("test", received.values())
    Entry.objects.bulk_create(
        Entry(dataset=dataset, path=path, size_bytes=got.size_bytes, sha256=got.sha256, since=1)
        for path, got in received.items()
    )
    size_bytes = sum(got.size_bytes for got in received.values())
    return Version.objects.create(
        dataset=dataset, number=1, file_count=len(received), size_bytes=size_bytes
    )


def run(job: SyncJob, *, mode: SyncMode | None = None, dry_run: bool = False) -> SyncRecord:
    """One record of the job, queued and executed in this process."""
    record = enqueue(job, trigger=Trigger.MANUAL, mode=mode, dry_run=dry_run)
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    return record


def fresh(row: Row) -> Row:
    """The same object, as its row is now."""
    row.refresh_from_db()
    return row


@contextmanager
def executing(record: SyncRecord) -> Iterator[None]:
    """The record is worked on in a thread of its own, which has ended when the block is left."""

    def work() -> None:
        try:
            execute(record.pk, Heart("worker"))
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
    assert not thread.is_alive()


@contextmanager
def at_work(job: SyncJob) -> Iterator[SyncRecord]:
    """A record of the job that is running, worked on in a thread of its own."""
    record = enqueue(job, trigger=Trigger.MANUAL)
    with executing(record):
        until(lambda: fresh(record).state == State.RUNNING, "nobody claimed it")
        yield record


def fill(folder: Path, contents: dict[str, bytes], *, age_s: int = 3600) -> None:
    """Writes files that are old enough to be settled."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        then = path.stat().st_mtime - age_s
        os.utime(path, (then, then))


def digests_below(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def digests_of(dataset: Dataset, number: int | None = None) -> dict[str, str]:
    """What a version holds, by re-hashing its blobs: the manifest must agree with the disk."""
    version = get_version(dataset, number)
    store = open_store(dataset.workspace_id)
    held = {}
    for entry in iter_entries(dataset, version.number):
        with store.open(bytes(entry.sha256)) as blob:
            digest = hashlib.sha256(blob.read())
        assert digest.digest() == bytes(entry.sha256)
        held[entry.path] = digest.hexdigest()
    assert version.file_count == len(held)
    return held
