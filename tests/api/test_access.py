"""Tokens and members by REST."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.api.asking import TREE, Asker, asker
from tests.console.conftest import Tenant
from tests.rows import make_workspace
from workspaces.members import LastAdmin, remove_member
from workspaces.models import ApiToken, Member, Role
from workspaces.tokens import RoleTooHigh, create_token, find_token

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def send(who: Asker, method: str, path: str, body: Any = None) -> Any:
    return Client().generic(
        method,
        f"{TREE}/{path}",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {who.token}"},
    )


def test_a_token_is_shown_once_and_works_until_it_is_revoked(admin: Asker) -> None:
    ends = (timezone.now() + timedelta(days=1)).isoformat()
    made = send(admin, "POST", "tokens", {"name": "ci", "role": "operator", "expires_at": ends})
    assert made.status_code == 201
    token, told = made.json().pop("token"), made.json()
    assert (told["role"], told["state"], told["last_used_at"]) == ("operator", "live", None)
    assert token.startswith(f"sp_{told['prefix']}_")
    assert Asker(token).get("sync-records").status_code == 200
    row = ApiToken.objects.get(pk=told["id"])
    for answer in (admin.get("tokens"), admin.get(f"tokens/{row.pk}")):
        assert token not in answer.content.decode()
        assert row.digest not in answer.content.decode()
    assert admin.get(f"tokens/{row.prefix}").json()["last_used_at"] is not None

    assert send(admin, "DELETE", f"tokens/{row.pk}").status_code == 204
    assert Asker(token).get("sync-records").status_code == 401
    assert send(admin, "DELETE", f"tokens/{row.pk}").status_code == 204
    assert admin.get(f"tokens/{row.pk}").json()["state"] == "revoked"
    assert [item["id"] for item in admin.items("tokens", state="revoked")] == [str(row.pk)]
    assert len(admin.items("tokens", limit=1)) == 2


def test_a_token_comes_with_all_that_its_row_and_its_workspace_hold() -> None:
    workspace = make_workspace()
    workspace.windows = [{"start": "22:00", "end": "06:00"}]
    workspace.save()
    row, token = create_token(workspace, name="agent", role=Role.VIEWER)
    found = find_token(token)
    assert found is not None
    stored = ApiToken.objects.select_related("workspace").get(pk=row.pk)
    for one, other in ((found, stored), (found.workspace, stored.workspace)):
        assert [getattr(one, field.attname) for field in one._meta.concrete_fields] == [
            getattr(other, field.attname) for field in other._meta.concrete_fields
        ]
    assert found.workspace.windows == workspace.windows
    assert not found._state.adding


def test_x14_a_revoked_or_expired_token_tells_its_state(admin: Asker) -> None:
    past = timezone.now() - timedelta(seconds=1)
    row, token = create_token(make_workspace(), name="old", role=Role.VIEWER, expires_at=past)
    assert find_token(token) is None
    assert admin.get(f"tokens/{row.pk}").json()["state"] == "expired"
    refused = send(admin, "POST", "tokens", {"name": "x", "expires_at": past.isoformat()})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["expires_at"])


def test_nobody_gives_away_more_than_they_have() -> None:
    with pytest.raises(RoleTooHigh):
        create_token(make_workspace(), name="x", role=Role.ADMIN, granted_by=Role.OPERATOR)
    assert not ApiToken.objects.exists()
    create_token(make_workspace(), name="x", role=Role.VIEWER, granted_by=Role.OPERATOR)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "x", "digest": "0"}, "digest"),
    ],
)
def test_a_token_that_does_not_fit_names_its_field(
    admin: Asker, body: dict[str, Any], field: str
) -> None:
    answer = send(admin, "POST", "tokens", body)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


def join(name: str, role: Role = Role.VIEWER) -> User:
    user = User.objects.create_user(name, password="x")
    Member.objects.create(workspace=make_workspace(), user=user, role=role)
    return user


def test_members_change_and_go(admin: Asker) -> None:
    join("ada", Role.OPERATOR)
    told = [{"user": "ada", "role": "operator", "is_active": True}]
    assert admin.items("members") == told
    changed = send(admin, "PATCH", "members/ada", {"role": "viewer"})
    assert changed.json()["role"] == "viewer"
    assert send(admin, "DELETE", "members/ada").status_code == 204
    assert send(admin, "DELETE", "members/ada").status_code == 404
    assert User.objects.filter(username="ada").exists()


def test_the_last_admin_stays(admin: Asker) -> None:
    join("ada", Role.ADMIN)
    join("bob", Role.ADMIN)
    join("eve")
    assert send(admin, "DELETE", "members/ada").status_code == 204
    assert send(admin, "DELETE", "members/bob").status_code == 409
    assert send(admin, "PATCH", "members/bob", {"role": "operator"}).status_code == 409
    assert send(admin, "DELETE", "members/eve").status_code == 204
    join("off", Role.ADMIN)
    User.objects.filter(username="off").update(is_active=False)
    assert send(admin, "DELETE", "members/bob").status_code == 409


def test_two_admins_who_remove_each_other_leave_one() -> None:
    workspace = make_workspace()
    members = [
        Member.objects.create(
            workspace=workspace, user=User.objects.create_user(name, password="x"), role=Role.ADMIN
        )
        for name in ("ada", "bob")
    ]

    def remove(member: Member) -> bool:
        try:
            remove_member(member)
        except LastAdmin:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(remove, members)) == [False, True]
    assert Member.objects.count() == 1


def test_x05_another_workspaces_tokens_and_members_are_not_there(acme: Tenant, lab: Tenant) -> None:
    admin = Asker(acme.raw_token)
    person = lab.member.user.get_username()
    for path in (f"tokens/{lab.token.pk}", f"tokens/{lab.token.prefix}"):
        assert admin.get(path).status_code == 404
        assert send(admin, "DELETE", path).status_code == 404
    assert send(admin, "DELETE", f"members/{person}").status_code == 404
    assert send(admin, "PATCH", f"members/{person}", {"role": "admin"}).status_code == 404
    assert find_token(lab.raw_token) is not None
    assert Member.objects.filter(workspace=lab.workspace).count() == 3
    told = json.dumps(admin.items("members") + admin.items("tokens"))
    assert "lab" not in told
