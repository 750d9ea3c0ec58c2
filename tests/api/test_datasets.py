"""Datasets by REST: what versions hold, what differs, and the way back, on data that were really synced."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets.fencing import Fenced
from datasets.models import Dataset, Entry, Version
from syncjobs.attempt.execution import execute
from syncjobs.claims.claiming import claim
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.works.files import work
from syncjobs.works.files.publishing import publish
from tests.api.asking import Asker, asker
from tests.hosts.sshd import Sshd
from tests.rows import digests_of, fill, make_connector, make_job, make_version, run
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ops() -> Asker:
    return asker(Role.ADMIN)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    """Three versions: one file goes, one comes, one changes twice, one goes and comes again."""
    fill(source, {f"{n:02}.txt": b"%d" % n for n in range(20)} | {"b/c\udcff.txt": b"odd"})
    job = make_job(make_connector(sshd.target(source)), name="files")
    run(job)
    fill(source, {"00.txt": b"second", "new/x.txt": b"new"}, age_s=1800)
    (source / "01.txt").unlink()
    (source / "02.txt").rename(source / "../02.txt")
    run(job)
    fill(source, {"00.txt": b"third"}, age_s=900)
    (source / "../02.txt").rename(source / "02.txt")
    run(job)
    return job


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_dataset_and_its_versions(ops: Asker, job: SyncJob) -> None:
    (listed,) = ops.items("datasets")
    assert listed == ops.get("datasets/files").json() == ops.get(f"datasets/{listed['id']}").json()
    assert (listed["name"], listed["job"], listed["job_id"]) == ("files", "files", str(job.pk))
    assert (listed["kind"], listed["current_version"], listed["file_count"]) == ("files", 3, 21)
    assert listed["size_bytes"] == sum(
        entry["size_bytes"] for entry in ops.items("datasets/files/versions/3/entries")
    )
    versions = ops.items("datasets/files/versions", limit=2)
    assert [version["number"] for version in versions] == [3, 2, 1]
    assert [version["is_current"] for version in versions] == [True, False, False]
    changes = [
        (each["files_added"], each["files_changed"], each["files_removed"]) for each in versions
    ]
    assert changes == [(1, 1, 0), (1, 1, 2), (21, 0, 0)]
    record = ops.get(f"sync-records/{versions[0]['record_id']}").json()
    assert record["dataset_version"] == 3


def test_a_dataset_without_a_version_or_a_job(ops: Asker, job: SyncJob) -> None:
    Dataset.objects.create(workspace=job.workspace, name="empty")
    told = ops.get("datasets/empty").json()
    assert (told["job"], told["current_version"], told["file_count"]) == (None, None, None)
    assert ops.items("datasets/empty/versions") == []
    assert [each["name"] for each in ops.items("datasets", limit=1)] == ["empty", "files"]
    assert ops.get("datasets/none").status_code == 404
    assert ops.get("datasets/empty/versions/1/entries").status_code == 404
    assert ops.post("datasets/empty/rollback", {"version": 1}).status_code == 404


def test_entries_of_each_version_by_pages_of_any_size(ops: Asker, job: SyncJob) -> None:
    for number in (1, 2, 3):
        path = f"datasets/files/versions/{number}/entries"
        entries = ops.items(path, limit=4)
        assert {entry["path"]: entry["sha256"] for entry in entries} == digests_of(
            job.dataset, number
        )
        paths = [entry["path"] for entry in entries]
        assert paths == sorted(paths, key=str.encode)
        assert ops.items(path) == entries
    assert {entry["since"] for entry in entries} == {1, 2, 3}
    odd = ops.items("datasets/files/versions/1/entries", prefix="b/")
    assert [entry["path"] for entry in odd] == ["b/c\U000f00ff.txt"]
    assert odd[0]["modified_at"].endswith("Z")
    ones = ops.items("datasets/files/versions/1/entries", prefix="1", limit=3)
    assert [entry["path"] for entry in ones] == [f"1{n}.txt" for n in range(10)]
    assert ops.items("datasets/files/versions/1/entries", prefix="%") == []
    made_up = ops.get("datasets/files/versions/1/entries", {"cursor": "999999999"})
    assert made_up.status_code == 404


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("versions/1/entries", {"prefix": "a\0b"}),
        ("diff", {}),
        ("diff", {"from": 0}),
        ("diff", {"from": 1, "limit": 201}),
    ],
)
def test_x11_a_wrong_query_is_refused(
    ops: Asker, job: SyncJob, path: str, query: dict[str, Any]
) -> None:
    answer = ops.get(f"datasets/files/{path}", query)
    assert answer.status_code == 400
    assert answer.json()["errors"]


@pytest.mark.parametrize("number", ["0", "99999999999", "one"])
def test_a_version_that_no_dataset_can_have_is_not_there(
    ops: Asker, job: SyncJob, number: str
) -> None:
    answer = ops.get(f"datasets/files/versions/{number}/entries")
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such version.")


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_what_differs_between_two_versions(ops: Asker, job: SyncJob, limit: int) -> None:
    found = ops.items("datasets/files/diff", **{"from": 1, "limit": limit})
    assert [(each["path"], each["change"]) for each in found] == [
        ("00.txt", "changed"),
        ("01.txt", "removed"),
        ("new/x.txt", "added"),
    ]
    changed, removed, added = found
    assert (changed["before"]["sha256"], changed["after"]["sha256"]) == (sha(b"0"), sha(b"third"))
    assert (removed["after"], added["before"]) == (None, None)
    assert added["after"]["size_bytes"] == 3
    back = ops.items("datasets/files/diff", **{"from": 3, "to": 1, "limit": limit})
    assert [(each["path"], each["change"]) for each in back] == [
        ("00.txt", "changed"),
        ("01.txt", "added"),
        ("new/x.txt", "removed"),
    ]
    step = ops.items("datasets/files/diff", **{"from": 2, "to": 3, "limit": limit})
    assert [each["path"] for each in step] == ["00.txt", "02.txt"]
    assert ops.items("datasets/files/diff", **{"from": 2, "to": 2}) == []
    assert ops.get("datasets/files/diff", {"from": 9}).status_code == 404


def test_a_rollback_publishes_what_the_version_held(ops: Asker, job: SyncJob) -> None:
    before = {number: digests_of(job.dataset, number) for number in (1, 2, 3)}
    token = Dataset.objects.get().fencing_token
    answer = ops.post("datasets/files/rollback", {"version": 1})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["number"], told["is_current"], told["restores"]) == (4, True, 1)
    assert (told["restored_by"], told["record_id"]) == ("token ci", None)
    counts = (told["files_added"], told["files_changed"], told["files_removed"])
    assert counts == (1, 1, 1)
    assert digests_of(job.dataset) == before[1]
    assert {number: digests_of(job.dataset, number) for number in (1, 2, 3)} == before
    assert ops.items("datasets/files/diff", **{"from": 1, "to": 4}) == []
    assert Dataset.objects.get().fencing_token == token + 1
    first, last = Version.objects.get(number=1), Version.objects.get(number=4)
    assert (last.file_count, last.size_bytes) == (first.file_count, first.size_bytes)
    assert Entry.objects.filter(since=4).count() == 2  # what is as it was then is not written again


def test_after_a_rollback_the_next_sync_brings_what_the_source_has(
    ops: Asker, job: SyncJob, source: Path
) -> None:
    assert ops.post("datasets/files/rollback", {"version": 1}).status_code == 200
    record = run(job)
    assert record.state == State.SUCCEEDED
    assert (record.files_added, record.files_changed, record.files_removed) == (1, 1, 1)
    assert digests_of(job.dataset) == digests_of(job.dataset, 3)
    assert ops.post("datasets/files/rollback", {"version": 4}).status_code == 200
    assert digests_of(job.dataset) == digests_of(job.dataset, 1)


def test_a_rollback_to_what_is_held_does_nothing(ops: Asker, job: SyncJob) -> None:
    for number, status in ((3, 409), (9, 404), (0, 400), ("1", 400), (True, 400)):
        answer = ops.post("datasets/files/rollback", {"version": number})
        assert answer.status_code == status
    assert ops.post("datasets/files/rollback", {"version": 1, "force": 1}).status_code == 400
    assert (Version.objects.count(), Entry.objects.filter(since=4).count()) == (3, 0)


def test_who_may_roll_back(job: SyncJob) -> None:
    operator = asker(Role.OPERATOR, name="operator")
    assert operator.post("datasets/files/rollback", {"version": 1}).status_code == 403


def test_a_running_sync_is_never_published_over(ops: Asker, job: SyncJob) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker")
    answer = ops.post("datasets/files/rollback", {"version": 1})
    assert answer.status_code == 409
    assert (answer.json()["record"]["id"], Version.objects.count()) == (str(record.pk), 3)


def test_a_worker_that_was_taken_back_cannot_publish_over_a_rollback(
    ops: Asker, job: SyncJob, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record counts as ended already, while it goes on: the token alone is left to stop it."""
    fill(source, {"late.txt": b"late"})
    record = enqueue(job, trigger=Trigger.MANUAL)
    fenced = []

    def roll_back_first(*args: Any, **kwargs: Any) -> Any:
        type(record).objects.filter(pk=record.pk).update(
            state=State.QUEUED, lease_owner=None, lease_expires_at=None
        )
        assert ops.post("datasets/files/rollback", {"version": 1}).status_code == 200
        try:
            return publish(*args, **kwargs)
        except Fenced:
            fenced.append(True)
            raise

    monkeypatch.setattr(work, "publish", roll_back_first)
    execute(record.pk, Heart("test"))
    assert fenced == [True]
    assert Version.objects.get(is_current=True).restores == 1
    assert "late.txt" not in digests_of(job.dataset)


def plan_of(queries: CaptureQueriesContext, words: str) -> str:
    (sql,) = [query["sql"] for query in queries.captured_queries if words in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_a_page_costs_the_same_of_a_hundred_thousand_entries(ops: Asker, job: SyncJob) -> None:
    """100,000 files in version 1, fifty of them changed by version 2, all of which are gone by version 3."""
    dataset = Dataset.objects.create(workspace=job.workspace, name="large")
    make_version(dataset, {"00000000.txt": b"0"})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO datasets_entry (dataset_id, path, size_bytes, sha256, settled, since, until)"
            " SELECT %s, lpad(n::text, 8, '0') || '.txt', n, sha256(n::text::bytea), true, 1,"
            " CASE WHEN n %% 2000 = 0 THEN 2 END FROM generate_series(1, 100000) n",
            [dataset.pk],
        )
        cursor.execute(
            "INSERT INTO datasets_entry (dataset_id, path, size_bytes, sha256, settled, since, until)"
            " SELECT dataset_id, path, 1, sha256, true, 2, 3 FROM datasets_entry"
            " WHERE dataset_id = %s AND until = 2",
            [dataset.pk],
        )
        cursor.execute("ANALYZE datasets_entry")
    Version.objects.filter(dataset=dataset).update(is_current=False, file_count=100_001)
    for number in (2, 3):
        Version.objects.create(
            dataset=dataset,
            number=number,
            is_current=number == 3,
            file_count=100_001 if number == 2 else 99_951,
            size_bytes=1,
        )
    asked: dict[str, tuple[dict[str, Any], str, str]] = {
        "versions/3/entries": ({"prefix": "0005"}, "entry_one_current", '"datasets_entry"."path"'),
        "versions/2/entries": ({"prefix": "0005"}, "entry_history", '"datasets_entry"."path"'),
        "diff": ({"from": 1, "to": 2}, "entry_begun", "touched"),
    }
    for path, (query, index, words) in asked.items():
        with CaptureQueriesContext(connection) as queries:
            answer = ops.get(f"datasets/large/{path}", query)
        assert len(answer.json()["items"]) == 50
        assert len(queries) <= 10
        plan = plan_of(queries, words)
        assert index in plan, plan
        assert "Seq Scan" not in plan
    with CaptureQueriesContext(connection) as queries:
        assert ops.post("datasets/large/rollback", {"version": 1}).json()["files_added"] == 50
    assert len(queries) <= 22
    for path in ("datasets", "datasets/large", "datasets/large/versions"):
        with CaptureQueriesContext(connection) as queries:
            assert ops.get(path).status_code == 200
        assert len(queries) <= 6
