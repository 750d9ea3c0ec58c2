"""The clean-up by a program: whose records, who may, and what it tells."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims.claiming import claim
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.rows import make_connector, make_job, make_workspace
from workspaces.models import Role
from workspaces.tokens import create_token, revoke_tokens

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/v1/sync/cleanup"


def running(workspace: str, *, dead: bool) -> SyncRecord:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    job = make_job(make_connector(target, workspace=workspace))
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    if dead:
        past = timezone.now() - timedelta(seconds=30)
        SyncRecord.objects.filter(pk=record.pk).update(lease_expires_at=past)
    return record


def bearer(role: Role, workspace: str = "acme") -> dict[str, str]:
    _, token = create_token(make_workspace(workspace), name="ci", role=role)
    return {"Authorization": f"Bearer {token}"}


def test_what_is_stuck_in_the_tokens_workspace_is_taken_back(client: Client) -> None:
    dead, alive, elsewhere = (
        running("acme", dead=True),
        running("acme", dead=False),
        running("lab", dead=True),
    )
    answer = client.post(PATH, headers=bearer(Role.OPERATOR))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["cleaned_up"], told["by_rule"]) == (1, {"lease.expired": 1})
    assert [(one["id"], one["rule"]) for one in told["records"]] == [
        (str(dead.pk), "lease.expired")
    ]
    states = [
        SyncRecord.objects.values_list("state", flat=True).get(pk=one.pk)
        for one in (dead, alive, elsewhere)
    ]
    assert states == [State.QUEUED, State.RUNNING, State.RUNNING]
    assert dead.events.get(event="lease_expired").data["by"] == "token ci"
    assert client.post(PATH, headers=bearer(Role.ADMIN)).json()["cleaned_up"] == 0


def test_who_may(client: Client) -> None:
    assert client.post(PATH, headers=bearer(Role.VIEWER)).status_code == 403
    anonymous = client.post(PATH)
    assert anonymous.status_code == 401
    assert anonymous["WWW-Authenticate"] == "Bearer"
    assert anonymous["Content-Type"] == "application/problem+json"
    assert anonymous.json()["title"] == "Unauthorized"
    revoked = bearer(Role.ADMIN)
    revoke_tokens(make_workspace(), name="ci")
    assert client.post(PATH, headers=revoked).status_code == 401
    refused = client.get(PATH, headers=bearer(Role.ADMIN))
    assert (refused.status_code, refused["Allow"]) == (405, "POST")
