"""Retry, release, and the ledger, on records that really ran."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from syncjobs.attempt.execution import execute
from syncjobs.claims.claiming import claim
from syncjobs.core.overlaps import Overlap
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncItem, SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.api.asking import Asker, asker
from tests.hosts.sshd import Sshd
from tests.rows import digests_of, fill, make_connector, make_job, make_workspace, run
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ops() -> Asker:
    return asker(Role.OPERATOR)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    return make_job(make_connector(sshd.target(source)), name="files")


def failed(job: SyncJob) -> SyncRecord:
    """A record that failed for good: its host's key is another."""
    options = job.get_connector().options
    job.get_connector().options = options | {"host_key": "SHA256:" + "A" * 43}
    job.get_connector().save()
    record = run(job, mode=SyncMode.FULL)
    job.get_connector().options = options
    job.get_connector().save()
    assert record.state == State.FAILED
    return record


def path_of(record: SyncRecord, action: str) -> str:
    return f"sync-records/{record.pk}/{action}"


def refused(answer: Any) -> Any:
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    return answer.json()


def test_what_failed_is_done_again_as_a_new_record(ops: Asker, job: SyncJob, source: Path) -> None:
    fill(source, {"a.txt": b"one"})
    record = failed(job)
    answer = ops.post(path_of(record, "retry"))
    assert answer.status_code == 202
    told = answer.json()
    assert (told["state"], told["trigger"], told["mode"]) == ("queued", "manual", "full")
    assert told["id"] != str(record.pk)
    execute(uuid.UUID(told["id"]), Heart("test"))
    again = ops.get(f"sync-records/{told['id']}").json()
    assert (again["state"], again["dataset_version"]) == ("succeeded", 1)
    assert SyncRecord.objects.get(pk=told["id"]).requested_by == "token ci"
    assert refused(ops.post(path_of(SyncRecord.objects.get(pk=told["id"]), "retry")))["record"]


def test_only_the_failed_files_are_retried(ops: Asker, job: SyncJob) -> None:
    record = failed(job)
    only = {"failed_only": True}
    assert "None of its files" in refused(ops.post(path_of(record, "retry"), only))["detail"]
    SyncItem.objects.create(record=record, path="a.txt", action="failed")
    told = ops.post(path_of(record, "retry"), only).json()
    assert told["trigger"] == "redrive"
    made = SyncRecord.objects.get(pk=told["id"])
    assert made.redrive == {"record": str(record.pk)}


def test_a_retry_that_is_in_the_way_of_another_says_of_which(ops: Asker, job: SyncJob) -> None:
    record = failed(job)
    first = ops.post(path_of(record, "retry")).json()
    told = refused(ops.post(path_of(record, "retry")))
    assert told["record"]["id"] == first["id"]
    assert first["id"] in told["detail"]
    assert refused(ops.post(f"sync-records/{first['id']}/retry"))["record"]["state"] == "queued"


def test_overlap_and_one_sync_at_a_time_hold_for_retries(
    ops: Asker, job: SyncJob, sshd: Sshd, source: Path
) -> None:
    record = failed(job)
    running = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(running.pk, "worker")
    SyncJob.objects.filter(pk=job.pk).update(overlap=Overlap.SKIP)
    told = refused(ops.post(path_of(record, "retry")))
    assert (told["record"]["id"], told["record"]["state"]) == (str(running.pk), "running")
    SyncJob.objects.filter(pk=job.pk).update(overlap=Overlap.QUEUE)
    other = failed(make_job(make_connector(sshd.target(source)), name="other"))
    workspace = make_workspace()
    workspace.one_sync_at_a_time = True
    workspace.save()
    assert refused(ops.post(path_of(other, "retry")))["record"]["id"] == str(running.pk)
    assert "percentage" in refused(ops.post(path_of(record, "retry")))["record"]


def test_a_held_record_is_released_and_never_retried(
    ops: Asker, job: SyncJob, source: Path
) -> None:
    fill(source, {f"{n}.txt": b"x" for n in range(20)})
    run(job)
    for n in range(10):
        (source / f"{n}.txt").unlink()
    held = run(job)
    assert held.state == State.HELD
    assert "release it, or cancel it" in refused(ops.post(path_of(held, "retry")))["detail"]
    answer = ops.post(path_of(held, "release"))
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    execute(held.pk, Heart("test"))
    assert len(digests_of(job.dataset)) == 10
    told = refused(ops.post(path_of(held, "release")))
    assert (told["record"]["state"], "not held" in told["detail"]) == ("succeeded", True)


def test_a_plan_that_failed_is_approved_again(ops: Asker, job: SyncJob, source: Path) -> None:
    fill(source, {"a.txt": b"one"})
    plan = run(job, dry_run=True)
    applying = SyncRecord.objects.create(
        workspace=job.workspace,
        job=job,
        connector=job.connector,
        trigger=Trigger.MANUAL,
        plan=plan.plan,
        applies_id=plan.pk,
    )
    assert ops.post(path_of(applying, "cancel")).status_code == 202
    told = ops.post(path_of(applying, "retry"))
    assert told.status_code == 202
    again = SyncRecord.objects.get(pk=told.json()["id"])
    assert again.applies_id == plan.pk
    assert refused(ops.post(path_of(applying, "retry")))["record"]["id"] == str(again.pk)


def test_the_ledger_tells_each_file_once(ops: Asker, job: SyncJob, source: Path) -> None:
    fill(source, {f"{n:02}.txt": b"%d" % n for n in range(12)})
    first = run(job)
    (source / "00.txt").write_bytes(b"changed")
    (source / "01.txt").unlink()
    second = run(job)
    path = path_of(first, "items")
    items = ops.items(path, limit=5)
    assert [item["path"] for item in items] == [f"{n:02}.txt" for n in range(12)]
    assert len({item["id"] for item in items}) == 12
    digests = digests_of(job.dataset, 1)
    assert {item["path"]: item["sha256"] for item in items} == digests
    assert {(item["action"], item["error_code"]) for item in items} == {("added", "")}
    changes = {item["path"]: item["action"] for item in ops.items(path_of(second, "items"))}
    assert changes == {"00.txt": "changed", "01.txt": "removed"}
    (only,) = ops.items(path_of(second, "items"), action="removed")
    assert only["path"] == "01.txt"
    wrong = ops.get(path, {"action": "eaten"})
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["action"])


def test_a_name_that_is_no_utf8_and_a_file_that_failed_are_in_the_ledger(
    ops: Asker, job: SyncJob, source: Path
) -> None:
    fill(source, {"a.txt": b"x", "secret.txt": b"y"})
    (source / "secret.txt").chmod(0)
    (source / "b\udcff.txt").write_bytes(b"z")
    record = run(job)
    told = {item["path"]: item for item in ops.items(path_of(record, "items"))}
    assert "b\U000f00ff.txt" in told
    if record.state == State.PARTIAL:  # root reads it all the same
        assert told["secret.txt"]["error_code"]
        assert told["secret.txt"]["sha256"] is None
        assert ops.items(path_of(record, "items"), action="failed")


def test_few_queries(ops: Asker, job: SyncJob, source: Path) -> None:
    fill(source, {f"{n}": b"x" for n in range(30)})
    record = run(job)
    for action in ("items", "events"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert ops.get(path_of(record, action)).status_code == 200
        assert len(queries) <= 6
    with CaptureQueriesContext(connection) as queries:
        assert ops.post(path_of(record, "retry")).status_code == 409
    assert len(queries) <= 10
