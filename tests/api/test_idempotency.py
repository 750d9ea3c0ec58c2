"""A POST that is sent again with its Idempotency-Key is done once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone

from connectors.models import Connector
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.models import SyncJob, SyncRecord
from tests.api.asking import TREE, Asker, asker
from tests.rows import make_connector, make_job
from workspaces.answers import drop_old_answers
from workspaces.models import AuditEntry, KeptAnswer, Role

pytestmark = pytest.mark.django_db(transaction=True)
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture
def job() -> SyncJob:
    return make_job(make_connector(TARGET), name="nightly")


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def post(who: Asker, path: str, key: str | None, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {who.token}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    address = path if path.startswith("/") else f"{TREE}/{path}"
    return Client().post(
        address, json.dumps(body or {}), content_type="application/json", headers=headers
    )


def test_the_second_is_answered_as_the_first_and_nothing_is_done(
    admin: Asker, job: SyncJob
) -> None:
    first = post(admin, "sync-jobs/nightly/run", "a")
    SyncRecord.objects.update(state="succeeded", finished_at=timezone.now())
    again = post(admin, "sync-jobs/nightly/run", "a")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert SyncRecord.objects.count() == 1
    other = post(admin, "sync-jobs/nightly/run", "b")
    assert other.json()["id"] != first.json()["id"]
    assert post(admin, "sync-jobs/nightly/run", None).status_code == 202


@pytest.mark.parametrize("path", ["/sync", "/sync/force", "/api/v1/sync/cleanup"])
def test_an_answer_of_any_shape_is_kept(admin: Asker, job: SyncJob, path: str) -> None:
    first, again = (post(admin, f"{path}?workspace=acme", "s") for _ in range(2))
    assert first.status_code in (200, 202), first.content
    assert (again.status_code, again.json()) == (first.status_code, first.json())


def test_a_toggle_that_is_sent_twice_toggles_once(admin: Asker, job: SyncJob) -> None:
    assert [post(admin, "sync-jobs/nightly/toggle", "t").json()["enabled"] for _ in "123"] == [
        False
    ] * 3
    job.refresh_from_db()
    assert not job.enabled


def test_what_is_made_is_made_once(admin: Asker) -> None:
    body = {
        "name": "host",
        "kind": "sftp",
        "host": "192.0.2.7",
        "options": {"username": "u"},
        "secret": {"password": "canary-1"},
    }
    answers = [post(admin, "connectors", "make", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert Connector.objects.filter(name="host").count() == 1
    assert AuditEntry.objects.filter(kind="connector").count() == 1
    assert "canary" not in json.dumps(list(KeptAnswer.objects.values("body", "request")))


def test_a_key_belongs_to_one_request(admin: Asker, job: SyncJob) -> None:
    post(admin, "sync-jobs/nightly/run", "k")
    for path, body in (
        ("sync-jobs/nightly/run", {"full": True}),
        ("sync-jobs/nightly/plan", None),
        ("/sync", None),
    ):
        answer = post(admin, path, "k", body)
        assert answer.status_code == 422
        assert "Idempotency-Key" in answer.json()["detail"]
    assert SyncRecord.objects.count() == 1


def test_a_key_is_its_callers_own(admin: Asker, job: SyncJob) -> None:
    first = post(admin, "sync-jobs/nightly/run", "k").json()
    SyncRecord.objects.update(state="succeeded", finished_at=timezone.now())
    second = post(asker(Role.OPERATOR, name="other"), "sync-jobs/nightly/run", "k").json()
    assert first["id"] != second["id"]


def test_what_was_refused_may_be_tried_again(admin: Asker, job: SyncJob) -> None:
    assert post(admin, "sync-jobs", "k", {"name": "second", "connector": "none"}).status_code == 400
    assert not KeptAnswer.objects.exists()
    assert post(admin, "sync-jobs/nightly/run", "k").status_code == 202


def test_two_at_once_do_it_once(admin: Asker, job: SyncJob) -> None:
    """The second comes while the first has done it and has not committed."""
    admin.get(
        "sync-jobs"
    )  # so that the first notes no use of the token, which the second would wait for
    done, told = Event(), Event()

    def first() -> Any:
        with transaction.atomic():
            answer = post(admin, "sync-jobs/nightly/toggle", "k")
            done.set()
            told.wait(20)
        connection.close()
        return answer

    def second() -> Any:
        done.wait(20)
        try:
            return post(admin, "sync-jobs/nightly/toggle", "k")
        finally:
            told.set()
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(each) for each in (first, second)]
        codes = [answer.result().status_code for answer in answers]
    assert codes == [200, 409]
    job.refresh_from_db()
    assert not job.enabled
    assert post(admin, "sync-jobs/nightly/toggle", "k").json()["enabled"] is False


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä"])
def test_a_key_that_is_none_is_refused(admin: Asker, job: SyncJob, key: str) -> None:
    answer = post(admin, "sync-jobs/nightly/run", key)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["Idempotency-Key"])
    assert not SyncRecord.objects.exists()


def test_a_token_is_kept_nowhere(admin: Asker) -> None:
    answer = post(admin, "tokens", "k", {"name": "ci2"})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["Idempotency-Key"])
    assert not KeptAnswer.objects.exists()


def test_a_key_holds_for_a_day(admin: Asker, job: SyncJob) -> None:
    post(admin, "sync-jobs/nightly/toggle", "k")
    assert drop_old_answers() == 0
    KeptAnswer.objects.update(at=F("at") - timedelta(days=1))
    assert post(admin, "sync-jobs/nightly/toggle", "k").json()["enabled"] is True
    KeptAnswer.objects.update(at=F("at") - timedelta(days=1))
    assert drop_old_answers() == 1
