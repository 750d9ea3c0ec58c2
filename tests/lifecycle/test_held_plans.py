"""What a guard has stopped is kept file by file, and a release is bound to what the person was shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datasets.models import Version
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import PlannedFile, SyncJob, SyncRecord
from syncjobs.records.asking import PlanChanged, digest_of_hold, discard, release
from tests.hosts.sshd import Sshd
from tests.rows import digests_of, fill, fresh, make_connector, make_job, run
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {f"old/{n}.txt": b"x" * n for n in range(20)})
    made = make_job(make_connector(sshd.target(source)))
    run(made)
    return made


def _hold(job: SyncJob, source: Path) -> SyncRecord:
    for n in range(4):
        (source / f"old/{n}.txt").unlink()
    fill(source, {"new.txt": b"new", "old/9.txt": b"another content"})
    record = run(job)
    assert record.state == State.HELD
    return record


def _paths(record: SyncRecord, action: str) -> list[str]:
    rows = PlannedFile.objects.filter(record=record, action=action)
    return list(rows.values_list("path", flat=True))


def test_a_held_record_keeps_what_would_go_change_and_join(job: SyncJob, source: Path) -> None:
    record = _hold(job, source)
    assert _paths(record, "removed") == [f"old/{n}.txt" for n in range(4)]
    assert (_paths(record, "changed"), _paths(record, "added")) == (["old/9.txt"], ["new.txt"])
    assert record.hold is not None
    plan = record.hold["plan"]
    counted = ("held", "listed", "added", "changed", "removed", "unchanged", "version")
    assert [plan[name] for name in counted] == [20, 17, 1, 1, 4, 15, 1]
    assert not record.items.exists()  # nothing was done
    assert release(record.pk, by="a person", seen=digest_of_hold(record.hold))
    assert execute(record.pk, Heart("test")) == State.SUCCEEDED
    assert fresh(record).files_removed == 4
    assert not PlannedFile.objects.exists()


def test_other_files_that_go_meanwhile_are_shown_anew(job: SyncJob, source: Path) -> None:
    """As many as were released, and not the same ones."""
    record = _hold(job, source)
    before = digest_of_hold(record.hold)
    fill(source, {"old/3.txt": b"back"})
    (source / "old/15.txt").unlink()
    assert release(record.pk, by="a person", seen=before)
    assert execute(record.pk, Heart("test")) == State.HELD
    record = fresh(record)
    assert "1 other file would go, the first old/15.txt" in record.error
    assert _paths(record, "removed") == ["old/0.txt", "old/1.txt", "old/15.txt", "old/2.txt"]
    assert (Version.objects.count(), len(digests_of(job.dataset))) == (1, 20)
    # Who has seen the first plan only decides nothing.
    with pytest.raises(PlanChanged):
        release(record.pk, by="a person", seen=before)
    with pytest.raises(PlanChanged):
        discard(record.pk, by="a person", seen=before)
    assert fresh(record).state == State.HELD
    assert release(record.pk, by="a person", seen=digest_of_hold(record.hold))
    assert execute(record.pk, Heart("test")) == State.SUCCEEDED


def test_fewer_files_that_go_need_no_second_look(job: SyncJob, source: Path) -> None:
    record = _hold(job, source)
    fill(source, {"old/3.txt": b"back"})
    assert release(record.pk, by="a person")
    assert execute(record.pk, Heart("test")) == State.SUCCEEDED
    assert fresh(record).files_removed == 3


def test_a_newer_held_record_takes_the_place_of_the_older_one(job: SyncJob, source: Path) -> None:
    first = _hold(job, source)
    shutil.rmtree(source / "old")
    second = run(job)
    assert second.state == State.HELD
    assert not PlannedFile.objects.filter(record=first).exists()
    assert len(_paths(second, "removed")) == 20


def test_who_decided_on_which_plan_stands_in_the_audit_trail(job: SyncJob, source: Path) -> None:
    record = _hold(job, source)
    assert discard(record.pk, by="a person", seen=digest_of_hold(record.hold))
    assert not discard(record.pk, by="a person")
    assert fresh(record).state == State.CANCELLED
    entry = AuditEntry.objects.get(action="discarded")
    assert (entry.kind, entry.object_id) == ("sync record", str(record.pk))
    assert entry.changes["plan"] == [None, digest_of_hold(record.hold)]
    assert entry.changes["removed"] == [None, 4]
