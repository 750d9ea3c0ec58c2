"""Who is let in where: a walk over every route, with no token, a lower role, and another workspace's (P12)."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.models import Backfill, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.alerts.making import make_alert, make_channel, make_rule
from tests.api.routes import Route, routes
from tests.outbox.rows import make_client, make_stream
from tests.rows import make_connector, make_job, make_version, make_workspace
from tests.tables.writing import make_dataset, make_table, publish
from workspaces.invitations import make_invitation
from workspaces.models import ApiToken, Invitation, Member, Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)
every_route = pytest.mark.parametrize("route", routes(), ids=str)
guarded = pytest.mark.parametrize("route", [r for r in routes() if r.needed], ids=str)
LOWER = {Role.OPERATOR: Role.VIEWER, Role.ADMIN: Role.OPERATOR}


# What a route wants to be asked with, where nothing will not do: what is not there must be told before what is
# wrong with it.
BODIES = {
    "PUT /api/workspaces/{workspace}/sync-jobs/{job}": {"name": "other", "connector": "none"},
    "PUT /api/workspaces/{workspace}/connectors/{connector}": {
        "name": "other",
        "kind": "sftp",
        "host": "files.example.com",
    },
    "POST /api/workspaces/{workspace}/connectors/{connector}/approve-host-key": {
        "fingerprint": "SHA256:x"
    },
    "PATCH /api/workspaces/{workspace}/connectors/{connector}/connectivity": {"watch": True},
    "POST /api/workspaces/{workspace}/connectors/{connector}/preview": {"entity": {"table": "t"}},
    "POST /api/workspaces/{workspace}/datasets/{dataset}/preview": {
        "entity": {"path": "*.csv", "format": "csv"}
    },
    "PUT /api/workspaces/{workspace}/streams/{stream}": {"name": "other", "client": "none"},
    "PUT /api/workspaces/{workspace}/alert-rules/{rule}": {
        "name": "other",
        "kind": "held",
        "job": "none",
    },
    "PUT /api/workspaces/{workspace}/alert-channels/{channel}": {
        "name": "other",
        "timezone": "none",
    },
    "POST /api/workspaces/{workspace}/alerts/{alert_id}/silence": {"until": None},
    "POST /api/workspaces/{workspace}/datasets/{dataset}/rollback": {"version": 1},
    "PATCH /api/workspaces/{workspace}/members/{member}": {"role": "viewer"},
    "PUT /api/workspaces/{workspace}/members/{member}": {"role": "viewer"},
    "POST /api/workspaces/{workspace}/backfills": {"job": "none", "since": "2026-01-01"},
}
OF_TABLES = {"schema", "rows", "changes"}
QUERIES = {"diff": "from=1", "search": "q=held"}  # by the path's last word


def token_of(workspace: str, role: Role) -> str:
    return create_token(make_workspace(workspace), name="ci", role=role)[1]


def ask(client: Client, route: Route, names: dict[str, str], token: str | None = None) -> Any:
    path = re.sub(r"\{(?:\w+:)?(\w+)\}", lambda match: names[match[1]], route.path)
    if "{workspace}" not in route.path:
        path += f"?workspace={names['workspace']}"
    elif query := QUERIES.get(route.path.rpartition("/")[2]):
        path += f"?{query}"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.generic(
        route.method,
        path,
        data=json.dumps(BODIES.get(str(route), {})),
        content_type="application/json",
        headers=headers,
    )


def things_of(workspace: str, path: str = "") -> dict[str, str]:
    """Ids of everything that a path can name, all of one workspace: of the kind that this one is for."""
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    job = make_job(make_connector(target, workspace=workspace))
    record = enqueue(job, trigger=Trigger.MANUAL)
    person, _ = User.objects.get_or_create(username=f"{workspace}-person")
    Member.objects.get_or_create(workspace=job.workspace, user=person)
    invitation = Invitation.objects.filter(workspace=job.workspace).first()
    invitation = invitation or make_invitation(job.workspace, "eve", Role.VIEWER)[0]
    token, _ = create_token(job.workspace, name="another", role=Role.VIEWER)
    now = timezone.now()
    backfill = Backfill.objects.create(
        workspace=job.workspace, job=job, since=now, until=now, fires=1
    )
    number = make_version(job.dataset, {"a.txt": b"held"}).number
    dataset_id = job.dataset_id
    if path.rpartition("/")[2] in OF_TABLES:
        table = make_table(make_dataset(f"tables-{uuid.uuid4()}", workspace), {"id": "bigint"})
        number = publish(table, {("1",): {"id": "1"}}) or 0
        dataset_id = table.table.dataset_id
    alert = make_alert(make_rule(f"r-{uuid.uuid4()}", workspace=job.workspace))
    return {
        "workspace": workspace,
        "member": person.username,
        "invitation": str(invitation.pk),
        "token": str(token.pk),
        "job": str(job.pk),
        "connector": str(job.connector_id),
        "entity": "public.orders",
        "record_id": str(record.pk),
        "backfill_id": str(backfill.pk),
        "stream": str(make_stream(make_client(workspace)).pk),
        "rule": str(alert.rule_id),
        "channel": str(make_channel(f"c-{uuid.uuid4()}", workspace=job.workspace).pk),
        "alert_id": str(alert.pk),
        "dataset": str(dataset_id),
        "number": str(number),
        "path": "a.txt",
    }


def test_no_route_but_the_documents_own_is_open() -> None:
    assert [str(route) for route in routes() if route.needed is None] == []


@guarded
def test_without_a_token_nobody_is_let_in(client: Client, route: Route) -> None:
    answer = ask(client, route, things_of("acme", route.path))
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"] == "Bearer"


@guarded
def test_a_lower_role_is_told_what_is_needed(client: Client, route: Route) -> None:
    if route.needed not in LOWER:
        assert route.needed == Role.VIEWER
        return
    answer = ask(
        client, route, things_of("acme", route.path), token_of("acme", LOWER[route.needed])
    )
    assert answer.status_code == 403
    assert route.needed.value in answer.json()["detail"]


@guarded
def test_p12_another_workspaces_things_are_not_there(client: Client, route: Route) -> None:
    """By their ids in one's own tree, and in their own tree: the same answer as for what does not exist."""
    theirs = things_of("lab", route.path)
    token = token_of("acme", Role.ADMIN)
    nothing = {name: "9" if theirs[name].isdigit() else str(uuid.uuid4()) for name in theirs}
    in_their_tree = ask(client, route, theirs, token)
    assert in_their_tree.status_code == 404
    assert in_their_tree.content == ask(client, route, nothing, token).content
    if set(re.findall(r"\{(?:\w+:)?(\w+)\}", route.path)) - {"workspace"}:
        by_id = ask(client, route, theirs | {"workspace": "acme"}, token)
        missing = ask(client, route, nothing | {"workspace": "acme"}, token)
        assert (by_id.status_code, by_id.content) == (404, missing.content)


@guarded
def test_x14_a_token_that_is_no_good_lets_nobody_in(client: Client, route: Route) -> None:
    things, token = things_of("acme", route.path), token_of("acme", Role.ADMIN)
    off_by_one = token[:-1] + ("a" if token[-1] != "a" else "b")
    for wrong in (off_by_one, "x " + token, ""):
        assert ask(client, route, things, wrong).status_code == 401, wrong
    past = timezone.now() - timedelta(seconds=1)
    for way in ("expires_at", "revoked_at"):
        ApiToken.objects.update(**{"expires_at": None, "revoked_at": None, way: past})
        assert ask(client, route, things, token).status_code == 401, way


def test_a_person_who_is_logged_in_has_the_role_of_a_member(client: Client) -> None:
    things = things_of("acme")
    user = User.objects.create_user("ada", password="x")
    client.force_login(user)
    path = f"/api/workspaces/acme/sync-records/{things['record_id']}"
    assert client.get(path).status_code == 404
    member = Member.objects.create(workspace=make_workspace(), user=user, role=Role.VIEWER)
    assert client.get(path).status_code == 200
    assert client.post(f"{path}/cancel").status_code == 403
    member.role = Role.OPERATOR
    member.save()
    assert client.post(f"{path}/cancel").status_code == 202


def test_x10_a_persons_request_from_another_page_is_refused(client: Client) -> None:
    things = things_of("acme")
    user = User.objects.create_superuser("root", password="x")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    path = f"/api/workspaces/acme/sync-records/{things['record_id']}/cancel"
    assert strict.post(path).status_code == 403
    csrf = "a" * 32
    strict.cookies["csrftoken"] = csrf
    assert strict.post(path, headers={"X-CSRFToken": csrf}).status_code == 202


def test_a_token_remembers_when_it_was_used(client: Client) -> None:
    token = token_of("acme", Role.VIEWER)
    assert ApiToken.objects.get().last_used_at is None
    client.get("/api/workspaces/acme/sync-records", headers={"Authorization": f"Bearer {token}"})
    assert ApiToken.objects.get().last_used_at is not None
