"""`search_datasets`: the answer of REST's search, with the address of each hit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agents.asking import agent
from tests.agents.things import checked
from tests.api.asking import asker
from tests.rows import make_workspace
from tests.search.filling import fill_dataset

pytestmark = pytest.mark.django_db(transaction=True)
TEXTS = {
    f"notes/day {n:02}.md": f"# Day {n}\n\nThe harbour was quiet, ship number {n} came in.\n"
    for n in range(30)
}


@pytest.fixture
def _filled(db: None) -> None:
    fill_dataset(make_workspace(), "harbour", TEXTS.items())
    fill_dataset(make_workspace(), "office", {"a.txt": "A quiet office.\n"}.items())
    fill_dataset(make_workspace("lab"), "lab-notes", {"a.txt": "A quiet lab.\n"}.items())


@pytest.mark.usefixtures("_filled")
def test_a_hit_is_told_as_by_rest_with_its_address() -> None:
    told = checked(agent(), "search_datasets", query="quiet harbour 7", mode="words", limit=5)
    by_rest = asker().get("search", {"q": "quiet harbour 7", "mode": "words", "limit": 5}).json()
    first = told["items"][0]
    assert first["path"] == "notes/day 07.md"
    assert first["uri"] == "sync://harbour/files/notes/day%2007.md"
    for item, other in zip(told["items"], by_rest["items"], strict=True):
        del item["uri"], item["age_s"], other["age_s"]
    assert told == by_rest


@pytest.mark.usefixtures("_filled")
def test_pages_go_on_where_they_ended() -> None:
    found: list[Any] = []
    cursor: str | None = None
    while True:
        more: dict[str, Any] = {"cursor": cursor} if cursor else {}
        told = checked(agent(), "search_datasets", query="harbour", mode="words", **more)
        assert len(told["items"]) <= 10
        found += [hit["path"] for hit in told["items"]]
        cursor = told["next"]
        if cursor is None:
            break
    assert sorted(found) == sorted(TEXTS)


@pytest.mark.usefixtures("_filled")
@pytest.mark.parametrize(
    ("dataset", "datasets"),
    [
        ("office", {"office"}),
        (["office", "harbour"], {"office", "harbour"}),
        (None, {"office", "harbour"}),
    ],
)
def test_datasets_narrow_the_search(dataset: Any, datasets: set[str]) -> None:
    told = checked(
        agent(), "search_datasets", query="quiet", dataset=dataset, mode="words", limit=20
    )
    assert {hit["dataset"] for hit in told["items"]} <= datasets
    assert told["items"]


@pytest.mark.usefixtures("_filled")
def test_a18_another_workspace_is_never_searched() -> None:
    for called in ("lab-notes", ["office", "lab-notes"], "none"):
        told = checked(agent(), "search_datasets", query="quiet", dataset=called)
        assert told["error"] == {
            "code": "not_found", "detail": "There is no such dataset.", "errors": {}, "retry_after_s": None,
        }  # fmt: skip
    told = checked(
        agent(workspace=make_workspace("lab")), "search_datasets", query="quiet", mode="words"
    )
    assert [hit["dataset"] for hit in told["items"]] == ["lab-notes"]


@pytest.mark.usefixtures("_filled")
@pytest.mark.parametrize(
    ("given", "argument"),
    [
        ({"query": ""}, "query"), ({"query": "  "}, "query"), ({"query": "x" * 1_001}, "query"), ({"query": "a\0"}, "query"),
        ({"query": "x", "limit": 21}, "limit"), ({"query": "x", "cursor": "y"}, "cursor"),
        ({"query": "x", "mode": "guess"}, "mode"), ({"query": "x", "newer_than_s": -1}, "newer_than_s"),
        ({"query": "x", "prefix": "\0"}, "prefix"), ({"q": "x"}, "q"), ({}, "query"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_told(given: dict[str, Any], argument: str) -> None:
    error = checked(agent(), "search_datasets", **given)["error"]
    assert (error["code"], list(error["errors"])) == ("invalid_arguments", [argument])


@pytest.mark.usefixtures("_filled")
@pytest.mark.parametrize("query", ["the of and", "' | ! & (", '"', "-", "⁠‮"])
def test_odd_queries_find_nothing_or_are_refused(query: str) -> None:
    told = checked(agent(), "search_datasets", query=query)
    assert told.get("items", []) == []
