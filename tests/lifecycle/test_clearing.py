"""What is published may go from the source: only that, only as it was published, and never in vain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from datasets.store import open_store
from farends.contract import RemoteEntry
from farends.errors import ConnectionLost
from farends.ftp.transport import FtpOptions, FtpSecret
from farends.sftp.remove import SftpRemover
from farends.spec import Target
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.engine.stops import CancelAsked
from syncjobs.leases.heart import Heart
from syncjobs.leases.lease import Lease
from syncjobs.models import AfterPublish, OnDelete, SyncJob, SyncRecord
from syncjobs.records.asking import approve
from syncjobs.works.files.publishing import publish
from tests.hosts.proftpd import PASSWORD, USERNAME, running_proftpd
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {
    "a.txt": b"one",
    "sub/b.txt": b"two",
    "$(touch x)": b"data only",
    "-rf": b"data only",
    "*": b"data only",
    "größe.csv": b"a;b\n",
    "cut.bin": bytes(range(256)) * 100,
}


def clearing_job(sshd: Sshd, source: Path, after: str = "delete", **fields: Any) -> SyncJob:
    fields.setdefault("on_delete", OnDelete.IGNORE)
    job = make_job(make_connector(sshd.target(source)), after_publish=after, **fields)
    job.full_clean(exclude=["dataset"])
    return job


def left(record: SyncRecord) -> dict[str, str]:
    return dict(record.items.filter(action="left").values_list("path", "error_code"))


def test_published_files_are_deleted_at_the_source(sshd: Sshd, source: Path) -> None:
    fill(source, FILES)
    before = digests_below(source)
    job = clearing_job(sshd, source)
    record = run(job)
    assert (record.state, record.files_cleared, record.warning) == (State.SUCCEEDED, len(FILES), "")
    assert digests_below(source) == {}
    assert digests_of(job.dataset) == before
    assert record.items.filter(action="deleted").count() == len(FILES)
    again = run(job)
    assert (again.state, again.files_removed, again.files_cleared) == (State.SUCCEEDED, 0, 0)
    assert digests_of(job.dataset) == before


def test_published_files_are_moved_and_not_listed_there(sshd: Sshd, source: Path) -> None:
    fill(source, FILES)
    before = digests_below(source)
    job = clearing_job(sshd, source, "move", move_to="done [x]/2026")
    record = run(job)
    assert (record.state, record.files_cleared) == (State.SUCCEEDED, len(FILES))
    assert digests_below(source) == {f"done [x]/2026/{name}": sha for name, sha in before.items()}
    again = run(job)
    assert (again.files_added, again.files_cleared, again.files_skipped) == (0, 0, 0)
    assert digests_of(job.dataset) == before


def test_only_what_the_job_takes_is_touched(sshd: Sshd, source: Path) -> None:
    fill(
        source,
        FILES | {"other.log": b"x", "half.txt": b"half", "a.txt.ok": b"", "big.txt": b"x" * 999},
    )
    job = clearing_job(
        sshd,
        source,
        include=["*.txt"],
        done_pattern="{name}.ok",
        max_file_size_bytes=500,
    )
    assert run(job).files_cleared == 1
    assert "a.txt" not in digests_below(source)
    assert set(digests_below(source)) == (
        set(FILES) - {"a.txt"} | {"other.log", "half.txt", "a.txt.ok", "big.txt"}
    )


def test_files_of_earlier_versions_go_when_the_job_begins_to_clear(
    sshd: Sshd, source: Path
) -> None:
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)), on_delete=OnDelete.IGNORE)
    run(job)
    SyncJob.objects.update(after_publish=AfterPublish.DELETE)
    record = run(SyncJob.objects.get())
    assert (record.files_added, record.files_cleared) == (0, len(FILES))
    assert digests_below(source) == {}


def test_a_file_that_changed_after_the_publish_is_left(
    sshd: Sshd, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, FILES)
    job = clearing_job(sshd, source)
    find = SftpRemover.find

    def change_then_find(self: SftpRemover, path: str) -> RemoteEntry | None:
        if path == "a.txt":
            fill(source, {"a.txt": b"new"}, age_s=60)
        return find(self, path)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(SftpRemover, "find", change_then_find)
        record = run(job)
    assert (record.state, record.verdict) == (State.SUCCEEDED, "ok")
    assert (record.files_cleared, record.files_left) == (len(FILES) - 1, 1)
    assert left(record) == {"a.txt": "changed_since"}
    assert "1 files could not be deleted at the source; the first: a.txt" in record.warning
    assert (source / "a.txt").read_bytes() == b"new"
    assert run(job).files_changed == 1
    assert digests_below(source) == {}


def test_a_young_file_stays_until_its_time_proves_something(sshd: Sshd, source: Path) -> None:
    """Rewritten within the same second and size, it would look like the published one."""
    fill(source, {"young.txt": b"one"}, age_s=0)
    job = clearing_job(sshd, source)
    record = run(job)
    assert (record.files_added, record.files_cleared) == (1, 0)
    assert (source / "young.txt").exists()


def test_a_file_whose_copy_is_not_whole_is_left(sshd: Sshd, source: Path) -> None:
    fill(source, {**FILES, "a.txt": b"a" * 100_000})  # large enough for a file of its own
    job = make_job(make_connector(sshd.target(source)), on_delete=OnDelete.IGNORE)
    run(job)
    entry = job.dataset.entries.get(path="a.txt")
    open_store(job.workspace_id).path(bytes(entry.sha256)).unlink()
    SyncJob.objects.update(after_publish=AfterPublish.DELETE)
    record = run(SyncJob.objects.get())
    assert left(record) == {"a.txt": "blob_missing"}
    assert (source / "a.txt").exists()


def test_a_move_never_replaces_a_file(sshd: Sshd, source: Path) -> None:
    fill(source, {"a.txt": b"new", "b.txt": b"b", "done/a.txt": b"old"})
    record = run(clearing_job(sshd, source, "move", move_to="done"))
    assert left(record) == {"a.txt": "already_there"}
    assert (source / "a.txt").read_bytes() == b"new"
    assert (source / "done/a.txt").read_bytes() == b"old"
    assert (source / "done/b.txt").exists()


@pytest.mark.parametrize("error", [ConnectionLost, CancelAsked])
def test_what_an_interruption_left_the_next_record_does(
    sshd: Sshd, source: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    fill(source, FILES)
    job = clearing_job(sshd, source)
    count = 0

    def remove_three(self: SftpRemover, path: str) -> None:
        nonlocal count
        if count == 3:
            raise error
        count += 1
        (source / path).unlink()

    with monkeypatch.context() as cut:
        cut.setattr(SftpRemover, "remove", remove_three)
        record = run(job)
    assert (record.state, record.files_cleared, record.files_left) == (State.SUCCEEDED, 3, 0)
    assert "The next record goes on" in record.warning
    assert len(digests_below(source)) == len(FILES) - 3
    assert run(job).files_cleared == len(FILES) - 3
    assert digests_below(source) == {}


def test_a_worker_lost_between_publish_and_clearing_leaves_it_to_the_next_attempt(
    sshd: Sshd, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, FILES)
    before = digests_below(source)
    job = clearing_job(sshd, source)

    class Killed(BaseException):
        pass

    def die(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as killed:
        killed.setattr("syncjobs.works.files.work.clear_source", die)
        with pytest.raises(Killed):
            run(job)
    record = SyncRecord.objects.get()
    assert (record.state, record.dataset_version) == (State.RUNNING, 1)
    assert digests_below(source) == before
    SyncRecord.objects.update(
        state=State.QUEUED, lease_owner=None, lease_expires_at=None, heartbeat_at=None
    )
    assert execute(record.pk, Heart("another")) == State.SUCCEEDED
    record.refresh_from_db()
    assert (record.files_added, record.files_cleared) == (len(FILES), len(FILES))
    assert digests_below(source) == {}
    assert digests_of(job.dataset) == before


def test_a_worker_that_lost_its_lease_touches_nothing_more(
    sshd: Sshd, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, FILES)
    job = clearing_job(sshd, source)
    find = SftpRemover.find

    def lose_then_find(self: SftpRemover, path: str) -> RemoteEntry | None:
        for lease in leases:
            lease.lose()
        return find(self, path)

    leases: list[Lease] = []
    check = Lease.check

    def note_then_check(self: Lease) -> None:
        leases.append(self)
        check(self)

    monkeypatch.setattr(Lease, "check", note_then_check)
    monkeypatch.setattr(SftpRemover, "find", lose_then_find)
    record = run(job)
    assert record.state == State.RUNNING  # its lease runs out, and the reaper decides
    assert len(digests_below(source)) >= len(FILES) - 1


def test_an_edited_job_stops_the_clearing(
    sshd: Sshd, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, FILES)
    job = clearing_job(sshd, source)

    def publish_then_edit(*args: Any, **kwargs: Any) -> Any:
        published = publish(*args, **kwargs)
        SyncJob.objects.update(after_publish=AfterPublish.KEEP)
        return published

    monkeypatch.setattr("syncjobs.works.files.work.publish", publish_then_edit)
    record = run(job)
    assert (record.state, record.files_cleared) == (State.SUCCEEDED, 0)
    assert "the job was edited" in record.warning
    assert len(digests_below(source)) == len(FILES)


def test_an_approved_plan_covers_what_becomes_of_the_source(sshd: Sshd, source: Path) -> None:
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)), on_delete=OnDelete.IGNORE)
    plan = run(job, dry_run=True)
    SyncJob.objects.update(after_publish=AfterPublish.DELETE)
    record = approve(plan, by="a person")
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    assert record.error_code == "plan_drifted"
    assert "would delete files at the source, the plan said keep" in record.error
    assert len(digests_below(source)) == len(FILES)


def test_over_ftp(source: Path, tmp_path: Path) -> None:
    fill(source, FILES)
    before = digests_below(source)
    with running_proftpd(tmp_path) as port:
        options = FtpOptions(username=USERNAME, root=str(source), allow_plaintext_password=True)
        target = Target("127.0.0.1", port, options, FtpSecret(password=PASSWORD))
        connector = make_connector(target, kind="ftp")
        job = make_job(connector, after_publish="move", move_to="done", on_delete=OnDelete.IGNORE)
        record = run(job)
    assert (record.state, record.files_cleared, record.warning) == (State.SUCCEEDED, len(FILES), "")
    assert digests_below(source) == {f"done/{name}": sha for name, sha in before.items()}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"after_publish": "delete"}, "goes with on_delete: ignore"),
        ({"after_publish": "move", "on_delete": "ignore"}, "which folder"),
        ({"after_publish": "delete", "on_delete": "ignore", "move_to": "x"}, "belongs to"),
        ({"move_to": "x"}, "belongs to"),
        *(
            ({"after_publish": "move", "on_delete": "ignore", "move_to": bad}, "below the root")
            for bad in ("/abs", "../up", "a/../b", "a//b", "a/", ".")
        ),
        ({"after_publish": "move", "on_delete": "ignore", "move_to": "a\0b"}, "NUL"),
    ],
)
def test_fields_that_do_not_fit_are_refused_in_words(
    sshd: Sshd, source: Path, fields: dict[str, str], says: str
) -> None:
    job = make_job(make_connector(sshd.target(source)))
    for name, value in fields.items():
        setattr(job, name, value)
    with pytest.raises(ValidationError, match=says):
        job.full_clean(exclude=["dataset"])


def test_kinds_that_only_read_are_refused(sshd: Sshd, source: Path) -> None:
    connector = make_connector(sshd.target(source))
    connector.kind = "https"
    job = SyncJob(
        workspace=connector.workspace,
        connector=connector,
        name="x",
        on_delete=OnDelete.IGNORE,
        after_publish=AfterPublish.DELETE,
    )
    with pytest.raises(ValidationError, match=r"kind https only reads.*sftp, ssh, ftp, ftps can"):
        job.full_clean(exclude=["dataset"])


def test_the_database_refuses_what_would_empty_the_dataset(sshd: Sshd, source: Path) -> None:
    job = make_job(make_connector(sshd.target(source)))
    with pytest.raises(IntegrityError):
        SyncJob.objects.filter(pk=job.pk).update(after_publish=AfterPublish.DELETE)
