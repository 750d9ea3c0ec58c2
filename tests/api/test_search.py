"""`…/search` and `…/datasets/{dataset}/search`."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from api.shapes.misfits import describe_misfit
from search.querying.question import SearchMode
from tests.api.asking import Asker, asker
from tests.api.document import DOCUMENT
from tests.rows import make_workspace
from tests.search.filling import fill_dataset
from workspaces.models import Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db

SAME = [("a/heron.md", "# Birds\n\nThe grey heron <b>waits</b> & sees.\n"), ("b.txt", "an otter")]
HIT = {
    "dataset", "dataset_id", "path", "paths", "paths_total", "version", "record_id", "sha256", "size_bytes", "source",
    "modified_at", "fetched_at", "age_s", "line", "place", "heading", "snippet", "highlights", "score", "matched",
}  # fmt: skip
INDEX = {
    "state", "pending_texts", "pending_chunks", "oldest_pending_s", "reason", "generation", "building", "behind",
}  # fmt: skip


@pytest.fixture
def ours() -> Asker:
    fill_dataset(make_workspace(), "handbook", SAME)
    fill_dataset(make_workspace("lab"), "handbook", SAME)
    fill_dataset(make_workspace("lab"), "theirs", SAME)
    return asker(Role.VIEWER)


def test_a01_a_hit_has_all_its_fields(ours: Asker) -> None:
    told = ours.get("search", {"q": "heron"}).json()
    assert set(told) == {"items", "next", "index", "degraded"}
    assert set(told["index"]) == INDEX
    assert told["next"] is None
    [hit] = told["items"]
    assert set(hit) == HIT
    assert (hit["path"], hit["heading"], hit["line"], hit["place"]) == (
        "a/heron.md",
        "Birds",
        1,
        "",
    )
    assert [hit["snippet"][start:end] for start, end in hit["highlights"]] == ["heron"]
    assert "<b>waits</b> & sees." in hit["snippet"]
    assert hit["matched"] == "words"
    again = ours.get("datasets/handbook/search", {"q": "heron"}).json()
    assert [each["path"] for each in again["items"]] == [hit["path"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": "  \t "}, "q"),
        ({"q": "x" * 1_001}, "q"),
        ({"q": "x" * 10_000}, "q"),
        ({"q": "a\0b"}, "q"),
        ({"q": "a", "limit": "0"}, "limit"),
        ({"q": "a", "limit": "101"}, "limit"),
        ({"q": "a", "limit": "many"}, "limit"),
        ({"q": "a", "mode": "all"}, "mode"),
        ({"q": "a", "cursor": "!"}, "cursor"),
        ({"q": "a", "cursor": "AAAA"}, "cursor"),
        ({"q": "a", "newer_than_s": "-1"}, "newer_than_s"),
        ({"q": "a", "newer_than_s": "nan"}, "newer_than_s"),
        ({"q": "a", "newer_than_s": "1e300"}, "newer_than_s"),
        ({"q": "a", "prefix": "a\0"}, "prefix"),
        ({"q": "a", "type": "md"}, "type"),
        ({"q": "a", "prefx": "x"}, "prefx"),
        ({"q": "a", "datset": "x"}, "datset"),
    ],
)
def test_a20_what_does_not_fit_is_refused_by_its_field(
    ours: Asker, query: dict[str, str], field: str
) -> None:
    for path in ("search", "datasets/handbook/search"):
        answer = ours.get(path, query)
        assert answer.status_code == 400, path
        assert list(answer.json()["errors"]) == [field]


def test_a_dataset_is_no_parameter_where_the_path_names_it(ours: Asker) -> None:
    answer = ours.get("datasets/handbook/search", {"q": "heron", "dataset": "handbook"})
    assert list(answer.json()["errors"]) == ["dataset"]


def test_space_around_the_question_does_not_count(ours: Asker) -> None:
    assert len(ours.get("search", {"q": f"  heron{' ' * 2_000}"}).json()["items"]) == 1


def test_a_dataset_may_be_named_several_times(ours: Asker) -> None:
    other = fill_dataset(make_workspace(), "other", [("c.txt", "a second heron")])
    path = f"search?q=heron&dataset=handbook&dataset={other.pk}"
    assert {hit["dataset"] for hit in ours.get(path).json()["items"]} == {"handbook", "other"}
    assert ours.get("search?q=heron&dataset=other&dataset=none").status_code == 404


def _askings(named: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("search", {"dataset": named}),
        (f"datasets/{named}/search", {}),
        ("search", {"dataset": ["handbook", named]}),
    ]


@pytest.mark.parametrize("mode", list(SearchMode))
def test_a18_another_workspace_is_never_searched(ours: Asker, mode: SearchMode) -> None:
    theirs = make_workspace("lab").datasets.get(name="theirs")
    same_name = make_workspace("lab").datasets.get(name="handbook")
    nothing = ours.get("search", {"q": "heron", "dataset": str(uuid.uuid4())})
    assert nothing.status_code == 404
    for named in ("theirs", str(theirs.pk), str(same_name.pk)):
        for path, more in _askings(named):
            answer = ours.get(path, {"q": "heron", "mode": mode.value, **more})
            assert (answer.status_code, answer.content) == (404, nothing.content), (path, more)
    for more in ({}, {"prefix": "a/"}, {"type": ".md"}, {"newer_than_s": 60}, {"limit": 100}):
        told = ours.get("search", {"q": "heron otter", "mode": mode.value, **more}).json()
        mine = {str(pk) for pk in make_workspace().datasets.values_list("pk", flat=True)}
        assert {hit["dataset_id"] for hit in told["items"]} <= mine
        assert {each["dataset_id"] for each in told["index"]["behind"]} <= mine
    token = create_token(make_workspace("lab"), name="ci", role=Role.ADMIN)[1]
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/workspaces/acme/search?q=heron", headers=headers).status_code == 404


def test_an_answer_of_many_hits_costs_as_many_queries_as_one_of_few(
    ours: Asker, django_assert_max_num_queries: Any
) -> None:
    fill_dataset(make_workspace(), "many", [(f"{n}.txt", f"heron {n}") for n in range(120)])
    ours.get("search", {"q": "heron"})
    with django_assert_max_num_queries(30):
        told = ours.get("search", {"q": "heron", "limit": 100, "type": ".txt"}).json()
    assert len(told["items"]) == 100


def test_metrics_show_how_long_a_workspaces_searches_took(ours: Asker) -> None:
    def count() -> float:
        headers = {"Authorization": f"Bearer {ours.token}"}
        text = Client().get("/metrics", headers=headers).content.decode()
        [line] = [
            line
            for line in text.splitlines()
            if line.startswith('search_duration_seconds_count{mode="words",workspace="acme"}')
        ]
        return float(line.rpartition(" ")[2])

    before = count()
    ours.get("search", {"q": "heron", "mode": "words"})
    assert count() == before + 1


@pytest.mark.parametrize(
    ("path", "name", "text"),
    [
        ("search", "limit", "1_0"),
        ("search", "limit", "+5"),
        ("search", "limit", " 5"),
        ("search", "limit", "5.0"),
        ("search", "newer_than_s", "1_0"),
        ("datasets/handbook/search", "limit", "5 "),
        ("sync-jobs", "limit", "1_0"),
        ("datasets/handbook/versions", "limit", "\u0665"),
        ("datasets/handbook/files/b.txt", "version", "0_1"),
        ("members", "limit", "+5"),
    ],
)
def test_a_number_is_written_in_plain_digits(ours: Asker, path: str, name: str, text: str) -> None:
    admin = asker(Role.ADMIN)
    query = {"q": "heron"} if path.endswith("search") else {}
    told = admin.get(path, {**query, name: text})
    assert told.status_code == 400, told.content
    [words] = told.json()["errors"][name]
    assert words.startswith(("Give a whole number", "Give a number"))
    assert admin.get(path, {**query, name: "1"}).status_code != 400


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"type": "md"}, "Give a suffix such as .md."),
        ({"cursor": "x"}, "Give `next` of the page before as it came."),
    ],
)
def test_what_a_text_must_be_is_told_in_words(
    ours: Asker, given: dict[str, str], words: str
) -> None:
    told = ours.get("search", {"q": "heron", **given})
    assert told.status_code == 400
    assert [each for found in told.json()["errors"].values() for each in found] == [words]


def test_no_parameter_is_told_by_a_raw_pattern() -> None:
    told = [
        parameter["schema"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    ]
    parts = [[one, one.get("items", {}), *one.get("anyOf", ())] for one in told]
    patterns = {part["pattern"] for found in parts for part in found if "pattern" in part}
    assert patterns
    for pattern in patterns:
        error = {"type": "string_pattern_mismatch", "ctx": {"pattern": pattern}}
        assert pattern not in describe_misfit(error)
