"""What is the same on every page: finding by name, the workspace that is remembered, refusals, a new token, About."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from datasets.models import Entry
from syncjobs.core.states import State
from tests.console.conftest import Tenant, make_record
from tests.console.urls import add_to, list_of, page_of
from workspaces.models import ApiToken, Member, Role
from workspaces.tokens import find_token

Browser = Callable[[User], Client]
pytestmark = pytest.mark.django_db
CHOOSE = "/admin/workspaces/workspace/choose/"


def search(browser: Client, words: str) -> str:
    answer = browser.get("/admin/search/", {"q": words})
    assert answer.status_code == 200
    return answer.content.decode()


def test_what_has_a_name_is_found_by_a_part_of_it(acme: Tenant, browser_of: Browser) -> None:
    browser = browser_of(acme.people[Role.VIEWER])
    record = make_record(acme.job, State.SUCCEEDED)
    Entry.objects.create(
        dataset=acme.job.dataset,
        path="deep/er/Quarterly.csv",
        size_bytes=1,
        sha256=b"x" * 32,
        since=1,
    )
    assert page_of(acme.job) in search(browser, "acme-j")
    assert page_of(record) in search(browser, str(record.pk)[:8])
    told = search(browser, "quarterly")
    assert "deep/er/Quarterly.csv" in told
    assert f"{page_of(acme.job.dataset)}?folder=deep%2Fer" in told
    assert "By name" not in search(browser, "q")


def test_nothing_of_another_workspace_is_found(
    acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    record = make_record(lab.job, State.SUCCEEDED)
    browser = browser_of(acme.people[Role.ADMIN])
    for words in ("lab-job", str(record.pk), lab.job.dataset.name):
        assert "By name" not in search(browser, words), words


def test_the_chosen_workspace_is_remembered_by_the_next_log_in(acme: Tenant, lab: Tenant) -> None:
    person = acme.people[Role.ADMIN]
    Member.objects.create(workspace=lab.workspace, user=person, role=Role.VIEWER)
    first, second = Client(), Client()
    first.force_login(person)
    first.post(CHOOSE, {"workspace": "lab"})
    second.force_login(person)
    assert "lab-job" in second.get(list_of(type(lab.job))).content.decode()
    assert "acme-job" not in second.get(list_of(type(lab.job))).content.decode()


def test_each_page_has_a_field_that_finds_everything(acme: Tenant, browser_of: Browser) -> None:
    told = browser_of(acme.people[Role.VIEWER]).get("/admin/").content.decode()
    assert 'action="/admin/search/"' in told
    assert "data-search" in told


def test_keys_of_one_letter_can_be_switched_off_for_good(acme: Tenant, browser_of: Browser) -> None:
    person = acme.people[Role.VIEWER]
    browser = browser_of(person)
    assert 'data-keys="off"' not in browser.get("/admin/").content.decode()
    answer = browser.post("/admin/keys/", {"on": "0", "next": "https://elsewhere.example/"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    again = Client()
    again.force_login(person)
    assert 'data-keys="off"' in again.get("/admin/").content.decode()


def test_a_path_that_is_not_there_offers_a_search(acme: Tenant, browser_of: Browser) -> None:
    answer = browser_of(acme.people[Role.VIEWER]).get("/admin/nothing/here/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()
    assert Client().get("/nothing").json()["status"] == 404  # of an address that is no page


def test_who_may_not_is_told_the_role_and_who_gives_another(
    acme: Tenant, browser_of: Browser
) -> None:
    answer = browser_of(acme.people[Role.VIEWER]).get(add_to(type(acme.job)))
    assert answer.status_code == 403
    told = answer.content.decode()
    assert "You are viewer in this workspace" in told
    assert acme.people[Role.ADMIN].username in told


def test_a_new_token_is_shown_until_it_is_put_away(
    acme: Tenant, browser_of: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = browser_of(acme.people[Role.ADMIN])
    form = {"workspace": acme.workspace.pk, "name": "ci", "role": "viewer"}
    told = browser.post(add_to(ApiToken), form, follow=True).content.decode()
    found = re.search(r'id="fresh-token"[^>]*>(sp_[^<]+)<', told)
    assert found is not None
    assert find_token(found[1]) is not None
    assert found[1] in browser.get("/admin/").content.decode()
    assert found[1] not in str(dict(browser.session))
    assert found[1] not in browser_of(acme.people[Role.OPERATOR]).get("/admin/").content.decode()
    browser.post("/admin/tokens/seen/")
    assert "fresh-token" not in browser.get("/admin/").content.decode()
    browser.post(add_to(ApiToken), form | {"name": "cd"})
    now = time.time()
    monkeypatch.setattr("console.fresh_tokens.time.time", lambda: now + 1_000)
    assert "fresh-token" not in browser.get("/admin/").content.decode()


def test_about_tells_versions_limits_and_licences_and_no_secret(
    acme: Tenant, browser_of: Browser, admin_client: Client
) -> None:
    told = browser_of(acme.people[Role.VIEWER]).get("/admin/about/").content.decode()
    for words in ("SyncProject", "PostgreSQL", "SYNC_CONCURRENCY", "psycopg"):
        assert words in told
    assert "Store of files" not in told
    assert "Store of files" in admin_client.get("/admin/about/").content.decode()
