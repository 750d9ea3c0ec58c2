"""The page that says how a workspace is searched: an admin tries a service, saves it, and nobody sees its key again."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from datasets.store import ensure_store
from search.choices import find_embedding, find_languages
from search.embedding.trying import TRIAL_TEXT
from search.models import SearchChoice
from search.vectors.generations import find_wanted_generation
from tests.console.conftest import Tenant, make_person, make_tenant
from tests.console.test_browser import Watch
from tests.console.test_search import member_of
from tests.hosts.scripted_embeddings import (
    DIMENSIONS,
    Hangs,
    Refuses,
    ScriptedEmbeddings,
    scripted_embeddings,
)
from workspaces.models import AuditEntry, Role

KEY = "sk-canary-4417"


@pytest.fixture
def service() -> Iterator[ScriptedEmbeddings]:
    with scripted_embeddings() as started:
        yield started


def page_of(tenant: Tenant) -> str:
    return f"/admin/workspaces/workspace/{tenant.workspace.pk}/search/"


def openai(service: ScriptedEmbeddings, **more: Any) -> dict[str, Any]:
    return {"service": "openai", "url": service.url, "model": "m-1", **more}


def words_of(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(unescape(strip_tags(answer.content.decode())).split())


@pytest.mark.django_db
def test_an_admin_sets_a_service_and_its_key_is_never_shown(
    acme: Tenant, service: ScriptedEmbeddings
) -> None:
    client = member_of(acme, "ada", Role.ADMIN)
    given = openai(service, key=KEY, dimensions=DIMENSIONS, languages="english, german")
    answer = client.post(page_of(acme), given, follow=True)
    said = words_of(answer)
    assert "Saved." in said
    assert f"m-1 at {service.url}, with a key" in said
    assert KEY not in answer.content.decode()
    stored = find_embedding(acme.workspace.pk)
    assert (stored.url, stored.key, stored.dimensions) == (service.url, KEY, DIMENSIONS)
    assert find_languages(acme.workspace.pk) == ("english", "german")
    assert service.batches == []  # to save asks nothing
    wanted = find_wanted_generation(acme.workspace.pk)
    assert wanted is not None
    assert wanted.model == "m-1"  # the index makes its vectors from now on
    consent = AuditEntry.objects.get(action="consented")
    assert (consent.actor, consent.door) == ("ada", "console")
    assert KEY not in str(list(AuditEntry.objects.values()))
    # Without a key in the form it stays; where that is asked for, it goes.
    client.post(page_of(acme), {**given, "key": "", "model": "m-2"})
    assert (find_embedding(acme.workspace.pk).key, find_embedding(acme.workspace.pk).model) == (
        KEY,
        "m-2",
    )
    client.post(page_of(acme), {**given, "key": "", "forget_key": "on"})
    assert find_embedding(acme.workspace.pk).key == ""


@pytest.mark.django_db
def test_the_page_says_what_an_outside_service_receives(acme: Tenant) -> None:
    said = words_of(member_of(acme, "ada", Role.ADMIN).get(page_of(acme)))
    assert "An outside service receives the text of all files of this workspace" in said
    assert "the built-in model, on this machine: no text leaves it" in said


@pytest.mark.django_db
def test_what_does_not_fit_stands_beside_its_field_and_saves_nothing(acme: Tenant) -> None:
    client = member_of(acme, "ada", Role.ADMIN)
    said = words_of(client.post(page_of(acme), {"service": "openai", "languages": "klingon"}))
    assert "Service openai needs it." in said
    assert "'klingon' is unknown" in said
    assert not SearchChoice.objects.exists()


@pytest.mark.django_db
def test_a_trial_embeds_one_sentence_with_what_the_form_says_and_saves_nothing(
    acme: Tenant, service: ScriptedEmbeddings
) -> None:
    client = member_of(acme, "ada", Role.ADMIN)
    given = openai(service, key=KEY, query_prefix="query: ")
    said = words_of(client.post(page_of(acme), {**given, "try": "1"}))
    assert f"A vector of {DIMENSIONS} numbers came in" in said
    assert service.batches == [[f"query: {TRIAL_TEXT}"]]
    assert service.keys == {f"Bearer {KEY}"}
    assert not SearchChoice.objects.exists()
    assert AuditEntry.objects.filter(action="test_embedding", actor="ada").count() == 1


@pytest.mark.django_db
def test_a_stored_key_is_tried_at_its_own_host_and_at_no_other(
    acme: Tenant, service: ScriptedEmbeddings
) -> None:
    client = member_of(acme, "ada", Role.ADMIN)
    client.post(page_of(acme), openai(service, key=KEY))
    with scripted_embeddings() as other:
        client.post(page_of(acme), {**openai(other), "try": "1"})
        assert other.keys == {""}
    client.post(page_of(acme), {**openai(service), "try": "1"})
    assert service.keys == {f"Bearer {KEY}"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("habit", "words"),
    [
        (lambda texts: Refuses("401 Unauthorized", f"bad key {KEY}"), "embed_refused_key"),
        (lambda texts: Refuses("503 Service Unavailable"), "embed_unreachable"),
        (lambda texts: {"data": "none"}, "embed_protocol"),
        (lambda texts: Hangs(), "embed_timeout"),
    ],
    ids=["refuses the key", "is down", "answers nonsense", "hangs"],
)
def test_a_trial_says_why_no_vector_came(
    acme: Tenant,
    service: ScriptedEmbeddings,
    habit: Any,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.embedding.trying.TRIAL_S", 0.5)
    service.habit = habit
    answer = member_of(acme, "ada", Role.ADMIN).post(
        page_of(acme), {**openai(service, key=KEY), "try": "1"}, headers={"HX-Request": "true"}
    )
    said = words_of(answer)
    assert f"No vector came ({words})" in said
    assert KEY not in answer.content.decode()
    assert "Save" not in said  # the result alone: what was typed stays where it is


@pytest.mark.django_db
def test_the_built_in_model_is_tried_too(acme: Tenant) -> None:
    client = member_of(acme, "ada", Role.ADMIN)
    client.post(page_of(acme), {"service": "builtin", "try": "1"})
    assert not SearchChoice.objects.exists()


@pytest.mark.django_db
def test_an_operator_reads_and_another_workspace_is_not_there(
    acme: Tenant, lab: Tenant, service: ScriptedEmbeddings
) -> None:
    client = member_of(acme, "ole", Role.OPERATOR)
    said = words_of(client.get(page_of(acme)))
    assert "An admin of the workspace changes this." in said
    for more in ({}, {"try": "1"}):
        assert client.post(page_of(acme), {**openai(service), **more}).status_code == 403
    assert client.get(page_of(lab)).status_code == 404
    assert Client().get(page_of(acme)).status_code == 302
    assert service.batches == []
    assert not SearchChoice.objects.exists()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_service_is_tried_and_saved_by_keyboard(
    page: Page, live_server: LiveServer, service: ScriptedEmbeddings
) -> None:
    ensure_store()
    tenant = make_tenant("acme")
    seen = Watch(page)
    person = make_person("ada", superuser=True)
    page.goto(f"{live_server.url}{page_of(tenant)}")
    page.fill("input[name=username]", person.username)
    page.fill("input[name=password]", "pass-ada")
    page.click("button[type=submit]")
    page.get_by_label("Vectors by").select_option("openai")
    page.get_by_label("URL").focus()
    page.keyboard.type(service.url)
    page.keyboard.press("Tab")
    page.keyboard.type("m-1")
    page.keyboard.press("Tab")
    page.keyboard.type(KEY)
    page.get_by_role("button", name="Try it").focus()
    page.keyboard.press("Enter")
    page.get_by_text(f"A vector of {DIMENSIONS} numbers came").wait_for()
    assert page.input_value("#id_key") == KEY  # what was typed is still there
    page.get_by_role("button", name="Save").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Saved. The index catches up").wait_for()
    assert page.input_value("#id_key") == ""
    assert find_embedding(tenant.workspace.pk).key == KEY
    assert seen.problems == []
