"""Files of a dataset, looked at as tables by REST before a job is made that reads them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from datasets.models import Dataset, Entry
from datasets.store import open_store
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.models import SyncJob, SyncRecord
from tests.api.asking import Asker, asker
from tests.rows import make_connector, make_job, make_version
from tests.tables.writing import make_dataset
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)

CSV = b"id,day\n1,2026-01-01\n2,2026-01-02\n"
FILES = {
    "orders/a.csv": CSV,
    "orders/b.csv": b"id,day\n3,\n",
    "events.jsonl": b'{"id": 1, "tags": ["x"]}\n',
    "odd[1].csv": b"n\n7\n",
    "data.bin": b"x;y\n1;2\n",
    "empty.csv": b"",
}


@pytest.fixture
def operator() -> Asker:
    return asker(Role.OPERATOR)


@pytest.fixture
def drop() -> Dataset:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    job = make_job(make_connector(target), name="drop")
    make_version(job.dataset, FILES)
    return job.dataset


def path_of(dataset: Dataset, name: str) -> str:
    return f"datasets/{dataset.pk}/entities/{quote(name, safe='')}/preview"


def test_files_are_listed_as_what_a_job_would_name(operator: Asker, drop: Dataset) -> None:
    told = {item["name"]: item for item in operator.items(f"datasets/{drop.name}/entities")}
    assert [*told] == ["empty.csv", "events.jsonl", "odd[1].csv", "orders/a.csv", "orders/b.csv"]
    orders = told["orders/a.csv"]
    assert (orders["kind"], orders["entity"]) == (
        "file",
        {"path": "orders/a.csv", "format": "csv"},
    )
    assert [(one["name"], one["type"]) for one in orders["columns"]] == [
        ("id", "bigint"),
        ("day", "date"),
    ]
    assert (orders["key"], orders["key_from"], orders["cursors"]) == ([], "none", [])
    assert told["empty.csv"]["columns"] == []


def test_files_are_listed_by_format_prefix_and_page(operator: Asker, drop: Dataset) -> None:
    path = f"datasets/{drop.pk}/entities"
    whole = [item["name"] for item in operator.items(path)]
    assert [item["name"] for item in operator.items(path, limit=1)] == whole
    assert [item["name"] for item in operator.items(path, format="jsonl")] == ["events.jsonl"]
    assert len(operator.items(path, prefix="orders/")) == 2
    for query in ({"format": "doc"}, {"limit": 0}, {"prefix": "a\0"}):
        assert operator.get(path, query).status_code == 400, query


def test_the_first_rows_of_a_file_are_shown_as_text(operator: Asker, drop: Dataset) -> None:
    told = operator.get(path_of(drop, "orders/a.csv")).json()
    assert told["items"] == [
        {"id": "1", "day": "2026-01-01"},
        {"id": "2", "day": "2026-01-02"},
    ]
    assert told["complete"]
    short = operator.get(path_of(drop, "orders/a.csv"), {"limit": 1}).json()
    assert (len(short["items"]), short["complete"]) == (1, False)
    assert operator.get(path_of(drop, "odd[1].csv")).json()["items"] == [{"n": "7"}]
    assert operator.get(path_of(drop, "data.bin")).status_code == 404
    named = operator.get(path_of(drop, "data.bin"), {"format": "csv"})
    assert named.json()["items"] == [{"x": "1", "y": "2"}]


def test_what_a_job_could_say_of_files_is_previewed(operator: Asker, drop: Dataset) -> None:
    path = f"datasets/{drop.pk}/preview"
    told = operator.post(path, {"entity": {"path": "orders/*.csv", "format": "csv"}})
    assert [row["id"] for row in told.json()["items"]] == ["1", "2", "3"], told.content
    missing: dict[str, Any] = {"path": "none/*.csv", "format": "csv"}
    assert operator.post(path, {"entity": missing}).status_code == 404
    for entity, field in [
        ({"path": "a.csv", "format": "doc"}, "entity.format"),
        ({"table": "orders"}, "entity"),
        ({"path": "a.csv", "format": "csv", "sheet": "a"}, "entity.sheet"),
    ]:
        refused = operator.post(path, {"entity": entity})
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [field]), entity


def test_a_file_that_is_no_table_is_told_with_its_code(operator: Asker, drop: Dataset) -> None:
    answer = operator.get(path_of(drop, "empty.csv"))
    assert (answer.status_code, answer.json()["code"]) == (502, "protocol")


def test_tables_and_datasets_without_a_version_are_no_files(operator: Asker, drop: Dataset) -> None:
    table = make_dataset("orders", drop.workspace.name)
    assert operator.get(f"datasets/{table.pk}/entities").status_code == 409
    target = Target("192.0.2.2", 22, SftpOptions(username="sync"), SftpSecret())
    new = make_job(make_connector(target), name="new").dataset
    assert operator.get(f"datasets/{new.pk}/entities").status_code == 404


def test_nothing_of_a_look_at_files_is_stored(operator: Asker, drop: Dataset) -> None:
    operator.get(path_of(drop, "orders/a.csv"))
    assert SyncJob.objects.count() == 1
    assert not SyncRecord.objects.exists()


def test_a_file_that_the_store_has_lost_is_told(operator: Asker) -> None:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    lost = make_job(make_connector(target), name="lost").dataset
    make_version(lost, {"large.csv": b"id\n" + b"1\n" * 1_500_000})
    entry = Entry.objects.get(dataset=lost, path="large.csv")
    open_store(lost.workspace_id).path(bytes(entry.sha256)).unlink()
    for path in (f"datasets/{lost.pk}/entities", path_of(lost, "large.csv")):
        assert operator.get(path).status_code == 503, path
