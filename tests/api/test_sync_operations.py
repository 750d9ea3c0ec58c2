"""`/api/v1/sync`: the status by its shape, the trigger with its conflict, and the clean-up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event, State
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.hosts.sshd import running_sshd
from tests.rows import fill, make_connector, make_job, make_workspace, run
from workspaces.models import Role, Workspace
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)
STATUS, TRIGGER = "/api/v1/sync/status", "/api/v1/sync/trigger"
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture
def token() -> dict[str, str]:
    _, token = create_token(make_workspace(), name="ci", role=Role.OPERATOR)
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def job() -> SyncJob:
    return make_job(make_connector(TARGET), name="nightly")


def post(client: Client, token: dict[str, str], **body: Any) -> Any:
    return client.post(TRIGGER, body or None, content_type="application/json", headers=token)


def running(job: SyncJob, *, dead: bool = False, **fields: Any) -> SyncRecord:
    """As the document's own example has it."""
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    example: dict[str, Any] = {
        "stage": "processing_files",
        "percentage": 45.2,
        "current_file_index": 9,
        "total_files": 20,
        "files_failed": 1,
        "deadline_s": 600,
    }
    if dead:
        example["lease_expires_at"] = timezone.now() - timedelta(seconds=30)
    SyncRecord.objects.filter(pk=record.pk).update(**example | fields)
    record.refresh_from_db()
    return record


def shape(value: Any) -> Any:
    return {name: shape(one) for name, one in value.items()} if isinstance(value, dict) else None


DOCUMENTED: dict[str, Any] = {
    "latest_sync": {
        "id": "uuid",
        "status": "running",
        "started_at": "2024-01-01T10:00:00Z",
        "completed_at": None,
        "files_processed": 5,
        "error_message": None,
        "progress": {
            "stage": "processing_files",
            "percentage": 45.2,
            "current_file": 9,
            "total_files": 20,
        },
        "heartbeat_at": "2024-01-01T10:05:30Z",
        "expected_duration_seconds": 600,
    },
    "file_status": {"pending": 2, "processing": 1, "failed": 0, "total": 25},
}


def test_the_status_of_a_running_sync_has_exactly_the_documents_shape(
    client: Client, token: dict[str, str], job: SyncJob
) -> None:
    record = running(job)
    told = client.get(STATUS, headers=token).json()
    assert shape(told) == shape(DOCUMENTED)
    latest = told["latest_sync"]
    assert (latest["id"], latest["status"]) == (str(record.pk), "running")
    assert latest["progress"] == DOCUMENTED["latest_sync"]["progress"]
    assert (latest["completed_at"], latest["error_message"]) == (None, None)
    assert (latest["files_processed"], latest["expected_duration_seconds"]) == (8, 600)
    assert latest["started_at"].endswith("Z")
    assert latest["heartbeat_at"] is not None
    assert told["file_status"] == {"pending": 10, "processing": 1, "failed": 1, "total": 0}


def test_before_the_first_sync_there_is_none(client: Client, token: dict[str, str]) -> None:
    running(make_job(make_connector(TARGET, workspace="lab")))
    told = client.get(STATUS, headers=token).json()
    nothing = {"pending": 0, "processing": 0, "failed": 0, "total": 0}
    assert told == {"latest_sync": None, "file_status": nothing}


def test_the_status_of_a_real_sync_that_has_ended(
    client: Client, token: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sshd").mkdir()
    fill(tmp_path / "source", {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"})
    with running_sshd(tmp_path / "sshd") as sshd:
        job = make_job(make_connector(sshd.target(tmp_path / "source")))
        run(job)
        fill(tmp_path / "source", {"d.txt": b"four"})
        record = run(job)
        run(job, dry_run=True)  # no sync
    told = client.get(STATUS, headers=token).json()
    latest = told["latest_sync"]
    assert (latest["id"], latest["status"]) == (str(record.pk), "succeeded")
    assert (latest["files_processed"], latest["progress"]["percentage"]) == (4, 100)
    assert latest["completed_at"] is not None
    assert told["file_status"] == {"pending": 0, "processing": 0, "failed": 0, "total": 4}


def test_a_failed_sync_says_why(client: Client, token: dict[str, str], job: SyncJob) -> None:
    record = running(job)
    move(record.pk, Event.FAILED, changes={"error": "no such folder"})
    told = client.get(STATUS, headers=token).json()
    assert (told["latest_sync"]["status"], told["latest_sync"]["error_message"]) == (
        "failed",
        "no such folder",
    )
    assert told["file_status"]["failed"] == 1


def test_a_trigger_begins_every_enabled_job(
    client: Client, token: dict[str, str], job: SyncJob
) -> None:
    other = make_job(make_connector(TARGET), name="other")
    make_job(make_connector(TARGET), name="off", enabled=False)
    answer = post(client, token)
    assert answer.status_code == 202
    told = answer.json()
    assert [one["job"] for one in told["queued"]] == ["nightly", "other"]
    assert (told["id"], told["status"]) == (str(job.records.get().pk), "queued")
    assert told["progress"]["stage"] is None
    assert other.records.get().requested_by == "token ci"


def test_a_trigger_of_one_job_in_full(client: Client, token: dict[str, str], job: SyncJob) -> None:
    running(make_job(make_connector(TARGET), name="other"))
    for named in (job.name, str(job.pk)):
        assert post(client, token, job=named, full=True).status_code == 202
        record = job.records.get()
        assert record.mode == SyncMode.FULL
        record.delete()
    assert post(client, token, job="none").status_code == 404
    for wrong in ({"full": "yes"}, {"jobs": "nightly"}, {"job": 1}, {"job": "a\0"}):
        assert list(post(client, token, **wrong).json()["errors"]) == list(wrong)


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_trigger_beside_a_running_sync_is_answered_with_its_progress(
    client: Client, token: dict[str, str], job: SyncJob, one_at_a_time: bool
) -> None:
    Workspace.objects.update(one_sync_at_a_time=one_at_a_time)
    record = running(job)
    for body in ({}, {"job": "nightly"}):
        answer = post(client, token, **body)
        assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
        told = answer.json()
        assert "nightly is running (45 %)" in told["detail"]
        assert shape(told["latest_sync"]) == shape(DOCUMENTED["latest_sync"])
        assert told["latest_sync"]["progress"] == DOCUMENTED["latest_sync"]["progress"]
        assert told["record"]["id"] == str(record.pk)
    assert SyncRecord.objects.count() == 1


def test_where_a_workspace_syncs_one_thing_at_a_time_another_job_is_in_the_way(
    client: Client, token: dict[str, str], job: SyncJob
) -> None:
    make_job(make_connector(TARGET), name="other")
    record = running(job)
    Workspace.objects.update(one_sync_at_a_time=True)
    refused = post(client, token, job="other")
    assert (refused.status_code, refused.json()["record"]["id"]) == (409, str(record.pk))
    Workspace.objects.update(one_sync_at_a_time=False)
    assert post(client, token, job="other").status_code == 202


def test_a_stuck_sync_is_cleaned_up_and_a_new_one_started(
    client: Client, token: dict[str, str], job: SyncJob
) -> None:
    other = make_job(make_connector(TARGET), name="other")
    Workspace.objects.update(one_sync_at_a_time=True)
    stuck = running(job, dead=True)
    answer = post(client, token, job="other")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert other.records.get().state == State.QUEUED
    stuck.refresh_from_db()
    assert (stuck.state, stuck.lease_owner) == (State.QUEUED, None)
    assert stuck.events.get(event="lease_expired").data["by"] == "token ci"


def test_a_stuck_sync_of_the_job_itself_begins_anew(
    client: Client, token: dict[str, str], job: SyncJob
) -> None:
    stuck = running(job, dead=True)
    answer = post(client, token)
    assert answer.status_code == 202
    assert [one["id"] for one in answer.json()["already_queued"]] == [str(stuck.pk)]
    assert SyncRecord.objects.get().state == State.QUEUED


def test_a_trigger_with_nothing_to_do_says_so(client: Client, token: dict[str, str]) -> None:
    answer = post(client, token)
    assert (answer.status_code, answer.json()["record"]) == (409, None)
    assert "no enabled sync job" in answer.json()["detail"]


def test_the_clean_up_by_the_documents_example(
    client: Client, token: dict[str, str], job: SyncJob
) -> None:
    running(job, dead=True)
    assert client.post("/api/v1/sync/cleanup", headers=token).json()["cleaned_up"] == 1


def test_each_costs_few_queries(
    client: Client, token: dict[str, str], job: SyncJob, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make_job(job.get_connector(), name=f"job-{number}")
    with django_assert_max_num_queries(11):  # one of them for the audit trail
        assert len(post(client, token).json()["queued"]) == 21
    with django_assert_max_num_queries(10):
        client.get(STATUS, headers=token)
