"""`list_files` and `read_file`: pages of one version, parts that end where a character does, and where content came from."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any

import pytest

from datasets.models import Dataset, Entry, Version
from tests.agents.asking import Agent, agent
from tests.agents.things import checked, make_file_job
from tests.rows import make_version
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


def hold(contents: dict[str, bytes]) -> Dataset:
    """A dataset `docs` whose version 1 holds these files."""
    dataset = make_file_job(name="docs").dataset
    made = make_version(dataset, contents)
    Version.objects.filter(pk=made.pk).update(record_id=uuid.uuid4())
    return dataset


def publish_without(dataset: Dataset, path: str) -> None:
    """Version 2 lacks a file."""
    dataset.versions.update(is_current=False)
    Version.objects.create(
        dataset=dataset, number=2, file_count=0, size_bytes=0, record_id=uuid.uuid4()
    )
    Entry.objects.filter(dataset=dataset, path=path).update(until=2)


def read_all(who: Agent, path: str, **more: Any) -> tuple[bytes, int]:
    """The content by its parts, and their count."""
    content, offset, count = b"", 0, 0
    while True:
        told = checked(who, "read_file", dataset="docs", path=path, offset=offset, **more)
        part = base64.b64decode(told["blob"]) if told["text"] is None else told["text"].encode()
        assert (told["offset"], told["length"]) == (offset, len(part))
        content, count = content + part, count + 1
        if told["next_offset"] is None:
            return content, count
        assert told["next_offset"] == offset + len(part) > offset
        offset = told["next_offset"]


def test_all_files_are_listed_once_by_pages_of_one_version() -> None:
    dataset = hold({f"d{n % 3}/f {n:03}%ü.txt": b"x" for n in range(45)})
    who = agent()
    found: list[Any] = []
    cursor: str | None = None
    while True:
        more: dict[str, Any] = {"cursor": cursor} if cursor else {}
        told = checked(who, "list_files", dataset="docs", limit=10, **more)
        assert (told["dataset"], told["version"]) == ("docs", 1)
        found += told["items"]
        cursor = told["next"]
        if cursor is None:
            break
        if len(found) == 10:
            publish_without(dataset, found[0]["path"])
    paths = [one["path"] for one in found]
    assert len(paths) == 45
    assert paths == sorted(set(paths))
    assert [set(one) for one in found] == [
        {"path", "size_bytes", "sha256", "modified_at", "source", "uri"}
    ] * 45
    assert len(checked(who, "list_files", dataset="docs", limit=100)["items"]) == 44
    older = checked(who, "list_files", dataset="docs", version=1, limit=1)
    assert older["items"][0]["uri"].startswith("sync://docs/versions/1/files/d0/f%20")
    # The address is that of the resource.
    told = who.result("resources/read", {"uri": older["items"][0]["uri"]})
    assert told["contents"][0]["text"] == "x"


def test_files_are_listed_by_the_beginning_of_their_path() -> None:
    hold({"a/b.txt": b"1", "a/c.txt": b"2", "ab.txt": b"3"})
    told = checked(agent(), "list_files", dataset="docs", prefix="a/")
    assert [one["path"] for one in told["items"]] == ["a/b.txt", "a/c.txt"]
    assert checked(agent(), "list_files", dataset="docs", prefix="none")["items"] == []


def test_where_content_came_from_is_told() -> None:
    dataset = hold({"a.md": b"# words", "b.txt": b"x"})
    publish_without(dataset, "b.txt")
    first = dataset.versions.get(number=1)
    told = checked(agent(), "read_file", dataset=str(dataset.pk), path="a.md")
    assert told.pop("fetched_at").startswith(first.created_at.isoformat()[:19])
    assert told == {
        "dataset": "docs", "path": "a.md", "version": 2, "sha256": hashlib.sha256(b"# words").hexdigest(),
        "size_bytes": 7, "record_id": str(first.record_id), "mime_type": "text/markdown", "offset": 0, "length": 7,
        "next_offset": None, "text": "# words", "blob": None, "untrusted": True,
    }  # fmt: skip
    assert (
        checked(agent(), "read_file", dataset="docs", path="b.txt")["error"]["code"] == "not_found"
    )
    assert checked(agent(), "read_file", dataset="docs", path="b.txt", version=1)["text"] == "x"


def test_content_came_with_the_version_that_first_had_it_whatever_times_the_source_told_later() -> (
    None
):
    dataset = hold({"a.md": b"# words"})
    first = dataset.versions.get(number=1)
    for number in (2, 3):
        dataset.versions.update(is_current=False)
        Version.objects.create(
            dataset=dataset, number=number, file_count=1, size_bytes=7, record_id=uuid.uuid4()
        )
        old = Entry.objects.get(dataset=dataset, until=None)
        Entry.objects.filter(pk=old.pk).update(until=number)
        Entry.objects.create(
            dataset=dataset, path=old.path, size_bytes=7, sha256=old.sha256, modified_ns=number, since=number
        )  # fmt: skip
    for version in (2, 3):
        told = checked(agent(), "read_file", dataset="docs", path="a.md", version=version)
        assert (told["version"], told["record_id"]) == (version, str(first.record_id))
        assert told["fetched_at"].startswith(first.created_at.isoformat()[:19])


@pytest.mark.parametrize("length", [1, 2, 3, 5, 65_536])
def test_parts_end_where_a_character_does(length: int) -> None:
    content = "a€😀ü".encode() * 7
    hold({"a.txt": content})
    assert read_all(agent(), "a.txt", length=length)[0] == content


def test_what_is_no_text_comes_in_base64() -> None:
    contents = {
        "cut.txt": "ü".encode()[:1], "mixed.txt": b"abc\xff", "binary.bin": bytes(range(256)) * 1_000, "empty.txt": b"",
    }  # fmt: skip
    hold(contents)
    for path, content in contents.items():
        assert read_all(agent(), path)[0] == content
    assert checked(agent(), "read_file", dataset="docs", path="cut.txt")["text"] is None
    assert checked(agent(), "read_file", dataset="docs", path="empty.txt")["text"] == ""
    within = checked(agent(), "read_file", dataset="docs", path="mixed.txt", length=3)
    assert (within["text"], within["next_offset"]) == ("abc", 3)


def test_text_that_json_makes_long_comes_in_more_parts() -> None:
    content = ('\0\1"\\' * 20_000).encode()
    hold({"a.txt": content})
    whole, count = read_all(agent(), "a.txt")
    assert whole == content
    assert count > 2


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"path": "none.txt"}, "not_found"),
        ({"path": "../a.txt"}, "not_found"),
        ({"path": "/etc/passwd"}, "not_found"),
        ({"path": "a.txt\0"}, "not_found"),
        ({"path": ""}, "invalid_arguments"),
        ({"path": "a.txt", "offset": 6}, "invalid_arguments"),
        ({"path": "a.txt", "offset": -1}, "invalid_arguments"),
        ({"path": "a.txt", "length": 0}, "invalid_arguments"),
        ({"path": "a.txt", "length": 65_537}, "invalid_arguments"),
        ({"path": "a.txt", "version": 9}, "not_found"),
        ({"path": "a.txt", "version": 0}, "invalid_arguments"),
        ({"path": "a.txt", "dataset": "none"}, "not_found"),
    ],
)
def test_what_cannot_be_read_is_told(given: dict[str, Any], code: str) -> None:
    hold({"a.txt": b"words"})
    told = checked(agent(), "read_file", **({"dataset": "docs"} | given))
    assert told["error"]["code"] == code
    assert checked(agent(), "read_file", dataset="docs", path="a.txt", offset=5)["length"] == 0


def test_a_file_that_the_store_has_lost_is_unavailable() -> None:
    dataset = hold({"a.txt": b"words"})
    Entry.objects.filter(dataset=dataset).update(sha256=b"\1" * 32)
    told = checked(agent(Role.VIEWER), "read_file", dataset="docs", path="a.txt")
    assert told["error"]["code"] == "unavailable"


def test_long_lists_stop_earlier_and_say_where_to_go_on() -> None:
    """A hundred paths of 1,000 characters each are more than an answer holds."""
    hold({f"{'d' * 900}/{'ü' * 45}{n:03}.txt": b"x" for n in range(100)})
    who = agent()
    told = checked(who, "list_files", dataset="docs", limit=100)
    assert 10 < len(told["items"]) < 100
    found = told["items"]
    while told["next"]:
        told = checked(who, "list_files", dataset="docs", limit=100, cursor=told["next"])
        found += told["items"]
    assert len({one["path"] for one in found}) == len(found) == 100
