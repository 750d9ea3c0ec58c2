"""The page that searches: what it shows, whom, and how it is used."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.html import strip_tags
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from console.searching import mark_snippet
from datasets.models import Dataset
from datasets.store import ensure_store
from search.models import IndexState
from tests.console.conftest import NASTY, Tenant, make_person, make_tenant
from tests.console.test_browser import Watch
from tests.search.filling import fill_dataset
from workspaces.models import Member, Role, Workspace

PAGE = "/admin/search/"
TEXTS = [
    ("contracts/2024/emden.txt", f"Die Lieferfrist beträgt 14 Tage. {NASTY} <mark>Emden</mark>\n"),
    (
        "guide/berths.md",
        "# Berths\n\nThe Lieferfrist of a berth in Emden is short.\n\n" + "x " * 300,
    ),
    ("copy/emden.txt", f"Die Lieferfrist beträgt 14 Tage. {NASTY} <mark>Emden</mark>\n"),
]


@pytest.fixture
def handbook(acme: Tenant) -> Dataset:
    return fill_dataset(acme.workspace, "handbook", TEXTS)


def show(client: Client, **query: Any) -> str:
    answer = client.get(PAGE, query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def member_of(tenant: Tenant, name: str, role: Role = Role.VIEWER) -> Client:
    person = make_person(name)
    Member.objects.create(workspace=tenant.workspace, user=person, role=role)
    client = Client()
    client.force_login(person)
    return client


@pytest.mark.django_db
def test_hits_are_marked_and_nothing_of_a_file_becomes_markup(
    acme: Tenant, handbook: Dataset
) -> None:
    text = show(member_of(acme, "eve"), q="Lieferfrist")
    assert text.count("<mark>Lieferfrist</mark>") == 2
    assert NASTY not in text
    assert "&lt;mark&gt;Emden&lt;/mark&gt;" in text
    assert "the same content at 1 more path" in text
    assert "2 contents" in text
    assert "index current" in strip_tags(text)
    assert "Sync records" in text  # the sidebar


@pytest.mark.django_db
def test_a_hit_leads_to_its_file(acme: Tenant, handbook: Dataset) -> None:
    client = member_of(acme, "eve")
    text = show(client, q="berth")
    url = f"/admin/datasets/dataset/{handbook.pk}/change/?version=1&amp;folder=guide&amp;from=guide%2Fberths.md"
    assert url in text
    assert "berths.md" in client.get(url.replace("&amp;", "&")).content.decode()


@pytest.mark.django_db
def test_facets_narrow_down_and_can_be_taken_back(acme: Tenant, handbook: Dataset) -> None:
    client = member_of(acme, "eve")
    assert "type=.md" in show(client, q="Lieferfrist")
    narrowed = show(client, q="Lieferfrist", type=".md", age="day")
    assert "guide/berths.md" in narrowed
    assert "contracts/2024/emden.txt" not in narrowed
    assert narrowed.count('aria-current="true"') >= 2
    assert '<input type="hidden" name="type" value=".md">' in narrowed


@pytest.mark.django_db
def test_a_number_of_contents_that_is_not_all_says_so(acme: Tenant) -> None:
    texts = [(f"{number:03}.txt", f"The berth {number} is free.\n") for number in range(120)]
    fill_dataset(acme.workspace, "berths", texts)
    client = member_of(acme, "eve")
    assert "more than 101 contents, best first" in strip_tags(show(client, q="berth"))
    assert "Found 120 contents, best first" in strip_tags(show(client, q="berth", cursor="100"))
    assert "Found 1 content, best first" in strip_tags(show(client, q='"berth 77"'))


@pytest.mark.django_db
def test_a18_the_console_searches_the_persons_workspaces_alone(
    acme: Tenant, lab: Tenant, handbook: Dataset
) -> None:
    theirs = fill_dataset(lab.workspace, "secret", [("s.txt", "Lieferfrist of the lab")])
    client = member_of(acme, "eve")
    for query in ({}, {"workspace": lab.workspace.name}, {"workspace": str(lab.workspace.pk)}):
        assert "s.txt" not in show(client, q="Lieferfrist", **query)
    for called in (theirs.name, str(theirs.pk), "nothing"):
        text = show(client, q="Lieferfrist", dataset=called)
        assert "There is no such dataset in this workspace." in text
        assert "s.txt" not in text
    assert "s.txt" in show(member_of(lab, "bob"), q="Lieferfrist")


@pytest.mark.django_db
def test_who_has_several_workspaces_searches_the_one_that_holds_text(
    acme: Tenant, lab: Tenant
) -> None:
    person = member_of(acme, "eve")
    eve = User.objects.get(username="eve")
    Member.objects.create(workspace=lab.workspace, user=eve, role=Role.VIEWER)
    fill_dataset(lab.workspace, "terms", [("s.txt", "Lieferfrist of the lab")])
    assert "s.txt" in show(person, q="Lieferfrist")
    assert "s.txt" not in show(person, q="Lieferfrist", workspace=acme.workspace.name)
    fresh = Workspace.objects.create(name="fresh")
    Member.objects.create(workspace=fresh, user=eve, role=Role.VIEWER)
    asked = show(person, q="Lieferfrist", workspace="fresh")
    assert "Nothing has been synced here yet." in asked


@pytest.mark.django_db
def test_what_is_degraded_and_behind_is_said_in_plain_words(
    acme: Tenant, handbook: Dataset
) -> None:
    handbook.search_index.state = IndexState.CATCHING_UP
    handbook.search_index.pending_chunks = 1_200
    handbook.search_index.reason = "embed_unreachable: nobody listens"
    handbook.search_index.save()
    text = show(member_of(acme, "eve"), q="Lieferfrist")
    assert "No text here has a vector yet, so the list by meaning is left out" in text
    assert (
        "handbook: the index is catching up, 1,200 chunks are found by words alone so far." in text
    )
    assert "index catching up" in strip_tags(text)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "Ask for words that stand in the files"),
        ({"q": "zebra-that-nobody-wrote"}, "No current file fits."),
        ({"q": "the"}, "No current file fits."),
        ({"q": "x" * 1_001}, "longer than 1,000 characters"),
        ({"q": "Emden", "cursor": "x"}, "page before"),
    ],
)
def test_each_empty_state_says_what_to_do(
    acme: Tenant, handbook: Dataset, query: dict[str, str], words: str
) -> None:
    assert words in show(member_of(acme, "eve"), **query)


@pytest.mark.django_db
def test_a_datasets_page_searches_within_it(acme: Tenant, handbook: Dataset) -> None:
    text = member_of(acme, "eve").get(f"/admin/datasets/dataset/{handbook.pk}/change/")
    told = text.content.decode()
    assert "Search within handbook" in told
    assert "index current" in strip_tags(told)
    assert f'name="dataset" value="{handbook.pk}"' in told


def test_marks_are_ours_alone() -> None:
    assert mark_snippet("a<b & c", [(2, 3)]) == "a&lt;<mark>b</mark> &amp; c"


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_person_searches_by_keyboard_and_on_a_phone(page: Page, live_server: LiveServer) -> None:
    ensure_store()
    fill_dataset(make_tenant("acme").workspace, "handbook", TEXTS)
    seen = Watch(page)
    person = make_person("ada", superuser=True)
    page.goto(f"{live_server.url}{PAGE}")
    page.fill("input[name=username]", person.username)
    page.fill("input[name=password]", "pass-ada")
    page.click("button[type=submit]")
    page.locator("#q").wait_for()
    page.locator("#q").focus()
    page.keyboard.type("Lieferfrist Emden")
    page.keyboard.press("Enter")
    page.locator(".sp-hits mark").first.wait_for()
    assert page.locator(".sp-hits li").count() == 2
    page.get_by_role("link", name=".md 1").focus()
    page.keyboard.press("Enter")
    page.locator(".sp-facets a.sp-here").wait_for()
    assert page.locator(".sp-hits li").count() == 1
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("link", name="guide/berths.md").click()
    page.get_by_text("berths.md").first.wait_for()
    assert [url for url in seen.urls if not url.startswith(live_server.url)] == []
    assert seen.problems == []
