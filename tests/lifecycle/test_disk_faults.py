"""The store's disk is full, away, or read-only; and an attempt clears away what is its own."""

from __future__ import annotations

import dataclasses
import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from pytest_django import Settings

from datasets.models import Version
from datasets.store import find_known_store, open_store
from store.blobs import BlobStore
from store.sentinel import write_store_id
from syncjobs.attempt.execution import execute
from syncjobs.claims.claiming import claim
from syncjobs.claims.reaping import reap
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import ProcessSign, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.queueing.ringing import take_unrung
from syncjobs.records.asking import cancel
from syncjobs.upkeep.workers import Worker
from syncjobs.works.contract import Claim
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run
from tests.tmpfs import Tmpfs, mounted

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = {f"{n}.txt": b"content %d" % n for n in range(20)} | {"large.bin": os.urandom(200_000)}


@pytest.fixture
def disk(tmp_path: Path, settings: Settings) -> Iterator[Tmpfs]:
    with mounted(tmp_path / "disk", "size=2m,nr_inodes=300") as small:
        settings.STORE_ROOT = small.folder
        yield small


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, FIRST)
    return make_job(make_connector(sshd.target(source)), max_attempts=1)


def files_below(folder: Path, part: str = "") -> set[Path]:
    return {path for path in folder.rglob(f"{part}*") if path.is_file()}


@pytest.mark.parametrize(
    ("what", "sizes"),
    [("space", [1_000_000] * 4), ("space", [50_000] * 60), ("inodes", [70_000] * 25)],
    ids=["space for large files", "space for packs", "inodes"],
)
def test_d01_without(
    what: str,
    sizes: list[int],
    disk: Tmpfs,
    job: SyncJob,
    source: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """... space or inodes an attempt fails in whole, what there was can be read, and the next one works."""
    settings.SYNC = dataclasses.replace(settings.SYNC, min_free_bytes=0)
    # As where others fill the disk after the plan was found to fit.
    monkeypatch.setattr("syncjobs.works.files.work.need_room", lambda *_: None)
    assert run(job).state == State.SUCCEEDED
    held, before = digests_of(job.dataset), digests_below(source)
    assert held == before
    if what == "inodes":
        disk.change(
            f"size=64m,nr_inodes={os.statvfs(disk.folder).f_files - os.statvfs(disk.folder).f_ffree + 8}"
        )
    fill(source, {f"new {n}.bin": os.urandom(size) for n, size in enumerate(sizes)})
    record = run(job)
    assert (record.state, record.error_code) == (State.QUEUED, "disk_full")
    assert "No space left" in record.error
    assert Version.objects.count() == 1
    assert digests_of(job.dataset) == held
    assert {path for path in files_below(disk.folder) if path.parent.name == "partial"} == set()
    disk.change("size=64m,nr_inodes=3000")
    SyncRecord.objects.filter(pk=record.pk).update(not_before=None)
    assert execute(record.pk, Heart("test")) == State.SUCCEEDED
    assert digests_of(job.dataset) == digests_below(source)


def test_d04_a_disk_that_is_read_only_is_refused_before_anything_is_fetched(
    disk: Tmpfs, job: SyncJob
) -> None:
    assert run(job).state == State.SUCCEEDED
    disk.change("ro")
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "store_read_only")
    assert "read-only" in record.error
    assert (record.total_files, record.bytes_transferred) == (None, 0)
    disk.change("rw")
    assert run(job).state == State.SUCCEEDED


@pytest.mark.parametrize("left", ["a folder", "nothing", "another store"])
def test_d04_a_worker_without_the_store_takes_no_record_and_writes_nothing_in_its_place(
    left: str, sshd: Sshd, source: Path, tmp_path: Path, settings: Settings
) -> None:
    settings.STORE_ROOT = tmp_path / "store"
    fill(source, FIRST)
    job = make_job(make_connector(sshd.target(source)), max_attempts=1)
    assert run(job).state == State.SUCCEEDED
    away = settings.STORE_ROOT.rename(tmp_path / "away")
    if left == "a folder":
        settings.STORE_ROOT.mkdir()
    elif left == "another store":
        write_store_id(settings.STORE_ROOT, uuid.uuid4())
    before = sorted(settings.STORE_ROOT.rglob("*"))
    for work_on in (Worker(1).work_on, lambda pk: execute(pk, Heart("test"))):
        record = enqueue(job, trigger=Trigger.MANUAL)
        assert work_on(record.pk) is None
        record.refresh_from_db()
        assert (record.state, record.token, record.attempt) == (State.QUEUED, 0, 0)
        assert record.waiting_for.startswith("a worker that sees the store")
        assert ("another" in record.waiting_for) is (left == "another store")
        cancel(record.pk, by="test")
    assert sorted(settings.STORE_ROOT.rglob("*")) == before
    shutil.rmtree(settings.STORE_ROOT, ignore_errors=True)
    away.rename(settings.STORE_ROOT)
    assert run(job).state == State.SUCCEEDED


def test_the_bell_comes_back_quickly_where_another_worker_has_the_store(
    job: SyncJob, settings: Settings, tmp_path: Path
) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    settings.STORE_ROOT = tmp_path / "unmounted"
    assert take_unrung() == [record.pk]
    assert Worker(1).work_on(record.pk) is None  # nobody has it: at the usual pace
    assert take_unrung(ring_again_s=20) == []
    ProcessSign.objects.create(
        name="right", store_id=find_known_store(), slots=1, started_at=Now(), seen_at=Now()
    )
    assert Worker(1).work_on(record.pk) is None
    record.refresh_from_db()
    assert record.waiting_for == "a worker"
    assert take_unrung(ring_again_s=20) == [record.pk]


@pytest.mark.parametrize("left", ["nothing", "another store"])
@pytest.mark.parametrize("when", ["fetching", "publishing"])
def test_a_store_that_goes_away_under_a_record_costs_it_no_attempt(
    left: str,
    when: str,
    job: SyncJob,
    source: Path,
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.STORE_ROOT = tmp_path / "store"
    write_store_id(settings.STORE_ROOT, find_known_store() or uuid.uuid4())
    away = tmp_path / "away"

    def take_away() -> None:
        settings.STORE_ROOT.rename(away)
        if left == "another store":
            shutil.copytree(away, settings.STORE_ROOT)
            write_store_id(settings.STORE_ROOT, uuid.uuid4())

    commit = BlobStore.commit

    def commit_around(*arguments: Any, **options: Any) -> None:
        if when == "fetching":
            take_away()
        commit(*arguments, **options)
        if when == "publishing":
            take_away()

    monkeypatch.setattr(BlobStore, "commit", commit_around)
    record = run(job)
    assert (record.state, record.attempt) == (State.QUEUED, 1)
    assert (record.vain_attempts, record.crash_count, record.error) == (0, 0, "")
    assert record.waiting_for == "a worker that sees the store"
    assert [one.event for one in record.events.order_by("id")] == ["claimed", "interrupted"]
    assert not Version.objects.exists()
    monkeypatch.undo()
    settings.STORE_ROOT = away
    assert execute(record.pk, Heart("again")) == State.SUCCEEDED
    record.refresh_from_db()
    assert record.attempt == 1
    assert digests_of(job.dataset) == digests_below(source)


def test_d10_the_first_attempts_clean_up_after_the_second_has_published_touches_only_its_own(
    job: SyncJob, source: Path, sshd: Sshd
) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    first = taken(record)
    store = open_store(record.workspace_id)
    store.prepare()
    SyncRecord.objects.filter(pk=record.pk).update(lease_expires_at=Now() - timedelta(seconds=1))
    assert reap(young_s=0) == 1
    SyncRecord.objects.filter(pk=record.pk).update(not_before=None)
    assert execute(record.pk, Heart("second")) == State.SUCCEEDED
    # The first wakes up, with bytes on their way and some of the second's content arrived once more; others
    # are at work meanwhile.
    mine = store.create(first.attempt_name)
    mine.write(b"x" * 100_000)
    again = store.create(first.attempt_name)
    again.write(FIRST["large.bin"])
    store.commit(first.attempt_name, [again.finish()])
    names = [
        f"{first.attempt_name}0",
        "another.1",
    ]  # one that begins like the first's, and one that does not
    others = [store.create(name) for name in names]
    for writer in others:
        writer.write(b"y" * 100_000)
    home = store.path(b"\0" * 32).parents[2]
    before = files_below(home)
    store.close_attempt(first.attempt_name, keep=False)
    gone = before - files_below(home)
    assert len(gone) == 1
    assert all(path.name.startswith(f"{first.attempt_name}-") for path in gone)
    assert digests_of(job.dataset) == digests_below(source)
    store.commit("another.1", [writer.finish() for writer in others])


def taken(record: SyncRecord) -> Claim:
    held = claim(record.pk, "first")
    assert held is not None
    return held
