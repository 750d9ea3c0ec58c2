"""Files and manifests of datasets as resources."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from api.mcp.eras import LEGACY, MODERN
from datasets.models import Dataset, Entry, Version
from datasets.store import open_store
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from tests.agents.asking import Agent, agent
from tests.rows import make_connector, make_job, make_version, make_workspace

pytestmark = pytest.mark.django_db(transaction=True)
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
ERAS = [MODERN, LEGACY[0]]


def held(contents: dict[str, bytes], name: str = "handbook", workspace: str = "acme") -> Dataset:
    """A dataset with these files."""
    dataset = make_job(make_connector(TARGET, workspace=workspace), name=name).dataset
    make_version(dataset, contents)
    return dataset


def publish(dataset: Dataset, changed: dict[str, bytes], removed: tuple[str, ...] = ()) -> None:
    """The next version."""
    before = dataset.versions.get(is_current=True)
    number = before.number + 1
    gone = dataset.entries.filter(until=None, path__in=[*changed, *removed])
    gone.update(until=number)
    store = open_store(dataset.workspace_id)
    got = {}
    for path, content in changed.items():
        writer = store.create("test")
        writer.write(content)
        got[path] = writer.finish()
    store.commit("test", got.values())
    Entry.objects.bulk_create(
        Entry(
            dataset=dataset, path=path, size_bytes=one.size_bytes, sha256=one.sha256, since=number
        )
        for path, one in got.items()
    )
    dataset.versions.update(is_current=False)
    now = dataset.entries.filter(until=None)
    Version.objects.create(
        dataset=dataset, number=number, file_count=now.count(),
        size_bytes=sum(now.values_list("size_bytes", flat=True)),
    )  # fmt: skip


def read(who: Agent, uri: str) -> Any:
    told = who.result("resources/read", {"uri": uri})
    assert told["_meta"]["syncproject/untrusted"] is True
    (contents,) = told["contents"]
    assert contents["uri"] == uri
    return contents


def all_pages(who: Agent) -> list[list[Any]]:
    pages, cursor = [], None
    while True:
        told = who.result("resources/list", {"cursor": cursor} if cursor else {})
        pages.append(told["resources"])
        cursor = told.get("nextCursor")
        if cursor is None:
            return pages


@pytest.mark.parametrize("version", ERAS)
def test_b06_every_file_of_250_is_listed_once_and_read(version: str) -> None:
    contents = {f"folder {n % 7}/{n:03}.md": b"text %d" % n for n in range(250)}
    held(contents)
    held({"a": b"other"}, name="other")
    held({"secret": b"theirs"}, name="theirs", workspace="globex")
    who = agent(version=version)
    pages = all_pages(who)
    assert [len(page) for page in pages] == [200, 53]
    listed = [each for page in pages for each in page]
    assert len({each["uri"] for each in listed}) == 253
    assert [each["name"] for each in listed] == ["manifest", *sorted(contents), "manifest", "a"]
    for each in listed[1:251:50]:
        assert read(who, each["uri"])["text"].encode() == contents[each["name"]]


def test_a_resource_tells_its_name_size_type_and_time() -> None:
    dataset = held({"a b/c.md": b"12345", "x": b""})
    manifest, file, _ = agent().result("resources/list")["resources"]
    published = dataset.versions.get().created_at.isoformat().replace("+00:00", "Z")
    assert manifest == {
        "uri": "sync://handbook/manifest",
        "name": "manifest",
        "title": "handbook: manifest",
        "mimeType": "application/json",
        "annotations": {"lastModified": published},
    }
    assert file == {
        "uri": "sync://handbook/files/a%20b/c.md",
        "name": "a b/c.md",
        "title": "handbook: a b/c.md",
        "mimeType": "text/markdown",
        "size": 5,
        "annotations": {"lastModified": published},
    }


@pytest.mark.parametrize("version", ERAS)
def test_b06_what_is_not_there_is_answered_alike_whatever_the_reason_is(version: str) -> None:
    held({"a.md": b"x"})
    held({"b.md": b"y"}, name="theirs", workspace="globex")
    make_job(make_connector(TARGET), name="never-synced")
    who = agent(version=version)
    told = [
        who.error("resources/read", {"uri": uri})
        for uri in (
            "sync://handbook/files/missing",
            "sync://theirs/files/b.md",
            "sync://theirs/manifest",
            "sync://never-synced/manifest",
            "sync://handbook/files/../a.md",
            "sync://handbook/files/%2e%2e/a.md",
            "sync://handbook/files/./a.md",
            "sync://handbook/files/a.md?offset=2",
            "sync://handbook/versions/2/manifest",
            "file:///etc/passwd",
            "sync://handbook/files//etc/passwd",
            "not a uri",
        )
    ]
    code = -32602 if version == MODERN else -32002
    assert told == [{"code": code, "message": "Resource not found"}] * len(told)
    assert who.error("resources/read", {})["code"] == code
    assert who.error("resources/read", {"uri": 5})["code"] == code


def test_b06_a_binary_file_is_base64_and_says_where_it_came_from() -> None:
    content = bytes(range(256))
    dataset = held({"a.bin": content})
    told = read(agent(), "sync://handbook/files/a.bin")
    assert base64.b64decode(told["blob"]) == content
    assert "text" not in told
    provenance = told["_meta"]["syncproject/provenance"]
    assert provenance.pop("fetched_at").endswith("Z")
    assert provenance == {
        "dataset": "handbook",
        "version": 1,
        "record_id": None,
        "path": "a.bin",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": 256,
        "source": None,
        "untrusted": True,
    }
    assert read(agent(name="b"), f"sync://{dataset.pk}/files/a.bin")["blob"] == told["blob"]


@pytest.mark.parametrize("step", ["ü", "€", "😀"])
def test_b06_a_long_text_comes_in_parts_that_end_at_a_characters_border(step: str) -> None:
    text = "x" + step * 700_000
    held({"long.txt": text.encode()})
    who, uri, came = agent(), "sync://handbook/files/long.txt", ""
    while uri:
        told = read(who, uri)
        assert len(told["text"].encode()) <= 1 << 20
        came += told["text"]
        uri = told["_meta"].get("syncproject/next")
    assert came == text


def test_b06_parts_are_asked_for_by_offset_and_length() -> None:
    held({"a.txt": b"0123456789", "empty": b"", "bin": b"\xff" * 3_000_000})
    who = agent()
    part = read(who, "sync://handbook/files/a.txt?offset=2&length=3")
    assert part["text"] == "234"
    assert part["_meta"]["syncproject/next"] == "sync://handbook/files/a.txt?offset=5&length=3"
    assert read(who, "sync://handbook/files/a.txt?offset=10")["text"] == ""
    assert read(who, "sync://handbook/files/a.txt?length=99999999")["text"] == "0123456789"
    assert read(who, "sync://handbook/files/empty")["text"] == ""
    sizes, uri = [], "sync://handbook/files/bin"
    while uri:
        told = read(who, uri)
        sizes.append(len(base64.b64decode(told["blob"])))
        uri = told["_meta"].get("syncproject/next")
    assert sizes == [1 << 20, 1 << 20, 3_000_000 - (2 << 20)]


def test_a_damaged_file_is_told_and_no_byte_of_it() -> None:
    dataset = held({"a.txt": b"good words " * 10_000})
    entry = dataset.entries.get()
    path = open_store(dataset.workspace_id).path(bytes(entry.sha256))
    path.chmod(0o600)
    path.write_bytes(b"evil words " * 10_000)
    told = agent().ask("resources/read", {"uri": "sync://handbook/files/a.txt"})
    assert told["error"]["code"] == -32603
    assert "evil" not in json.dumps(told)


def test_versions_are_read_as_they_were() -> None:
    dataset = held({"a.txt": b"one", "b.txt": b"same"})
    publish(dataset, {"a.txt": b"two"})
    who = agent()
    assert read(who, "sync://handbook/files/a.txt")["text"] == "two"
    assert read(who, "sync://handbook/versions/1/files/a.txt")["text"] == "one"
    assert read(who, "sync://handbook/versions/2/files/a.txt")["text"] == "two"
    same = read(who, "sync://handbook/files/b.txt")["_meta"]["syncproject/provenance"]
    first = dataset.versions.get(number=1).created_at.isoformat().replace("+00:00", "Z")
    assert (same["version"], same["fetched_at"]) == (2, first)
    manifest = json.loads(read(who, "sync://handbook/versions/1/manifest")["text"])
    assert (manifest["version"], [each["path"] for each in manifest["files"]]) == (
        1,
        ["a.txt", "b.txt"],
    )


def test_a_manifest_gives_a_thousand_files_a_read() -> None:
    dataset = held({f"{n:04} ü?.txt": b"" for n in range(2_100)})
    who, uri, files = agent(), "sync://handbook/manifest", []
    counts = []
    while uri:
        told = read(who, uri)
        manifest = json.loads(told["text"])
        counts.append(len(manifest["files"]))
        files += manifest["files"]
        assert manifest["next"] == told["_meta"].get("syncproject/next")
        assert (manifest["dataset_id"], manifest["file_count"]) == (str(dataset.pk), 2_100)
        uri = manifest["next"]
    assert counts == [1_000, 1_000, 100]
    assert [each["path"] for each in files] == sorted(each["path"] for each in files)
    assert set(files[0]) == {"path", "size_bytes", "sha256", "modified_at"}


@pytest.mark.parametrize("cursor", ["x", "", 5, [], "e30", "x" * 100_000])
def test_a_cursor_that_is_none_is_refused(cursor: Any) -> None:
    assert agent().error("resources/list", {"cursor": cursor})["code"] == -32602


def test_a_cursor_is_good_in_its_own_workspace_alone() -> None:
    held({f"{n}": b"" for n in range(300)})
    cursor = agent().result("resources/list")["nextCursor"]
    other = agent(workspace=make_workspace("globex"))
    assert other.error("resources/list", {"cursor": cursor})["code"] == -32602


def test_templates_are_the_four() -> None:
    told = agent().result("resources/templates/list")["resourceTemplates"]
    assert [each["uriTemplate"] for each in told] == [
        "sync://{dataset}/manifest",
        "sync://{dataset}/files/{+path}",
        "sync://{dataset}/versions/{number}/manifest",
        "sync://{dataset}/versions/{number}/files/{+path}",
    ]


FILE = "sync://{dataset}/versions/{number}/files/{+path}"


def complete(who: Agent, name: str, value: str, uri: str = FILE, **given: str) -> Any:
    params: dict[str, Any] = {
        "ref": {"type": "ref/resource", "uri": uri},
        "argument": {"name": name, "value": value},
    }
    if given:
        params["context"] = {"arguments": given}
    return who.result("completion/complete", params)["completion"]


@pytest.mark.parametrize("version", ERAS)
def test_variables_of_templates_are_completed(version: str) -> None:
    dataset = held({"a/1.md": b"", "a/2?.md": b"", "b.md": b""})
    publish(dataset, {"a/3.md": b""}, removed=("b.md",))
    held({f"{n:03}": b"" for n in range(150)}, name="hundreds")
    held({"x": b""}, name="theirs", workspace="globex")
    who = agent(version=version)
    assert complete(who, "dataset", "h") == {
        "values": ["handbook", "hundreds"],
        "total": 2,
        "hasMore": False,
    }
    assert complete(who, "dataset", "theirs")["values"] == []
    assert complete(who, "number", "", dataset="handbook")["values"] == ["2", "1"]
    assert complete(who, "path", "a/", dataset="handbook")["values"] == [
        "a/1.md",
        "a/2%3F.md",
        "a/3.md",
    ]
    assert complete(who, "path", "a/2%3F", dataset="handbook")["values"] == ["a/2%3F.md"]
    assert complete(who, "path", "b", dataset="handbook", number="1")["values"] == ["b.md"]
    assert complete(who, "path", "", dataset="handbook", number="x")["values"] == []
    assert complete(who, "path", "")["values"] == []
    assert complete(who, "path", "", dataset="theirs")["values"] == []
    many = complete(who, "path", "", dataset="hundreds")
    assert (len(many["values"]), many["hasMore"]) == (100, True)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": ""}},
        {"ref": {"type": "ref/resource", "uri": "sync://x"}, "argument": {"name": "dataset", "value": ""}},
        {"ref": {"type": "ref/resource", "uri": FILE}, "argument": {"name": "nothing", "value": ""}},
        {"ref": {"type": "ref/resource", "uri": FILE}, "argument": {"name": "path", "value": 5}},
        {"ref": {"type": "ref/resource", "uri": FILE}, "argument": []},
        {"ref": {"type": "ref/resource", "uri": FILE}, "argument": {"name": "path", "value": ""}, "context": 5},
    ],
)  # fmt: skip
def test_a_completion_of_nothing_is_refused(params: Any) -> None:
    assert agent().error("completion/complete", params)["code"] == -32602
