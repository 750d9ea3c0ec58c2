"""Members and API tokens, people and platform chores."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from tests.console.conftest import Tenant, make_person
from tests.console.urls import add_to, list_of, page_of, press
from workspaces.models import ApiToken, Member, Role, Workspace
from workspaces.tokens import find_token


def test_a_token_is_shown_once_and_works(acme: Tenant, root: Client) -> None:
    given = {"workspace": acme.workspace.pk, "name": "ci", "role": "operator"}
    shown = root.post(add_to(ApiToken), given, follow=True).content.decode()
    row = ApiToken.objects.get(name="ci")
    token = shown.partition('id="fresh-token"')[2].partition(">")[2].partition("<")[0]
    assert find_token(token) == row
    root.post("/admin/tokens/seen/")
    for page in (page_of(row), list_of(ApiToken)):
        text = root.get(page).content.decode()
        assert token not in text
        assert row.digest not in text
        assert f"sp_{row.prefix}_" in text


def test_a_token_is_renamed_and_nothing_else(acme: Tenant, root: Client) -> None:
    digest = acme.token.digest
    root.post(page_of(acme.token), {"name": "renamed", "role": "viewer", "digest": "0" * 64})
    acme.token.refresh_from_db()
    assert (acme.token.name, acme.token.role, acme.token.digest) == ("renamed", "admin", digest)


@pytest.mark.parametrize("by", ["button", "list"])
def test_a_token_is_revoked(by: str, acme: Tenant, root: Client) -> None:
    if by == "button":
        root.post(press(acme.token, "revoke"))
    else:
        selected = [str(acme.token.pk)]
        root.post(list_of(ApiToken), {"action": "revoke_selected", "_selected_action": selected})
    assert find_token(acme.raw_token) is None


def test_members_are_added_by_exact_name_and_once(acme: Tenant, root: Client) -> None:
    make_person("eve")
    given = {"workspace": acme.workspace.pk, "username": "eve", "role": "viewer"}
    root.post(add_to(Member), given)
    assert Member.objects.get(user__username="eve").role == Role.VIEWER
    assert "member already" in root.post(add_to(Member), given).content.decode()
    other = root.post(add_to(Member), given | {"username": "ev"}).content.decode()
    assert "no active user of this name" in other


def test_a_workspace_with_content_is_not_deleted(acme: Tenant, root: Client) -> None:
    empty = Workspace.objects.create(name="empty")
    for row in (acme.workspace, empty):
        root.post(page_of(row).replace("change", "delete"), {"post": "yes"})
    assert list(Workspace.objects.all()) == [acme.workspace]


def test_people_are_made_by_superusers(root: Client) -> None:
    user = get_user_model()
    password = "long-enough-7"
    root.post(
        add_to(user),
        {
            "username": "new",
            "password1": password,
            "password2": password,
            "usable_password": "true",
        },
    )
    assert user.objects.get(username="new").check_password(password)


def test_chores_are_switched_and_beat_is_told(root: Client) -> None:
    pace = IntervalSchedule.objects.create(every=5, period="seconds")
    task = PeriodicTask.objects.create(name="tick", task="tasks.control.tick", interval=pace)
    before = PeriodicTasks.last_change()
    selected = [str(task.pk)]
    root.post(list_of(PeriodicTask), {"action": "disable_selected", "_selected_action": selected})
    task.refresh_from_db()
    assert task.enabled is False
    assert PeriodicTasks.last_change() > before
    root.post(page_of(task), {"enabled": "on", "interval": pace.pk, "name": "other", "task": "x"})
    task.refresh_from_db()
    assert (task.enabled, task.name, task.task) == (True, "tick", "tasks.control.tick")
