"""A plan is made by a dry run, approved by a person, and applied as it was, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from connectors.secrets import seal, unseal
from datasets.models import Receipt, Version
from syncjobs.attempt.execution import execute
from syncjobs.core.plans import Terms
from syncjobs.core.states import State
from syncjobs.engine.order import Outcome
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import AlreadyApplied, NoPlan, approve
from syncjobs.works.files.keeping import confirm_plan
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {f"{n:02}.txt": b"x" * n for n in range(40)}


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    """Synced once; since then one file came, one changed, one went."""
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    fill(source, {"new.txt": b"new", "07.txt": b"changed"}, age_s=1800)
    (source / "03.txt").unlink()
    return job


def apply(plan: SyncRecord) -> SyncRecord:
    record = approve(plan, by="a person")
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    return record


def test_a_dry_run_keeps_its_plan_file_by_file(job: SyncJob) -> None:
    plan = run(job, dry_run=True)
    assert (plan.state, plan.verdict) == (State.SUCCEEDED, "dry_run")
    items = {item.path: (item.action, item.size_bytes) for item in plan.items.all()}
    assert items == {
        "new.txt": ("added", 3),
        "07.txt": ("changed", 7),
        "03.txt": ("removed", 3),
    }
    assert plan.plan is not None
    assert (plan.plan["files"], plan.plan["bytes"], plan.plan["guard"]) == (2, 10, None)
    assert plan.plan["terms"]["version"] == 1
    again = run(job, dry_run=True)
    assert again.plan == plan.plan


def test_an_approved_plan_is_applied(job: SyncJob, source: Path) -> None:
    plan = run(job, dry_run=True)
    record = apply(plan)
    assert (record.state, record.verdict, record.dataset_version) == (State.SUCCEEDED, "ok", 2)
    assert (record.files_added, record.files_changed, record.files_removed) == (1, 1, 1)
    assert digests_of(job.dataset) == digests_below(source)


def test_a_plan_that_drifted_is_refused_with_what_differs(job: SyncJob, source: Path) -> None:
    plan = run(job, dry_run=True)
    fill(source, {"later.txt": b"later", "new.txt": b"another"}, age_s=900)
    shutil.copy2(source / "02.txt", source / "03.txt")
    (source / "07.txt").unlink()
    record = apply(plan)
    assert (record.state, record.verdict, record.error_code) == (
        State.FAILED,
        "plan_drifted",
        "plan_drifted",
    )
    assert record.drift is not None
    assert (record.drift["came"], record.drift["changed"], record.drift["went"]) == (1, 3, 0)
    told = {file["path"]: file["what"] for file in record.drift["files"]}
    assert told == {
        "later.txt": "came",
        "new.txt": "changed",
        "03.txt": "changed",
        "07.txt": "changed",
    }
    assert "1 files came, 3 changed, 0 went" in record.error
    assert record.bytes_transferred == 0
    assert not Receipt.objects.exists()
    assert Version.objects.count() == 1


def test_equal_files_at_another_version_are_another_plan(job: SyncJob, source: Path) -> None:
    plan = run(job, dry_run=True)
    Version.objects.update(number=9)
    record = apply(plan)
    assert record.error_code == "plan_drifted"
    assert "version 9, the plan was made against version 1" in record.error


def test_a_plan_is_applied_once(job: SyncJob) -> None:
    plan = run(job, dry_run=True)
    applied = apply(plan)
    with pytest.raises(AlreadyApplied, match=str(applied.pk)):
        approve(plan, by="a person")


def test_a_plan_whose_first_try_failed_can_be_approved_again(
    job: SyncJob, source: Path, tmp_path: Path
) -> None:
    plan = run(job, dry_run=True)
    source.rename(tmp_path / "away")
    assert apply(plan).error_code == "root_missing"
    (tmp_path / "away").rename(source)
    assert apply(plan).state == State.SUCCEEDED
    assert digests_of(job.dataset) == digests_below(source)


def test_what_a_guard_would_hold_is_shown_and_waived_by_the_approval(
    job: SyncJob, source: Path
) -> None:
    for name in list(FILES)[10:30]:
        (source / name).unlink()
    plan = run(job, dry_run=True)
    assert plan.state == State.SUCCEEDED
    assert plan.plan is not None
    assert plan.plan["guard"]["rule"] == "mass_removal"
    assert plan.files_removed == 21
    assert "would be held: 21 of 40" in plan.events.last().reason  # type: ignore[union-attr]
    record = apply(plan)
    assert (record.state, record.files_removed) == (State.SUCCEEDED, 21)
    assert digests_of(job.dataset) == digests_below(source)


def test_an_emptied_source_makes_a_plan_and_no_hold(job: SyncJob, source: Path) -> None:
    shutil.rmtree(source)
    source.mkdir()
    plan = run(job, dry_run=True)
    assert (plan.state, plan.files_removed) == (State.SUCCEEDED, len(FILES))
    (source / "one.txt").write_text("one is back")
    assert apply(plan).error_code == "plan_drifted"
    assert len(digests_of(job.dataset)) == len(FILES)


def test_only_a_finished_dry_run_has_a_plan_to_apply(job: SyncJob) -> None:
    with pytest.raises(NoPlan):
        approve(run(job), by="a person")
    waiting = enqueue(job, trigger=Trigger.MANUAL, dry_run=True)
    with pytest.raises(NoPlan):
        approve(waiting, by="a person")


def test_a_plan_made_in_full_is_applied_in_full(job: SyncJob, source: Path) -> None:
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    assert plan.files_changed == len(FILES) - 1
    record = apply(plan)
    assert (record.state, record.mode) == (State.SUCCEEDED, SyncMode.FULL)
    assert (record.files_changed, record.files_unchanged) == (1, len(FILES) - 2)
    assert digests_of(job.dataset) == digests_below(source)


def test_an_approval_waits_beside_a_queued_sync_and_serves_no_fire_of_it(job: SyncJob) -> None:
    plan = run(job, dry_run=True)
    queued = enqueue(job, trigger=Trigger.SCHEDULE)
    record = approve(plan, by="a person")
    assert execute(record.pk, Heart("test")) == State.SUCCEEDED
    queued.refresh_from_db()
    assert queued.state == State.QUEUED


def test_a_worker_lost_after_the_publish_leaves_nothing_to_apply_twice(
    job: SyncJob, source: Path
) -> None:
    plan = run(job, dry_run=True)
    record = apply(plan)
    SyncRecord.objects.filter(pk=record.pk).update(state=State.QUEUED, finished_at=None)
    fill(source, {"later.txt": b"later"})
    assert execute(record.pk, Heart("test")) == State.SUCCEEDED
    record.refresh_from_db()
    assert (record.dataset_version, record.bytes_transferred) == (2, 10)
    assert "later.txt" not in digests_of(job.dataset)


def test_a_file_replaced_after_the_confirmation_fails_alone(
    job: SyncJob, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the comparison and the transfer: what was not approved is not fetched instead."""
    plan = run(job, dry_run=True)

    def confirm_then_replace(
        session: Any, record: SyncRecord, terms: Terms, outcome: Outcome
    ) -> None:
        confirm_plan(session, record, terms, outcome)
        fill(source, {"new.txt": b"two"}, age_s=600)

    monkeypatch.setattr("syncjobs.works.files.work.confirm_plan", confirm_then_replace)
    record = apply(plan)
    assert (record.state, record.error_code) == (State.PARTIAL, "unstable")
    assert "new.txt" not in digests_of(job.dataset)


def test_an_approval_that_is_tried_again_leaves_the_queued_sync_alone(job: SyncJob) -> None:
    plan = run(job, dry_run=True)
    queued = enqueue(job, trigger=Trigger.SCHEDULE)
    record = approve(plan, by="a person")
    secret = unseal(job.get_connector())
    job.get_connector().port = 1
    seal(job.get_connector(), secret)
    job.get_connector().save()
    assert execute(record.pk, Heart("test")) == State.QUEUED  # unreachable: again later
    queued.refresh_from_db()
    assert queued.state == State.QUEUED
