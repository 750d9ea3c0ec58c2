"""`…/datasets/{dataset}/index`: how an index stands, what it lacks, and making it again."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from datasets.models import Dataset
from search.models import ChunkRefusal, IndexGeneration, TextChunk
from tests.search.indexes import digest, index, make_dataset, publish
from workspaces.models import AuditEntry, Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)

PICTURE = b"\x89PNG\0\0\0" * 10
FILES = {
    "a.txt": b"one text",
    **{f"pictures/{number}.png": PICTURE + b"%d" % number for number in range(5)},
    "copy/0.png": PICTURE + b"0",
}


@pytest.fixture
def dataset() -> Dataset:
    dataset = make_dataset()
    publish(dataset, FILES)
    return dataset


def ask(
    client: Client, dataset: Dataset, path: str, role: Role = Role.OPERATOR, **given: Any
) -> Any:
    token = create_token(dataset.workspace, name=f"{role}-{AuditEntry.objects.count()}", role=role)[
        1
    ]
    send = client.post if path == "reindex" else client.get
    return send(
        f"/api/workspaces/acme/datasets/{dataset.name}/{path}",
        headers={"Authorization": f"Bearer {token}"},
        content_type="application/json",
        **given,
    )


def test_an_index_is_told_and_made_again(client: Client, dataset: Dataset) -> None:
    told = ask(client, dataset, "index").json()
    since = told.pop("since")
    assert since is not None
    assert told == {
        "dataset": "handbook", "dataset_id": str(dataset.pk), "state": "catching_up", "indexed_version": None,
        "current_version": 1, "pending_texts": 0, "pending_chunks": 0, "reason": "", "chunk_count": 0,
        "text_count": 0, "refused_count": 0, "generation": None, "building": None,
    }  # fmt: skip
    index(dataset)
    told = ask(client, dataset, "index").json()
    counts = {
        name: told[name]
        for name in ("state", "since", "text_count", "refused_count", "chunk_count")
    }
    assert counts == {
        "state": "current", "since": None, "text_count": 1, "refused_count": 5, "chunk_count": 1,
    }  # fmt: skip
    answer = ask(client, dataset, "reindex")
    assert (answer.status_code, answer.json()["state"]) == (202, "catching_up")
    assert AuditEntry.objects.filter(action="reindexed", object_name="handbook").count() == 1
    assert ask(client, dataset, "reindex", Role.VIEWER).status_code == 403


@pytest.mark.parametrize("body", ['{"foo": 1}', "[]", "{bad", '{"a": "\\ud800"}'])
def test_a_path_that_takes_no_body_refuses_one(client: Client, dataset: Dataset, body: str) -> None:
    index(dataset)
    answer = ask(client, dataset, "reindex", data=body)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "This path takes no body: leave it out."
    assert ask(client, dataset, "reindex", data=" {} ").status_code == 202


def test_what_has_no_index_is_a_conflict(client: Client) -> None:
    empty = make_dataset("empty")
    assert ask(client, empty, "index").json()["state"] == "off"
    answer = ask(client, empty, "reindex")
    assert answer.status_code == 409
    assert answer.json()["detail"] == "Dataset empty has no index: nothing was published yet."


def test_troubles_are_told_by_path_page_after_page(client: Client, dataset: Dataset) -> None:
    index(dataset)
    chunk = TextChunk.objects.get()
    generation = IndexGeneration.objects.create(
        workspace=dataset.workspace, service="builtin", model="m", dimensions=4, signature="s"
    )
    ChunkRefusal.objects.create(
        workspace=dataset.workspace, dataset=dataset, chunk=chunk, generation=generation, code="embed_refused"
    )  # fmt: skip
    found: list[dict[str, Any]] = []
    cursor, pages = "", 0
    while True:
        page = ask(client, dataset, f"index/troubles?limit=2{cursor}").json()
        found += page["items"]
        pages += 1
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert pages == 3
    refused = {one["path"]: one for one in found[:5]}
    assert set(refused) == {"copy/0.png", *(f"pictures/{number}.png" for number in range(1, 5))}
    assert refused["copy/0.png"]["sha256"] == digest(PICTURE + b"0").hex()
    assert [one["path"] for one in found[5:]] == ["a.txt"]
    assert {one["code"] for one in found[:5]} == {"binary"}
    assert (found[5]["code"], found[5]["chunk"], found[0]["chunk"]) == ("embed_refused", 0, None)
    for made_up in ("xyz", "WzksIjEiXQ", "WzAsIngiXQ"):
        assert ask(client, dataset, f"index/troubles?cursor={made_up}").status_code == 404
