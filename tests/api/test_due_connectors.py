"""`/api/connectors/sync`: the list of due connectors, and the hook for a cron job from outside."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from connectors.models import Connector, ConnectorStatus
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims.claiming import claim
from syncjobs.configuration.jobs import follow_auto_sync
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.dispatching import dispatch_due
from syncjobs.queueing.enqueueing import enqueue
from tests.console.conftest import make_record
from tests.rows import make_connector, make_workspace
from workspaces.models import Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/connectors/sync"
SECRET = "your-secret-key-here"
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture(autouse=True)
def _secret(settings: Settings) -> None:
    settings.CRON_SECRET = SECRET


def connector_of(
    name: str, *, workspace: str = "acme", synced_s_ago: float | None = None, every_s: int = 3600
) -> Connector:
    connector = make_connector(TARGET, workspace=workspace)
    connector.name, connector.auto_sync, connector.sync_interval_s = name, True, every_s
    if synced_s_ago is not None:
        connector.last_sync_at = timezone.now() - timedelta(seconds=synced_s_ago)
    connector.save()
    follow_auto_sync(connector)
    return connector


def bearer(word: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {word}"}


def token(role: Role, workspace: str = "acme") -> dict[str, str]:
    return bearer(create_token(make_workspace(workspace), name="ci", role=role)[1])


def post(client: Client, headers: dict[str, str], body: Any = None) -> Any:
    return client.post(PATH, body, content_type="application/json", headers=headers)


def names(told: dict[str, Any]) -> list[str]:
    return [one["name"] for one in told["items"]]


def test_get_has_who_is_due_by_the_documents_rule_and_names(client: Client) -> None:
    connector_of("long-ago", synced_s_ago=5000)
    connector_of("lately", synced_s_ago=3000)
    connector_of("never")
    off = connector_of("off", synced_s_ago=9000)
    Connector.objects.filter(pk=off.pk).update(auto_sync=False)
    paused = connector_of("paused", synced_s_ago=9000)
    Connector.objects.filter(pk=paused.pk).update(status=ConnectorStatus.PAUSED)
    at_work = enqueue(connector_of("at-work").sync_jobs.get(), trigger=Trigger.MANUAL)
    assert claim(at_work.pk, "worker") is not None
    connector_of("elsewhere", workspace="lab")
    told = client.get(f"{PATH}?limit=10", headers=token(Role.VIEWER)).json()
    assert names(told) == ["never", "long-ago"]
    documented = {"autoSync": True, "syncInterval": 3600, "lastSyncAt": None, "status": "ACTIVE"}
    assert told["items"][0].items() >= documented.items()
    assert told["items"][0]["type"] == "sftp"
    assert names(client.get(f"{PATH}?limit=1", headers=token(Role.VIEWER)).json()) == ["never"]
    everywhere = client.get(PATH, headers=bearer(SECRET)).json()
    assert set(names(everywhere)) == {"never", "long-ago", "elsewhere"}


def test_post_by_the_documents_example(client: Client) -> None:
    for number in range(12):
        connector_of(f"due-{number}", workspace="acme" if number % 2 else "lab")
    answer = client.post(
        PATH,
        '{"limit": 10}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {SECRET}"},
    )
    assert answer.status_code == 202
    told = answer.json()
    assert (told["queued"], len(told["records"])) == (10, 10)
    ids = {str(pk) for pk in SyncRecord.objects.values_list("pk", flat=True)}
    assert {one["id"] for one in told["records"]} == ids
    assert {one["workspace"] for one in told["records"]} == {"acme", "lab"}
    record = SyncRecord.objects.all()[0]
    assert (record.state, record.trigger, record.requested_by) == (
        State.QUEUED,
        Trigger.CRON_HOOK,
        "cron hook",
    )
    assert post(client, bearer(SECRET)).json()["queued"] == 2
    assert post(client, bearer(SECRET), {}).json()["queued"] == 0


def test_what_the_hook_served_the_schedule_does_not_serve_once_more(client: Client) -> None:
    connector_of("due")
    SyncJob.objects.update(next_run_at=timezone.now() - timedelta(seconds=1))
    assert post(client, bearer(SECRET)).json()["queued"] == 1
    assert dispatch_due().jobs == 0
    next_run_at = SyncJob.objects.get().next_run_at
    assert next_run_at is not None
    assert next_run_at > timezone.now() + timedelta(seconds=3000)


def test_an_operators_token_serves_its_own_workspace(client: Client) -> None:
    connector_of("due")
    connector_of("elsewhere", workspace="lab")
    assert post(client, token(Role.VIEWER)).status_code == 403
    told = post(client, token(Role.OPERATOR), {"limit": 10}).json()
    assert [one["connector"] for one in told["records"]] == ["due"]
    assert SyncRecord.objects.get().requested_by == "token ci"


@pytest.mark.parametrize(
    "word", ["wrong", SECRET + "x", SECRET[:-1], SECRET.upper(), "", "ÿ", f"x {SECRET}"]
)
def test_a_wrong_secret_lets_nobody_in(client: Client, word: str) -> None:
    connector_of("due")
    for answer in (post(client, bearer(word)), client.get(PATH, headers=bearer(word))):
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Bearer"
    basic = {"Authorization": f"Basic {SECRET}"}
    assert post(client, basic).status_code == 401
    assert client.post(PATH).status_code == 401
    assert not SyncRecord.objects.exists()


@pytest.mark.parametrize("word", ["wrong", "None", "''"])
def test_without_a_secret_on_the_server_the_hook_is_closed(
    client: Client, settings: Settings, word: str
) -> None:
    settings.CRON_SECRET = ""
    connector_of("due")
    answer = post(client, bearer(word))
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert "CRON_SECRET is not set" in answer.json()["detail"]
    assert post(client, bearer("")).status_code == 401
    assert post(client, {}).status_code == 401
    assert post(client, token(Role.OPERATOR)).json()["queued"] == 1


def test_the_secret_is_compared_in_constant_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def note(given: bytes, known: bytes) -> bool:
        compared.append(known)
        return hmac_compare(given, known)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr("api.rest.due.hmac.compare_digest", note)
    assert post(client, bearer("wrong")).status_code == 401
    assert post(client, bearer(SECRET)).status_code == 202
    assert compared == [SECRET.encode()] * 2


@pytest.mark.parametrize("limit", [0, 1001, "10", 1.5, None, True])
def test_a_wrong_limit_is_told(client: Client, limit: Any) -> None:
    answer = post(client, bearer(SECRET), {"limit": limit})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["limit"])


def test_an_unknown_word_in_the_body_is_told(client: Client) -> None:
    answer = post(client, bearer(SECRET), {"limits": 10})
    assert list(answer.json()["errors"]) == ["limits"]


def test_a_list_costs_the_same_few_queries(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(15):
        connector_of(f"due-{number}")
    with django_assert_max_num_queries(10):
        assert post(client, bearer(SECRET), {"limit": 15}).json()["queued"] == 15


def test_what_the_latest_sync_read_is_told_by_the_documents_names(client: Client) -> None:
    """Of files and of rows alike, the last record of a job that has ended; no dry run."""
    files, rows, never = (connector_of(name) for name in ("files", "rows", "never"))
    counted = {"files_added": 3, "files_unchanged": 4, "files_failed": 2}
    make_record(files.sync_jobs.get(), State.FAILED, files_added=1)
    make_record(files.sync_jobs.get(), State.PARTIAL, **counted)
    make_record(files.sync_jobs.get(), State.SUCCEEDED, dry_run=True, files_added=99)
    make_record(rows.sync_jobs.get(), State.PARTIAL, rows_read=100, rows_added=97, rows_failed=3)
    told = client.get(f"{PATH}?limit=10", headers=token(Role.VIEWER)).json()
    shown = {
        item["name"]: (item["recordsFetched"], item["recordsProcessed"]) for item in told["items"]
    }
    assert shown == {"files": (9, 7), "rows": (100, 97), never.name: (None, None)}
