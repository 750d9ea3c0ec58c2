"""New work waits before the store's disk is full, on a small disk of its own."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from datasets.room import look_at, make_room
from datasets.store import ensure_store
from syncjobs.core.states import State
from syncjobs.lifecycle.enqueueing import enqueue
from syncjobs.lifecycle.workers import Worker
from syncjobs.models import SyncJob, SyncRecord, Trigger
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, make_connector, make_job

GIB = 1 << 30
MIB = 1 << 20


@pytest.mark.parametrize(
    ("free", "size", "least", "needed", "short"),
    [
        (GIB, 100 * GIB, GIB, GIB, False),
        (GIB - 1, 100 * GIB, GIB, GIB, True),
        (2 * GIB, 10 * GIB, GIB, GIB // 2, False),  # a small disk: 5 % of it are enough
        (10 * MIB, 100 * MIB, GIB, 5 * MIB, False),
        (4 * MIB, 100 * MIB, GIB, 5 * MIB, True),
        (0, 100 * GIB, 0, 0, False),  # off
    ],
)
def test_what_is_to_stay_free(free: int, size: int, least: int, needed: int, short: bool) -> None:
    room = make_room(free_bytes=free, size_bytes=size, min_free_bytes=least)
    assert (room.needed_bytes, room.is_short) == (needed, short)


def test_it_says_how_much_is_missing() -> None:
    room = make_room(free_bytes=300 * MIB, size_bytes=2000 * GIB, min_free_bytes=20 * GIB)
    assert str(room) == "300.0 MiB free, 20.0 GiB needed"


@pytest.fixture
def disk(db: None, tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """A disk of 64 MiB with the store on it: 3.2 MiB are to stay free."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "test", folder], check=True)
    settings.STORE_ROOT = folder / "store"
    ensure_store()
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def job(sshd: Sshd, source: Path, db: None) -> SyncJob:
    fill(source, {"a.txt": b"a", "b.bin": os.urandom(100_000)})
    return make_job(make_connector(sshd.target(source)))


def fill_up(disk: Path, *, leave_bytes: int) -> Path:
    ballast = disk / "ballast"
    free = look_at(disk, min_free_bytes=GIB).free_bytes
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - leave_bytes)
    return ballast


def fresh(record: SyncRecord) -> SyncRecord:
    record.refresh_from_db()
    return record


@pytest.mark.django_db(transaction=True)
def test_d01_new_work_waits_for_room_and_goes_on_by_itself(disk: Path, job: SyncJob) -> None:
    ballast = fill_up(disk, leave_bytes=2 * MIB)
    record = enqueue(job, trigger=Trigger.MANUAL)
    worker = Worker(1)
    assert worker.work_on(record.pk) is None
    assert (fresh(record).state, record.attempt, record.token) == (State.QUEUED, 0, 0)
    assert record.waiting_for == "room on the store's disk: 2.0 MiB free, 3.2 MiB needed"
    assert not record.events.exists()
    ballast.unlink()
    assert worker.work_on(record.pk) == State.SUCCEEDED
    assert fresh(record).waiting_for == ""
    assert len(digests_of(job.dataset)) == 2


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_needs_no_room(disk: Path, job: SyncJob) -> None:
    fill_up(disk, leave_bytes=2 * MIB)
    record = enqueue(job, trigger=Trigger.MANUAL, dry_run=True)
    assert Worker(1).work_on(record.pk) == State.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_the_rule_can_be_switched_off(
    disk: Path, job: SyncJob, source: Path, settings: Settings
) -> None:
    settings.SYNC = dataclasses.replace(settings.SYNC, min_free_bytes=0)
    fill_up(disk, leave_bytes=2 * MIB)
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert Worker(1).work_on(record.pk) == State.SUCCEEDED
    assert digests_of(job.dataset) == digests_below(source)


@pytest.mark.django_db(transaction=True)
def test_what_runs_meets_the_full_disk_itself(disk: Path, job: SyncJob, source: Path) -> None:
    """D01: enough room at its start, and then not: told as such, and tried again later."""
    fill(source, {"large.bin": os.urandom(8 * MIB)})
    fill_up(disk, leave_bytes=4 * MIB)
    record = enqueue(job, trigger=Trigger.MANUAL)
    Worker(1).work_on(record.pk)
    assert (fresh(record).state, record.error_code) == (State.QUEUED, "disk_full")


@pytest.mark.django_db(transaction=True)
def test_d04_a_missing_store_is_no_matter_of_room(
    job: SyncJob, settings: Settings, tmp_path: Path
) -> None:
    settings.STORE_ROOT = tmp_path / "unmounted"
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert Worker(1).work_on(record.pk) is None
    assert fresh(record).waiting_for.startswith("a worker that sees the store")
