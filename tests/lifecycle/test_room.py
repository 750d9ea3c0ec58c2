"""New work waits before the store's disk is full, on a small disk of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from pytest_django import Settings

from datasets.catalog import Wanted
from datasets.store import ensure_store, open_store
from store.errors import DiskFull
from store.room import make_room, measure_room
from syncjobs.attempt.parking import look_again_s
from syncjobs.core.states import State
from syncjobs.models import OnDelete, SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queries.durations import spent_s
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.upkeep.workers import Worker
from syncjobs.works.files.room import cap, passing_bytes
from tests.hosts.scripted_http import Conversation, Request, Script, scripted_http
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, fresh, make_connector, make_job, run
from workspaces.models import Workspace

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
    free = measure_room(disk, min_free_bytes=GIB).free_bytes
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - leave_bytes)
    return ballast


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
def test_d04_a_missing_store_is_no_matter_of_room(
    job: SyncJob, settings: Settings, tmp_path: Path
) -> None:
    settings.STORE_ROOT = tmp_path / "unmounted"
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert Worker(1).work_on(record.pk) is None
    assert fresh(record).waiting_for.startswith("a worker that sees the store")


SMALL_DISK = "room on the store's disk: "


def nowhere_near(record: SyncRecord) -> None:
    """Nothing of it was begun, and it cost nothing."""
    assert (record.state, record.attempt, record.vain_attempts) == (State.QUEUED, 1, 0)
    assert record.bytes_transferred == 0
    assert not any(path.name.startswith(record.pk.hex) for path in settings_store().rglob("*"))


def settings_store() -> Path:
    return Path(django_settings.STORE_ROOT)


@pytest.mark.django_db(transaction=True)
def test_a_plan_that_does_not_fit_waits_for_room_before_its_first_byte(
    disk: Path, job: SyncJob, source: Path
) -> None:
    with (source / "sparse.bin").open("wb") as file:
        file.truncate(1 << 40)  # a tebibyte that takes no room there
    record = enqueue(job, trigger=Trigger.MANUAL)
    worker = Worker(1)
    assert worker.work_on(record.pk) == State.QUEUED
    nowhere_near(fresh(record))
    assert record.waiting_for.startswith("room on the store's disk: 1,024.0 GiB to fetch, ")
    assert record.not_before is not None
    event = record.events.latest("id")
    assert (event.event, event.data) == ("parked", {"waits": "room"})
    assert spent_s(record.pk) == 0
    # It lists again by itself; by then the source may have less.
    SyncRecord.objects.update(not_before=None)
    assert worker.work_on(record.pk) == State.QUEUED
    nowhere_near(fresh(record))
    (source / "sparse.bin").unlink()
    SyncRecord.objects.update(not_before=None)
    assert worker.work_on(record.pk) == State.SUCCEEDED
    assert digests_of(job.dataset) == digests_below(source)


@pytest.mark.django_db(transaction=True)
def test_it_goes_on_when_there_is_room(disk: Path, job: SyncJob, source: Path) -> None:
    fill(source, {"large.bin": os.urandom(8 * MIB)})
    ballast = fill_up(disk, leave_bytes=10 * MIB)
    record = enqueue(job, trigger=Trigger.MANUAL)
    worker = Worker(1)
    assert worker.work_on(record.pk) == State.QUEUED
    assert fresh(record).waiting_for == (
        f"{SMALL_DISK}8.1 MiB to fetch, 10.0 MiB free, 3.2 MiB needed"
    )
    ballast.unlink()
    SyncRecord.objects.update(not_before=None)
    assert worker.work_on(record.pk) == State.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_what_is_held_needs_no_second_place(disk: Path, job: SyncJob, source: Path) -> None:
    """A full sync reads everything again, batch by batch."""
    fill(source, {f"{n}.bin": os.urandom(4 * MIB) for n in range(5)})
    assert run(job).state == State.SUCCEEDED
    fill_up(disk, leave_bytes=26 * MIB)
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.files_unchanged) == (State.SUCCEEDED, 7)


@pytest.mark.django_db(transaction=True)
def test_a_job_that_fetches_little_at_once_needs_little_room(
    disk: Path, job: SyncJob, source: Path
) -> None:
    SyncJob.objects.update(max_bytes=MIB)
    fill(source, {f"{n:02}.bin": os.urandom(MIB) for n in range(80)})
    assert run(SyncJob.objects.get()).state == State.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_a_size_that_nobody_told_ends_where_room_is_to_stay_free(disk: Path, db: None) -> None:
    with scripted_http(unsized(80)) as host:
        record = run(make_job(make_connector(host.target(), kind="http")))
    assert (record.state, record.error_code) == (State.QUEUED, "disk_full")
    assert "too little room is left" in record.error
    room = measure_room(disk, min_free_bytes=GIB)
    assert room.free_bytes > 60 * MIB  # what had come is gone


@pytest.mark.django_db(transaction=True)
def test_storing_ends_where_room_is_to_stay_free(disk: Path, job: SyncJob) -> None:
    """Many files, none of which is looked at by itself."""
    store = open_store(job.workspace_id)
    store.prepare()
    store.keep_free(GIB)
    fill_up(disk, leave_bytes=3 * MIB)
    writer = store.create("attempt")
    writer.write(b"small")
    with pytest.raises(DiskFull, match="too little room"):
        store.commit("attempt", [writer.finish()])


def hold(most: int | None) -> None:
    Workspace.objects.update(max_store_bytes=most)


@pytest.mark.django_db(transaction=True)
def test_over_its_quota_a_workspace_fetches_nothing(job: SyncJob, source: Path) -> None:
    hold(100_000)  # of 100,001
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "quota_exceeded")
    assert record.error.endswith(
        "the workspace holds 0.0 MiB and would get 0.1 MiB more; it may hold 0.1 MiB (max_store_bytes)"
    )
    assert record.bytes_transferred == 0
    hold(100_001)
    assert run(job).state == State.SUCCEEDED
    # What is held counts, once for each content, whatever it is called and read for.
    assert run(job, mode=SyncMode.FULL).state == State.SUCCEEDED
    fill(source, {"new.txt": b"n"})
    assert run(job).error_code == "quota_exceeded"
    hold(100_002)
    assert run(job).files_added == 1
    (source / "a.txt").unlink()
    SyncJob.objects.update(on_delete=OnDelete.IGNORE)
    hold(1)  # lowered below what is held: nothing new comes, and what is there stays
    assert run(SyncJob.objects.get()).state == State.SUCCEEDED
    fill(source, {"other.txt": b"o"})
    assert run(SyncJob.objects.get()).error_code == "quota_exceeded"
    hold(None)
    assert run(SyncJob.objects.get()).files_added == 1


@pytest.mark.django_db(transaction=True)
def test_a_quota_is_of_one_workspace(job: SyncJob, sshd: Sshd, source: Path) -> None:
    other = make_job(make_connector(sshd.target(source), workspace="lab"))
    Workspace.objects.filter(name="lab").update(max_store_bytes=1)
    assert run(job).state == State.SUCCEEDED
    assert run(other).error_code == "quota_exceeded"


@pytest.mark.django_db(transaction=True)
def test_two_records_at_once_keep_to_one_quota(job: SyncJob) -> None:
    """Another record of the workspace publishes while the first fetches what its plan had room for."""
    others: list[SyncRecord] = []

    def serve(request: Request, conversation: Conversation) -> None:
        if request.target.endswith("/"):
            conversation.answer(b'<a href="file.bin">file.bin</a>', "Content-Type: text/html")
            return
        if request.method == "GET" and not others:
            others.append(run(job))
            connection.close()
        body = bytes(100_000)
        fields = ("Last-Modified: Tue, 14 Nov 2023 22:13:21 GMT", f"Content-Length: {len(body)}")
        head = "".join(f"{field}\r\n" for field in ("HTTP/1.1 200 OK", *fields, ""))
        conversation.say(head.encode() + (b"" if request.method == "HEAD" else body))

    hold(150_000)
    with scripted_http(serve) as host:
        first = make_job(make_connector(host.target(), kind="http"))
        record = run(first)
        assert [other.state for other in others] == [State.SUCCEEDED]
        assert (record.state, record.error_code) == (State.FAILED, "quota_exceeded")
        assert not first.dataset.versions.exists()
        hold(200_001)
        assert run(first).state == State.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_what_comes_beyond_the_listed_sizes_counts_too(db: None) -> None:
    with scripted_http(unsized(1)) as host:
        job = make_job(make_connector(host.target(), kind="http"))
        hold(MIB - 1)
        record = run(job)
        assert (record.state, record.error_code) == (State.FAILED, "quota_exceeded")
        assert "what came is" in record.error
        assert not job.dataset.versions.exists()
        hold(MIB)
        assert run(job).state == State.SUCCEEDED


def unsized(mebibytes: int) -> Script:
    """A host that tells no size of its one file, neither in its index nor when it sends it."""

    def serve(request: Request, conversation: Conversation) -> None:
        if request.target.endswith("/"):
            conversation.answer(b'<a href="endless.bin">endless.bin</a>', "Content-Type: text/html")
            return
        conversation.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if request.method == "HEAD":
            return
        with contextlib.suppress(OSError):  # the other side has had enough
            for _ in range(mebibytes):
                conversation.say(b"100000\r\n" + bytes(MIB) + b"\r\n")
            conversation.say(b"0\r\n\r\n")

    return serve


@pytest.mark.parametrize(
    ("wanted", "most", "new", "passing"),
    [
        (Wanted(GIB, GIB, MIB), None, GIB, 0),
        (Wanted(0, 100 * GIB, GIB), None, 0, GIB + 512 * MIB),  # a full sync of what is held
        (Wanted(MIB, 3 * MIB, MIB), None, MIB, 2 * MIB),
        (Wanted(GIB, 2 * GIB, MIB), 10 * MIB, 10 * MIB, 0),
        (Wanted(GIB, GIB, GIB), 1, GIB, 0),  # its first file is fetched all the same
    ],
)
def test_how_much_room_a_plan_needs(
    wanted: Wanted, most: int | None, new: int, passing: int
) -> None:
    capped = cap(wanted, most)
    assert (capped.new_bytes, passing_bytes(capped)) == (new, passing)


def test_a_look_for_room_that_was_short_comes_again_soon() -> None:
    assert [look_again_s(worked_s) for worked_s in (0.1, 6.0, 600.0)] == [15.0, 60.0, 300.0]
