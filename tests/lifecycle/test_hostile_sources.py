"""Far ends that fail half-way or lie: real servers of another make, told by file names how to be."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from pytest_django import Settings

from datasets.models import Version
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.records.asking import cancel
from tests.hosts.asyncssh_host import AsyncsshHost, running_asyncssh
from tests.hosts.scripted_ftp import Conversation, scripted_ftp
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = b"0123456789"
GOOD = {f"good/{n}.txt": b"good %d" % n for n in range(30)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AsyncsshHost, Path]]:
    folder = tmp_path_factory.mktemp("served")
    with running_asyncssh(tmp_path_factory.mktemp("asyncssh"), folder, "shell") as host:
        yield host, folder


@pytest.fixture
def serve(server: tuple[AsyncsshHost, Path], tmp_path: Path) -> Callable[..., tuple[SyncJob, Path]]:
    """A job on a folder of its own, filled with files."""

    def make(files: dict[str, bytes], **fields: object) -> tuple[SyncJob, Path]:
        host, served = server
        folder = served / tmp_path.name
        folder.mkdir(exist_ok=True)
        fill(folder, files)
        return make_job(make_connector(host.target(folder)), **fields), folder

    return make


Serve = Callable[..., tuple[SyncJob, Path]]


def test_n15_a_folder_that_fails_keeps_its_files_and_stops_every_removal(serve: Serve) -> None:
    """N15, P5: the folder opens at first and is denied later, while files elsewhere vanish."""
    job, folder = serve(GOOD | {"inner/a.txt": b"a", "inner/b.txt": b"b"})
    run(job)
    held = digests_of(job.dataset)
    (folder / "inner").rename(folder / "denied")
    (folder / "good" / "0.txt").unlink()
    fill(folder, {"good/new.txt": b"new"})
    record = run(job)
    assert (record.state, record.error_code) == (State.PARTIAL, "unreadable")
    assert "nothing was removed" in record.error
    assert (record.files_added, record.files_removed) == (1, 0)
    assert held.items() < digests_of(job.dataset).items()
    assert digests_of(job.dataset, 1) == held


@pytest.mark.parametrize("mode", [SyncMode.INCREMENTAL, SyncMode.FULL])
def test_where_every_file_fails_no_version_says_that_there_are_none(
    serve: Serve, mode: SyncMode
) -> None:
    job, folder = serve({"a/denied.txt": b"x", "b/denied.txt": b"y"})
    record = run(job, mode=mode)
    assert (record.state, record.error_code) == (State.FAILED, "permission_refused")
    assert "nothing was published" in record.error
    assert (record.files_failed, record.dataset_version) == (2, None)
    assert {item.path for item in record.items.all()} == {"a/denied.txt", "b/denied.txt"}
    assert not job.dataset.versions.exists()
    # Once there is a version, it keeps what it holds.
    fill(folder, {"good.txt": b"good"})
    assert run(job, mode=mode).state == State.PARTIAL
    held = digests_of(job.dataset)
    fill(folder, {"c/denied.txt": b"z"})
    record = run(job, mode=mode)
    assert (record.state, record.dataset_version) == (State.PARTIAL, 1)
    assert digests_of(job.dataset) == held


def test_a_file_that_fails_does_not_stop_the_others(serve: Serve) -> None:
    job, _ = serve(GOOD | {"denied.txt": b"x"})
    record = run(job)
    assert (record.state, record.files_added, record.files_failed) == (State.PARTIAL, 30, 1)
    item = record.items.get(action="failed")
    assert (item.path, item.error_code) == ("denied.txt", "permission_refused")
    assert "denied.txt" not in digests_of(job.dataset)


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("overstated.bin", {"truncated"}),
        ("understated.bin", {"unstable"}),
        ("endless.bin", {"truncated", "unstable"}),
    ],
)
def test_s05_s07_a_size_that_lies_is_no_file(serve: Serve, name: str, codes: set[str]) -> None:
    """S05, S07: what arrives is not what was declared, so nothing of it is published."""
    job, _ = serve(GOOD | {name: os.urandom(5_000)})
    record = run(job)
    assert (record.state, record.files_added) == (State.PARTIAL, 30)
    assert record.items.get(action="failed").error_code in codes
    assert name not in digests_of(job.dataset)


def test_a_cut_connection_keeps_what_came_and_tries_again(serve: Serve) -> None:
    job, _ = serve(GOOD | {"zz-cut.bin": os.urandom(2 << 20)})
    record = run(job)
    assert (record.state, record.error_code) == (State.QUEUED, "connection_lost")
    assert (record.attempt, record.vain_attempts) == (2, 0)  # it kept something, so it cost nothing
    assert not Version.objects.exists()


def test_s08_a_large_file_that_is_cut_again_and_again_arrives_whole(serve: Serve) -> None:
    """S08: the connection ends every half megabyte; each attempt goes on where the last one ended, and
    uses up none of the two that the job has."""
    content = os.urandom(4 << 20)
    job, folder = serve({"cut.bin": content}, max_attempts=2)
    record = run(job)
    attempts = 1
    while record.state == State.QUEUED and attempts < 30:
        SyncRecord.objects.update(not_before=None)
        execute(record.pk, Heart("test"))
        record.refresh_from_db()
        attempts += 1
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert attempts > 3
    assert digests_of(job.dataset) == digests_below(folder)
    partial = settings.STORE_ROOT / str(job.workspace_id) / "partial"
    assert list(partial.iterdir()) == []


def test_what_no_host_can_prove_is_not_kept() -> None:
    """A host that computes no digests cuts a large file: its half would lie there for nothing."""
    content = os.urandom(1 << 20)

    def cut(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        conversation.say("150 so")
        connected.sendall(content[: 1 << 19])
        conversation.host.cut()

    with scripted_ftp({"large.bin": content}, RETR=cut) as host:
        job = make_job(make_connector(host.target(), kind="ftp"))
        record = run(job)
        assert record.state == State.QUEUED
        partial = settings.STORE_ROOT / str(job.workspace_id) / "partial"
        assert list(partial.iterdir()) == []
        assert record.vain_attempts == 1


def test_files_whose_kind_the_host_does_not_tell_are_kept(serve: Serve) -> None:
    """At first all is told; then the host leaves out the bits for file or folder, also when it is asked."""
    job, folder = serve(GOOD | {"inner/a.txt": b"a", "inner/b.txt": b"b"})
    run(job)
    held = digests_of(job.dataset)
    (folder / "inner" / "kindless").touch()
    (folder / "good" / "0.txt").unlink()
    record = run(job)
    assert (record.state, record.files_removed) == (State.PARTIAL, 0)
    failed = dict(record.items.filter(action="failed").values_list("path", "error_code"))
    names = ("inner/a.txt", "inner/b.txt", "inner/kindless")
    assert failed == dict.fromkeys(names, "unreadable_row")
    assert digests_of(job.dataset) == held


@pytest.mark.parametrize("times", [1, 2])
def test_a_folder_that_is_refused_for_a_moment_is_listed_again(serve: Serve, times: int) -> None:
    """And what is listed in it then is fetched from where it lies."""
    job, folder = serve(GOOD | {"outer/inner/a.txt": b"a", "outer/inner/deep/b.txt": b"b"})
    for number in range(times):
        (folder / "outer" / "inner" / f"fails-{number}").touch()
    record = run(job)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert digests_of(job.dataset) == digests_below(folder)


def test_n01_n03_n04_names_that_would_leave_their_folder_are_refused_and_told(serve: Serve) -> None:
    """N01, N03, N04."""
    job, folder = serve({"hostile-names/good": b"x"})
    before = set(folder.parent.rglob("*"))
    record = run(job)
    assert digests_of(job.dataset) == digests_below(folder)
    refused = record.items.filter(error_code="unsafe_name").count()
    assert (record.state, refused) == (State.SUCCEEDED, 6)
    assert set(folder.parent.rglob("*")) == before


def test_numbers_that_no_64_bits_hold_are_no_trouble_of_the_other_files() -> None:
    """P14: a listing may tell any size and any time; each lie costs its own file at most."""
    facts = {
        "a-far-future": f"size={len(CONTENT)};modify=99991231235959",
        "a-far-past": f"size={len(CONTENT)};modify=00010101000000",
        "huge": f"size={2**63 - 1};modify=20231114221321",
        "huger": f"size={2**63 - 1};modify=20231114221321",
        "beyond": "size=9999999999999999999;modify=20231114221321",
        "negative": "size=-5;modify=20231114221321",
        "good": f"size={len(CONTENT)};modify=20231114221321",
    }
    rows = "".join(f"type=file;{facts[name]}; {name}\r\n" for name in facts).encode()

    def describe(conversation: Conversation, argument: str) -> None:
        name = argument.removeprefix("/")
        conversation.say("250-facts", f" type=file;{facts[name]}; {name}", "250 end")

    with scripted_ftp(
        dict.fromkeys(facts, CONTENT), MLSD=lambda c, _: c.send(rows), MLST=describe
    ) as host:
        job = make_job(make_connector(host.target(), kind="ftp"))
        record = run(job)
        assert record.state == State.QUEUED  # nobody has room for those
        assert record.waiting_for.startswith("room on the store's disk: ")
        cancel(record.pk, by="test")
        SyncJob.objects.update(max_file_size_bytes=2**40)
        record = run(SyncJob.objects.get())
    held = set(digests_of(job.dataset))
    assert {"good", "a-far-future", "a-far-past", "negative"} == held
    failed = record.items.get(
        action="failed"
    )  # no file has such a size: a row that is not understood
    assert (record.state, failed.error_code) == (State.PARTIAL, "unreadable_row")
    skipped = dict(record.items.filter(action="skipped").values_list("path", "error_code"))
    assert skipped == dict.fromkeys(("huge", "huger"), "too_large")


@pytest.mark.parametrize("excluded", [False, True])
def test_a_listing_without_an_end_ends_the_record(
    serve: Serve, settings: Settings, excluded: bool
) -> None:
    """Also where the job would leave all of its rows out."""
    settings.SYNC = dataclasses.replace(settings.SYNC, max_listed=30)
    job, folder = serve(GOOD, exclude=["extra/**"])
    assert run(job).state == State.SUCCEEDED
    held = digests_of(job.dataset)
    fill(folder, {"extra/more.txt" if excluded else "more.txt": b"x"})
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "listing_too_long")
    assert "lists more than 30 rows" in record.error
    assert record.bytes_transferred == 0
    assert digests_of(job.dataset) == held
    settings.SYNC = dataclasses.replace(settings.SYNC, max_listed=0)
    assert run(job).state == State.SUCCEEDED
