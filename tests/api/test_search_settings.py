"""What a workspace sets of its search: by REST, as text, from the environment; the key is told to nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from pytest_django.fixtures import Settings

from cli.configfile import load
from cli.management.commands.export import as_text
from search.choices import EmbeddingChoice, default_embedding, find_embedding, find_languages
from search.embedding.contract import EmbedFailed
from search.models import SearchChoice
from search.vectors.generations import find_wanted_generation, read_choice, settle_generation
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.configuration.yaml_out import export_configuration
from tests.api.asking import Asker, asker
from workspaces.models import AuditEntry, Role, Workspace

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "sk-canary-5521"
URL = "https://embed.example.com/v1"
OPENAI = {"service": "openai", "url": URL, "model": "m-1"}
TOLD = {
    **OPENAI,
    "dimensions": None,
    "batch": 64,
    "query_prefix": "",
    "passage_prefix": "",
    "has_key": True,
}


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def search_of(admin: Asker) -> Any:
    return admin.get("settings").json()["search"]


def set_search(admin: Asker, search: Any) -> Any:
    return admin.patch("settings", {"search": search})


def test_a_workspace_that_set_nothing_has_the_model_that_is_built_in(admin: Asker) -> None:
    assert search_of(admin) == {"embedding": {"service": "builtin"}, "languages": ["english"]}


def test_the_key_is_written_and_never_read(admin: Asker) -> None:
    answer = set_search(admin, {"embedding": {**OPENAI, "key": KEY}})
    assert answer.status_code == HTTPStatus.OK
    assert answer.json()["search"] == {"embedding": TOLD, "languages": ["english"]}
    assert search_of(admin)["embedding"] == TOLD
    workspace = Workspace.objects.get()
    assert find_embedding(workspace.pk).key == KEY
    assert KEY not in repr(find_embedding(workspace.pk))
    row = SearchChoice.objects.get()
    assert KEY not in row.sealed_secret
    assert KEY not in json.dumps(row.embedding)
    entries = json.dumps(list(AuditEntry.objects.values_list("changes", flat=True)))
    assert KEY not in entries
    assert f"the text of files is sent to {URL}" in entries
    consent = AuditEntry.objects.filter(action="consented").get()
    assert (consent.actor, consent.door) == ("token ci", "api")


def test_a_key_stays_for_its_host_and_for_no_other(admin: Asker) -> None:
    set_search(admin, {"embedding": {**OPENAI, "key": KEY}})
    set_search(admin, {"embedding": {**OPENAI, "model": "m-2"}})
    workspace = Workspace.objects.get()
    assert (find_embedding(workspace.pk).model, find_embedding(workspace.pk).key) == ("m-2", KEY)
    told = set_search(admin, {"embedding": {**OPENAI, "url": "https://other.example.com/v1"}})
    assert told.json()["search"]["embedding"]["has_key"] is False
    assert find_embedding(workspace.pk).key == ""
    set_search(admin, {"embedding": {**OPENAI, "key": KEY}})
    set_search(admin, {"embedding": {**OPENAI, "key": None}})
    assert find_embedding(workspace.pk).key == ""


def test_what_is_left_out_stays_and_null_is_the_installations_default(admin: Asker) -> None:
    set_search(admin, {"embedding": {"service": "off"}, "languages": ["german", "simple"]})
    assert search_of(admin) == {"embedding": {"service": "off"}, "languages": ["german"]}
    set_search(admin, {"languages": ["english", "german"]})
    assert search_of(admin)["embedding"] == {"service": "off"}
    set_search(admin, {"embedding": None})
    assert search_of(admin) == {
        "embedding": {"service": "builtin"},
        "languages": ["english", "german"],
    }
    set_search(admin, {"languages": []})
    assert search_of(admin)["languages"] == []
    set_search(admin, None)
    assert search_of(admin)["languages"] == ["english"]


@pytest.mark.parametrize(
    ("search", "place"),
    [
        ({"embedding": {"service": "magic"}}, "search.embedding.service"),
        ({"embedding": {"service": "builtin", "url": URL}}, "search.embedding.url"),
        ({"embedding": {"service": "openai"}}, "search.embedding.url"),
        ({"embedding": {"service": "openai", "url": URL}}, "search.embedding.model"),
        ({"embedding": {**OPENAI, "url": "ftp://h/v1"}}, "search.embedding.url"),
        ({"embedding": {**OPENAI, "url": "https://u:p@h/v1"}}, "search.embedding.url"),
        ({"embedding": {**OPENAI, "url": "https://h/v1?key=1"}}, "search.embedding.url"),
        ({"embedding": {**OPENAI, "dimensions": 0}}, "search.embedding.dimensions"),
        ({"embedding": {**OPENAI, "dimensions": 4097}}, "search.embedding.dimensions"),
        ({"embedding": {**OPENAI, "dimensions": "512"}}, "search.embedding.dimensions"),
        ({"embedding": {**OPENAI, "batch": 0}}, "search.embedding.batch"),
        ({"embedding": {**OPENAI, "key": "a\nb"}}, "search.embedding.key"),
        ({"embedding": {**OPENAI, "model": " "}}, "search.embedding.model"),
        ({"embedding": {**OPENAI, "colour": 1}}, "search.embedding.colour"),
        ({"languages": ["english", "klingon"]}, "search.languages.1"),
        ({"languages": "english"}, "search.languages"),
        ({"words": 1}, "search.words"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_where_it_stands(
    admin: Asker, search: Mapping[str, Any], place: str
) -> None:
    answer = set_search(admin, search)
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert place in answer.json()["errors"]
    assert search_of(admin) == {"embedding": {"service": "builtin"}, "languages": ["english"]}
    assert not AuditEntry.objects.filter(kind="search settings").exists()


def test_a_viewer_reads_it_and_only_an_admin_writes(admin: Asker) -> None:
    viewer = asker(Role.VIEWER, name="reader")
    assert search_of(viewer)["embedding"] == {"service": "builtin"}
    refused = set_search(viewer, {"embedding": {"service": "off"}})
    assert refused.status_code == HTTPStatus.FORBIDDEN


def test_as_text_it_goes_in_and_out_and_a_second_time_nothing_changes(
    admin: Asker, tmp_path: Path
) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(
        f"""
workspaces:
  - name: acme
    search:
      embedding:
        service: openai
        url: "{URL}"
        model: m-1
        query_prefix: "query: "
        key: "${{env:EMBED_KEY}}"
      languages: [english, german]
"""
    )
    document = load(path, {"EMBED_KEY": KEY}).document
    first = apply_configuration(document)
    assert [(change.action, change.fields) for change in first] == [
        ("changed", ("search.embedding", "search.key", "search.languages"))
    ]
    assert find_embedding(Workspace.objects.get().pk) == EmbeddingChoice(
        "openai", url=URL, model="m-1", query_prefix="query: ", key=KEY
    )
    assert [change.action for change in apply_configuration(document)] == ["unchanged"]
    exported = export_configuration(Workspace.objects.all())
    assert exported.variables == ("ACME_SEARCH_KEY",)
    assert KEY not in as_text(exported)
    path.write_text(as_text(exported))
    document = load(path, {"ACME_SEARCH_KEY": KEY}).document
    assert [change.action for change in apply_configuration(document)] == ["unchanged"]
    assert document["workspaces"][0]["search"]["embedding"] == {
        **OPENAI,
        "query_prefix": "query: ",
        "key": KEY,
    }


def test_off_may_stand_bare_in_a_file(tmp_path: Path) -> None:
    """Where it is a word; elsewhere it is false, as YAML 1.1 has it."""
    path = tmp_path / "off.yaml"
    path.write_text(
        "workspaces:\n  - name: acme\n    search: {embedding: {service: off}}\n"
        "    jobs: [{name: nightly, index: Off, enabled: off}]\n"
    )
    [workspace] = load(path, {}).document["workspaces"]
    assert workspace["search"] == {"embedding": {"service": "off"}}
    assert workspace["jobs"] == [{"name": "nightly", "index": "off", "enabled": False}]


def test_the_environment_is_the_default_of_workspaces_that_set_nothing(
    admin: Asker, settings: Settings
) -> None:
    from dataclasses import replace

    settings.SYNC = replace(
        settings.SYNC,
        embedding_url=URL,
        embedding_model="m-9",
        embedding_key=KEY,
        search_languages=("french",),
    )
    workspace = Workspace.objects.get()
    assert find_embedding(workspace.pk) == default_embedding()
    assert search_of(admin)["embedding"] == {**TOLD, "model": "m-9"}
    assert find_languages(workspace.pk) == ("french",)
    set_search(admin, {"embedding": {"service": "builtin"}, "languages": ["english"]})
    assert search_of(admin) == {"embedding": {"service": "builtin"}, "languages": ["english"]}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SEARCH_LANGUAGES", "english,klingon", "SEARCH_LANGUAGES must be of"),
        ("EMBEDDING_URL", "embed.example.com", "EMBEDDING_URL: the URL must begin with"),
    ],
)
def test_a_wrong_variable_ends_the_start_with_one_line(
    variable: str, value: str, words: str
) -> None:
    import os

    ended = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert words in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_the_rotation_of_keys_covers_those_of_services(admin: Asker, settings: Settings) -> None:
    older, newer = (Fernet.generate_key().decode() for _ in range(2))
    settings.SECRETS_KEYS = [older]
    set_search(admin, {"embedding": {**OPENAI, "key": KEY}})
    workspace = Workspace.objects.get()
    settle_generation(workspace.pk)
    settings.SECRETS_KEYS = [newer, older]
    call_command("rotate_secrets")
    settings.SECRETS_KEYS = [newer]
    assert find_embedding(workspace.pk).key == KEY
    target = find_wanted_generation(workspace.pk)
    assert target is not None
    assert read_choice(target).key == KEY


def test_a_key_that_does_not_open_is_for_a_person(admin: Asker, settings: Settings) -> None:
    set_search(admin, {"embedding": {**OPENAI, "key": KEY}})
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    assert search_of(admin)["embedding"]["has_key"] is True
    with pytest.raises(EmbedFailed) as caught:
        settle_generation(Workspace.objects.get().pk)
    assert (caught.value.code, caught.value.is_permanent) == ("embed_refused_key", True)
