"""`search QUERY`."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from cli.hits import print_hit
from search.querying.question import Question
from search.querying.search import search
from tests.api.asking import asker
from tests.rows import make_workspace
from tests.search.filling import fill_dataset
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db
TEXTS = [
    ("a/heron.md", "# Birds\n\nThe grey heron\x1b[31m waits\nand sees.\n"),
    ("b.txt", "an otter"),
]


@pytest.fixture
def acme() -> Workspace:
    workspace = make_workspace()
    fill_dataset(workspace, "handbook", TEXTS)
    return workspace


def run(*words: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("search", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_hit_is_two_lines_and_what_is_missing_is_told(acme: Workspace) -> None:
    out, err = run("heron", "--workspace", "acme")
    head, snippet = out.splitlines()
    assert head == "handbook v1  a/heron.md:1  [words]"
    assert "The grey heron" in snippet
    assert "\x1b" not in out
    assert "not by meaning: no_vectors" in err


def test_json_is_the_answer_of_rest(acme: Workspace) -> None:
    told = json.loads(run("heron", "--json", "--mode", "words", "--limit", "1")[0])
    assert set(told) == {"items", "next", "index", "degraded"}
    assert told["items"][0]["path"] == "a/heron.md"
    by_rest = asker().get("search", {"q": "heron", "mode": "words", "limit": 1}).json()
    for each in (told, by_rest):
        del each["items"][0]["age_s"]  # goes on meanwhile
    assert told == by_rest


def test_marks_are_bold_on_a_terminal(acme: Workspace) -> None:
    [hit] = search(acme, Question("heron")).items
    _, snippet = print_hit(hit, colours=True)
    assert "\x1b[1mheron\x1b[0m" in snippet
    assert "\x1b[31m" not in snippet


def test_nothing_found_and_what_cannot_be_asked_are_told(acme: Workspace) -> None:
    assert run("zebra")[0].strip() == "Nothing was found."
    with pytest.raises(CommandError, match="empty"):
        run(" ")
    with pytest.raises(CommandError, match="no dataset 'none'"):
        run("heron", "--dataset", "none")
