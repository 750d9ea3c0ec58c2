"""`/status`, `/connections`, `/history` and `/sync`: each route is asked as its callers ask."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import Settings

from connectors.models import Connector, ConnectorStatus
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims.claiming import claim
from syncjobs.core.overlaps import Overlap
from syncjobs.core.states import FINAL, Event, State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.rows import at_work, fresh, make_connector, make_job, make_workspace
from tests.waiting import until
from workspaces.models import Member, Role, Workspace
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture
def token() -> dict[str, str]:
    _, token = create_token(make_workspace(), name="ci", role=Role.OPERATOR)
    return {"Authorization": f"Bearer {token}"}


def job_of(name: str, *, workspace: str = "acme", **fields: Any) -> SyncJob:
    """A job on a connector of its own, both of this name."""
    connector = make_connector(TARGET, workspace=workspace)
    connector.name = name
    connector.save()
    return make_job(connector, name=name, **fields)


def names(told: list[dict[str, Any]]) -> list[str]:
    return [one["job"] for one in told]


def test_get_health_is_open(client: Client) -> None:
    told = client.get("/health").json()
    assert told["status"] in ("ok", "degraded", "starting", "unavailable")
    assert "database" in told["checks"]


def test_get_api_docs(client: Client, settings: Settings) -> None:
    plain = "django.contrib.staticfiles.storage.StaticFilesStorage"  # nothing is collected here
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": plain}}
    assert "/api/openapi.json" in client.get("/api-docs").content.decode()


def test_get_status(client: Client, token: dict[str, str]) -> None:
    idle = client.get("/status", headers=token).json()
    assert (idle["status"], idle["workspace"], idle["running"]) == ("idle", "acme", [])
    works, waits, ended = job_of("works"), job_of("waits"), job_of("ended")
    job_of("due", schedule={"every_s": 3600})
    job_of("elsewhere", workspace="lab", schedule={"every_s": 3600})
    at_work = enqueue(works, trigger=Trigger.MANUAL)
    assert claim(at_work.pk, "worker") is not None
    SyncRecord.objects.filter(pk=at_work.pk).update(percentage=45.2, total_files=20)
    enqueue(waits, trigger=Trigger.MANUAL)
    failed = enqueue(ended, trigger=Trigger.MANUAL)
    assert claim(failed.pk, "worker") is not None
    move(failed.pk, Event.FAILED, changes={"error": "no such folder"})
    told = client.get("/status", headers=token).json()
    assert told["status"] == "running"
    assert (told["running_count"], told["queued_count"], told["held_count"]) == (1, 1, 0)
    (running,) = told["running"]
    assert (running["job"], running["percentage"], running["total_files"]) == ("works", 45.2, 20)
    assert [(one["job"], one["waiting_for"]) for one in told["queued"]] == [("waits", "a worker")]
    (result,) = told["last_results"]
    assert (result["job"], result["state"], result["error"]) == (
        "ended",
        "failed",
        "no such folder",
    )
    assert result["duration_s"] >= 0
    assert names(told["next_due"])[:1] == ["due"]
    assert "elsewhere" not in names(told["next_due"])


def test_status_has_the_documents_settings_and_no_secret(
    client: Client, token: dict[str, str]
) -> None:
    answer = client.get("/status", headers=token)
    told = answer.json()["configuration"]
    documented = {"SYNC_FREQUENCY", "SYNC_TIME", "MAX_FILE_SIZE_MB", "BATCH_SIZE"}
    assert set(told) > documented | {"SUPPORTED_EXTENSIONS", "SYNC_BASE_TIMEOUT_SECONDS"}
    assert (told["SYNC_FREQUENCY"], told["SYNC_TIME"]) == ("daily", "02:00")
    secrets = [
        django_settings.SECRET_KEY,
        django_settings.CRON_SECRET,
        *django_settings.SECRETS_KEYS,
    ]
    secrets += [django_settings.CELERY_BROKER_URL, str(connection.settings_dict["PASSWORD"])]
    assert not [one for one in secrets if one and one in answer.content.decode()]


def test_get_connections_has_the_active_ones(client: Client, token: dict[str, str]) -> None:
    job_of("abc-123")
    paused = job_of("paused").get_connector()
    Connector.objects.filter(pk=paused.pk).update(status=ConnectorStatus.PAUSED)
    job_of("elsewhere", workspace="lab")
    (told,) = client.get("/connections", headers=token).json()["items"]
    assert (told["name"], told["kind"], told["host"]) == ("abc-123", "sftp", "192.0.2.1")
    assert (told["status"], told["last_sync_at"]) == ("active", None)
    assert "id" in told
    assert not [name for name in told if "secret" in name]


def test_get_history_by_its_examples(client: Client, token: dict[str, str]) -> None:
    for name in ("abc-123", "other"):
        job = job_of(name)
        for _ in range(6):
            record = enqueue(job, trigger=Trigger.MANUAL)
            assert claim(record.pk, "worker") is not None
            move(record.pk, Event.SUCCEEDED, changes={"files_added": 3, "bytes_transferred": 9})
    told = client.get("/history?limit=10&days=1", headers=token).json()
    assert len(told["items"]) == 10
    assert told["next"]
    first = told["items"][0]
    assert (first["state"], first["files_added"], first["bytes_transferred"]) == ("succeeded", 3, 9)
    assert first["duration_s"] >= 0
    one = client.get("/history?connection_id=abc-123&limit=5", headers=token).json()["items"]
    assert [row["connector"] for row in one] == ["abc-123"] * 5
    by_id = client.get(f"/history?connection_id={one[0]['connector_id']}", headers=token).json()
    assert len(by_id["items"]) == 6
    SyncRecord.objects.filter(job__name="other").update(queued_at="2020-01-01T00:00:00Z")
    assert len(client.get("/history", headers=token).json()["items"]) == 6
    assert client.get("/history?days=0", headers=token).json()["errors"].keys() == {"days"}


def test_post_sync_asks_every_active_connectors_enabled_jobs(
    client: Client, token: dict[str, str]
) -> None:
    new, waiting, broken = job_of("new"), job_of("waiting"), job_of("broken")
    job_of("off", enabled=False)
    Connector.objects.filter(pk=job_of("resting").get_connector().pk).update(
        status=ConnectorStatus.PAUSED
    )
    elsewhere = job_of("elsewhere", workspace="lab")
    waits = enqueue(waiting, trigger=Trigger.MANUAL)
    SyncJob.objects.filter(pk=broken.pk).update(
        paused_at="2026-01-01T00:00:00Z", paused_reason="5 records failed"
    )
    answer = client.post("/sync", headers=token)
    assert answer.status_code == 202
    told = answer.json()
    assert names(told["queued"]) == ["new"]
    assert [one["id"] for one in told["already_queued"]] == [str(waits.pk)]
    assert [(one["job"], one["reason"]) for one in told["refused"]] == [
        ("broken", "it is paused: 5 records failed")
    ]
    record = SyncRecord.objects.get(job=new)
    assert (str(record.pk), record.state) == (told["queued"][0]["id"], State.QUEUED)
    assert (record.requested_by, record.trigger) == ("token ci", Trigger.MANUAL)
    assert record.mode == new.sync_mode
    assert not elsewhere.records.exists()


def test_post_sync_keeps_to_the_jobs_overlap_policies(
    client: Client, token: dict[str, str]
) -> None:
    running = {}
    for policy in Overlap:
        record = enqueue(job_of(policy, overlap=policy), trigger=Trigger.MANUAL)
        assert claim(record.pk, "worker") is not None
        running[policy] = record
    told = client.post("/sync", headers=token).json()
    assert names(told["queued"]) == ["cancel_older", "queue"]
    (refused,) = told["refused"]
    assert refused["job"] == "skip"
    assert "does not overlap" in refused["reason"]
    asked = SyncRecord.objects.exclude(cancel_asked_at=None)
    assert [record.pk for record in asked] == [running[Overlap.CANCEL_OLDER].pk]


def test_post_sync_replaces_a_waiting_record_where_the_job_cancels_the_older_one(
    client: Client, token: dict[str, str]
) -> None:
    """As a fire and a single job do."""
    job = job_of("eager", overlap=Overlap.CANCEL_OLDER)
    older = enqueue(job, trigger=Trigger.MANUAL)
    told = client.post("/sync", headers=token).json()
    assert names(told["queued"]) == ["eager"]
    older.refresh_from_db()
    assert older.state == State.CANCELLED
    assert SyncRecord.objects.get(job=job, state=State.QUEUED).requested_by == "token ci"


def test_post_sync_costs_the_same_few_statements_for_many_jobs(
    client: Client, token: dict[str, str], django_assert_max_num_queries: Any
) -> None:
    connector = make_connector(TARGET)
    for number in range(40):
        make_job(connector, name=f"job-{number}")
    with django_assert_max_num_queries(10):
        assert len(client.post("/sync", headers=token).json()["queued"]) == 40
    with django_assert_max_num_queries(10):
        assert len(client.post("/sync", headers=token).json()["already_queued"]) == 40
    with django_assert_max_num_queries(10):
        client.get("/status", headers=token)


def test_post_sync_of_one_connection_by_name_and_by_id(
    client: Client, token: dict[str, str]
) -> None:
    job = job_of("abc-123")
    job_of("other")
    answer = client.post("/sync/connection/abc-123", headers=token)
    assert answer.status_code == 202
    assert names(answer.json()["queued"]) == ["abc-123"]
    again = client.post(f"/sync/connection/{job.connector_id}", headers=token).json()
    assert (names(again["queued"]), names(again["already_queued"])) == ([], ["abc-123"])
    assert SyncRecord.objects.count() == 1
    assert client.post("/sync/connection/none", headers=token).status_code == 404
    Connector.objects.filter(pk=job.get_connector().pk).update(status=ConnectorStatus.PAUSED)
    refused = client.post("/sync/connection/abc-123", headers=token)
    assert (refused.status_code, refused.json()["record"]) == (409, None)
    assert "paused" in refused.json()["detail"]


def test_a_workspace_that_syncs_one_thing_at_a_time_answers_with_its_progress(
    client: Client, token: dict[str, str]
) -> None:
    workspace = make_workspace()
    workspace.one_sync_at_a_time = True
    workspace.save()
    first, second = job_of("first"), job_of("second")
    begun = client.post("/sync", headers=token)
    assert names(begun.json()["queued"]) == ["first", "second"]
    record = first.records.get()
    assert claim(record.pk, "worker") is not None
    SyncRecord.objects.filter(pk=record.pk).update(percentage=45.2)
    assert claim(second.records.get().pk, "worker") is None  # one at a time
    for path in ("/sync", "/sync/connection/first"):
        answer = client.post(path, headers=token)
        assert answer.status_code == 409
        assert answer["Content-Type"] == "application/problem+json"
        told = answer.json()["record"]
        assert (told["id"], told["percentage"]) == (str(record.pk), 45.2)


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_post_sync_force_cancels_what_runs_and_waits_and_never_overlaps(
    client: Client, token: dict[str, str], one_at_a_time: bool
) -> None:
    def silent(request: Request, to: Conversation) -> None:
        to.wait(60)

    with scripted_http(silent) as host:
        job = make_job(make_connector(host.target(), kind="http"), name="running")
        waiting = enqueue(job_of("waiting"), trigger=Trigger.MANUAL)
        with at_work(job) as running:
            until(lambda: host.requests, "the host was not asked")
            Workspace.objects.update(one_sync_at_a_time=one_at_a_time)
            answer = client.post("/sync/force", headers=token)
            # What runs has been asked to end, and may have done so by now.
            (new,) = SyncRecord.objects.filter(job=job).exclude(pk=running.pk)
            overlapping = claim(new.pk, "another")
            if overlapping is not None:
                assert fresh(running).state == State.CANCELLED
    assert answer.status_code == 202
    told = answer.json()
    assert set(told["cancelled"]) == {str(running.pk), str(waiting.pk)}
    assert names(told["queued"]) == ["running", "waiting"]
    assert (fresh(running).state, fresh(waiting).state) == (State.CANCELLED, State.CANCELLED)
    assert "cancelled by token ci" in running.events.order_by("-id")[0].reason
    if overlapping is None:
        assert claim(new.pk, "another") is not None
    new.refresh_from_db()
    assert running.finished_at is not None
    assert new.started_at is not None
    assert new.started_at >= running.finished_at


def test_the_new_record_of_a_force_is_not_claimed_beside_the_running_one(
    client: Client, token: dict[str, str]
) -> None:
    job = job_of("stubborn")
    old = enqueue(job, trigger=Trigger.MANUAL)
    held = claim(old.pk, "deaf worker")
    assert held is not None
    client.post("/sync/force", headers=token)
    client.post("/sync/force", headers=token)  # once more: no third one runs or waits
    waiting = SyncRecord.objects.filter(job=job, state=State.QUEUED)
    assert waiting.count() == 1
    assert claim(waiting.get().pk, "another") is None
    assert waiting.get().waiting_for == "the running record of the same job"
    move(old.pk, Event.STOPPED, token=held.token)
    assert claim(waiting.get().pk, "another") is not None
    assert SyncRecord.objects.filter(job=job).exclude(state__in=FINAL).count() == 1


@pytest.mark.parametrize("path", ["/sync/", "/sync/force/", "/sync/connection/abc-123/"])
def test_a_slash_too_many_is_told_and_loses_no_post(
    client: Client, token: dict[str, str], path: str
) -> None:
    answer = client.post(path, headers=token)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert "leave out the slash" in answer.json()["detail"]
    nowhere = client.post("/synk", headers=token)
    assert (nowhere.status_code, nowhere["Content-Type"]) == (404, "application/problem+json")
    assert "/api-docs" in nowhere.json()["detail"]


def test_a_person_says_which_workspace_where_there_are_several(client: Client) -> None:
    user = User.objects.create_user("ada", password="x")
    client.force_login(user)
    assert client.get("/status").status_code == 404
    Member.objects.create(workspace=make_workspace(), user=user, role=Role.VIEWER)
    assert client.get("/status").json()["workspace"] == "acme"
    Member.objects.create(workspace=make_workspace("lab"), user=user, role=Role.OPERATOR)
    assert client.get("/status").json()["workspace"] == "acme"  # a second one breaks nothing
    assert client.get("/status?workspace=lab").json()["workspace"] == "lab"
    assert client.post("/sync?workspace=lab").status_code == 202
    assert client.post("/sync?workspace=acme").status_code == 403
    make_workspace("theirs")
    for named in ("theirs", "none", "%00", "x" * 200):
        assert client.get(f"/status?workspace={named}").status_code == 404
    client.force_login(User.objects.create_superuser("root", password="x"))
    several = client.get("/status")
    assert (several.status_code, list(several.json()["errors"])) == (400, ["workspace"])


def test_a_token_is_of_one_workspace(client: Client, token: dict[str, str]) -> None:
    make_workspace("lab")
    assert client.get("/status?workspace=acme", headers=token).json()["workspace"] == "acme"
    assert client.get("/status?workspace=lab", headers=token).status_code == 404
