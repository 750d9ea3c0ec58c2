"""Nobody becomes a member without their own consent, and nobody is told who has an account."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from tests.api.asking import Asker, asker
from tests.racing import race
from tests.rows import make_workspace
from workspaces.invitations import NotForYou, accept, find_invitation, is_for
from workspaces.models import Invitation, Member, Role

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def invited(admin: Asker, name: str, role: str = "viewer") -> str:
    """The link's path."""
    answer = admin.post("invitations", {"name": name, "role": role})
    assert answer.status_code == HTTPStatus.CREATED
    return str(answer.json()["path"])


def test_nobody_is_a_member_before_they_accept(admin: Asker) -> None:
    root = User.objects.create_superuser("root", password="x")
    path = invited(admin, "root", "admin")
    assert not Member.objects.exists()
    page = browser_of(root).get(path)
    assert "Accept" in page.text
    assert not Member.objects.exists()
    assert browser_of(root).post(path).status_code == HTTPStatus.FOUND
    assert Member.objects.get().user == root
    assert Member.objects.get().role == Role.ADMIN
    assert browser_of(root).post(path).status_code == HTTPStatus.NOT_FOUND
    assert admin.items("invitations")[0]["state"] == "accepted"


def test_members_are_added_in_no_other_way(admin: Asker) -> None:
    User.objects.create_user("ada", password="x")
    answer = admin.post("members", {"user": "ada", "role": "viewer"})
    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert not Member.objects.exists()


NAMES = ("ada", "off", "nobody", "ada@example.com", "nobody@example.com")


def test_the_answer_is_the_same_whether_or_not_somebody_has_the_name(admin: Asker) -> None:
    User.objects.create_user("ada", email="ada@example.com", password="x")
    User.objects.create_user("off", password="x", is_active=False)
    told, pages = [], []
    for name in NAMES:
        answer = admin.post("invitations", {"name": name})
        body = answer.json()
        told.append((answer.status_code, sorted(body), body["state"], body["role"]))
        page = Client().get(body["path"])
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "NAME", page.text)
        pages.append((page.status_code, text.replace(body["path"], "")))
    assert len({repr(one) for one in told}) == 1
    assert len({status for status, _ in pages}) == 1
    of_users, of_addresses = pages[:3], pages[3:]  # a user name is filled in
    for alike in (of_users, of_addresses):
        assert len({len(text) for _, text in alike}) == 1  # but for the CSRF token


def test_only_the_one_who_is_invited_accepts(admin: Asker) -> None:
    ada = User.objects.create_user("ada", email="Ada@Example.com", password="x")
    bob = User.objects.create_user("bob", password="x")
    off = User.objects.create_user("off", password="x", is_active=False)
    path = invited(admin, "ada@example.com")
    assert browser_of(bob).post(path).status_code == HTTPStatus.FORBIDDEN
    assert Client().post(path).status_code == HTTPStatus.OK  # the form, which nobody filled in
    assert not Member.objects.exists()
    assert "somebody else" in browser_of(bob).get(path).text
    assert not is_for(Invitation(name="off"), off)
    with pytest.raises(NotForYou):
        accept(Invitation.objects.get(), bob)
    assert not is_for(Invitation(name=""), bob)
    assert browser_of(ada).post(path).status_code == HTTPStatus.FOUND
    assert Member.objects.get().user == ada


@pytest.mark.parametrize("way", ["expired", "withdrawn", "wrong"])
def test_a_link_that_is_no_good_opens_nothing(admin: Asker, way: str) -> None:
    ada = User.objects.create_user("ada", password="x")
    path = invited(admin, "ada")
    row = Invitation.objects.get()
    if way == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif way == "withdrawn":
        assert admin.delete(f"invitations/{row.pk}").status_code == HTTPStatus.NO_CONTENT
    else:
        path = path[:-1] + ("a" if path[-1] != "a" else "b")
    for method in ("get", "post"):
        answer = getattr(browser_of(ada), method)(path)
        assert answer.status_code == HTTPStatus.NOT_FOUND
        assert "opens nothing" in answer.text
    assert not Member.objects.exists()


def test_an_open_invitation_stands_once_and_an_expired_one_in_nobodys_way(
    admin: Asker,
) -> None:
    invited(admin, "ada")
    again = admin.post("invitations", {"name": "ada"})
    assert (again.status_code, list(again.json()["errors"])) == (HTTPStatus.CONFLICT, ["name"])
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    path = invited(admin, "ada")
    ada = User.objects.create_user("ada", password="x")
    browser_of(ada).post(path)
    member = admin.post("invitations", {"name": "ada"})
    assert member.status_code == HTTPStatus.CONFLICT
    assert "member already" in member.json()["detail"]


def test_the_link_is_kept_nowhere(admin: Asker) -> None:
    path = invited(admin, "ada")
    token = path.rpartition("/")[2]
    assert find_invitation(token) is not None
    assert token not in repr(list(Invitation.objects.values()))
    assert token not in repr(admin.items("invitations") + admin.items("audit"))
    refused = admin.post("invitations", {"name": "eve"}, Idempotency_Key="one")
    assert refused.status_code == HTTPStatus.BAD_REQUEST


def test_invitations_of_one_name_at_one_moment(admin: Asker) -> None:
    runners = [partial(admin.post, "invitations", {"name": "ada"})] * 8
    answers = race(runners, table="workspaces_invitation")
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert {tuple(a.json()["errors"]) for a in answers if a.status_code == 409} == {("name",)}


def test_who_accepts_twice_at_once_is_a_member_once(admin: Asker) -> None:
    ada = User.objects.create_user("ada", password="x")
    path = invited(admin, "ada")
    browsers = [browser_of(ada) for _ in range(4)]
    answers = race([partial(one.post, path) for one in browsers], table="workspaces_member")
    assert sorted(answer.status_code for answer in answers) == [302, 404, 404, 404]
    assert Member.objects.count() == 1


def test_an_invitation_by_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    make_workspace()
    call_command("invite", "acme", "ada", "--role", "operator")
    path = capsys.readouterr().out.strip()
    ada = User.objects.create_user("ada", password="x")
    assert browser_of(ada).post(path).status_code == HTTPStatus.FOUND
    assert Member.objects.get().role == Role.OPERATOR


def sign_up(path: str, **given: Any) -> Any:
    words = "a long one that is not common"
    return Client().post(path, {"username": "x", "password": words, "again": words} | given)


def test_item_13_new_people_sign_up_where_the_platform_allows(admin: Asker, settings: Any) -> None:
    path = invited(admin, "new@example.com", "operator")
    allowed = settings.SYNC
    settings.SYNC = replace(allowed, invited_may_sign_up=False)
    assert "new here" not in Client().get(path).text
    assert sign_up(path, username="newton").status_code == HTTPStatus.FORBIDDEN
    settings.SYNC = allowed
    assert "new here" in Client().get(path).text
    for given in ({"again": "other"}, {"password": "short", "again": "short"}, {"username": "a b"}):
        assert sign_up(path, **given).status_code == HTTPStatus.OK
    User.objects.create_user("taken", password="x")
    assert "another name" in sign_up(path, username="taken").text
    assert "another name" in sign_up(path, username="boss@example.com").text
    assert User.objects.count() == 1
    done = sign_up(path, username="newton")
    assert done.status_code == HTTPStatus.FOUND
    assert Member.objects.get().user.get_username() == "newton"
    assert done.client.get("/admin/").status_code == HTTPStatus.OK
    assert sign_up(path, username="second").status_code == HTTPStatus.NOT_FOUND


def test_a_user_name_that_is_invited_is_signed_up_as_it_stands(admin: Asker) -> None:
    sign_up(invited(admin, "ada"), username="mallory")
    assert Member.objects.get().user.get_username() == "ada"
