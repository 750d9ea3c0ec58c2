"""What is kept, by REST: the plan, versions that went, and the deletion of a dataset."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from django.db import connection

from datasets.expiring import expire_versions
from datasets.models import Dataset, Entry, Version
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.configuration.jobs import save_job
from syncjobs.models import SyncJob, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.api.asking import Asker, asker
from tests.rows import make_connector, make_job, make_version
from tests.tables.writing import make_dataset, make_table, publish
from workspaces.models import Role, Workspace

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


@pytest.fixture
def job() -> SyncJob:
    return make_job(make_connector(NOWHERE), name="nightly", enabled=False)


def hold(job: SyncJob, count: int) -> Dataset:
    """So many versions: each has one file, of 10 bytes that no other has."""
    make_version(job.dataset, {"a.txt": b"version 001"})
    for number in range(2, count + 1):
        job.dataset.entries.filter(until=None).update(until=number)
        Entry.objects.create(
            dataset=job.dataset, path="a.txt", size_bytes=10, sha256=bytes([number]) * 32, since=number
        )  # fmt: skip
        job.dataset.versions.update(is_current=False)
        Version.objects.create(dataset=job.dataset, number=number, file_count=1, size_bytes=10)
    return job.dataset


def expire(dataset: Dataset, oldest: int) -> None:
    with connection.cursor() as cursor:
        expire_versions(cursor, dataset.pk, oldest)


def test_the_plan_says_what_goes_and_what_that_frees(admin: Asker, job: SyncJob) -> None:
    hold(job, 5)
    told = admin.get("datasets/nightly/retention").json()
    assert (told["rule_of"], told["removed_versions"], told["oldest_kept"]) == (None, 0, 1)
    admin.patch("settings", {"keep_versions": 3})
    assert admin.get("datasets/nightly/retention").json() == {
        "dataset": "nightly",
        "dataset_id": str(job.dataset_id),
        "keep_versions": 3,
        "keep_days": None,
        "keep_bytes": None,
        "rule_of": "workspace",
        "kept_versions": 5,
        "oldest_kept": 3,
        "removed_versions": 2,
        "first_removed": 1,
        "last_removed": 2,
        "frees_bytes": 21,
        "frees_contents": 2,
        "frees_rows": None,
        "held_back": None,
    }
    changed = admin.patch("sync-jobs/nightly", {"keep_versions": 4}).json()
    assert (changed["keep_versions"], changed["keep_days"]) == (4, None)
    told = admin.get("datasets/nightly/retention").json()
    assert (told["rule_of"], told["removed_versions"]) == ("job", 1)
    admin.patch("sync-jobs/nightly", {"keep_versions": 0})
    assert admin.get("datasets/nightly/retention").json()["removed_versions"] == 0


@pytest.mark.parametrize(
    "wrong", [{"keep_versions": 0}, {"keep_days": 0}, {"keep_days": 36_501}, {"keep_bytes": -1}]
)
def test_a_rule_that_is_none_is_refused(wrong: dict[str, int], admin: Asker) -> None:
    answer = admin.patch("settings", wrong)
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert set(answer.json()["errors"]) == set(wrong)


def test_a_version_that_went_is_gone_and_one_that_never_was_is_not_there(
    admin: Asker, job: SyncJob
) -> None:
    expire(hold(job, 4), 3)
    assert [each["number"] for each in admin.items("datasets/nightly/versions")] == [4, 3]
    ways: list[tuple[str, dict[str, Any]]] = [
        ("datasets/nightly/versions/{}/entries", {}),
        ("datasets/nightly/versions/{}/archive", {}),
        ("datasets/nightly/files/a.txt?version={}", {}),
        ("datasets/nightly/diff?from={}&to=4", {}),
    ]
    for path, query in ways:
        gone = admin.get(path.format(2), query)
        assert gone.status_code == HTTPStatus.GONE, path
        assert "Version 2 of dataset nightly was removed on" in gone.json()["detail"]
        assert admin.get(path.format(9), query).status_code == HTTPStatus.NOT_FOUND
    back = admin.post("datasets/nightly/rollback", {"version": 2})
    assert back.status_code == HTTPStatus.GONE
    assert admin.post("datasets/nightly/rollback", {"version": 9}).status_code == 404


def test_rows_of_a_version_that_went_are_gone_and_so_is_what_the_oldest_changed(
    admin: Asker,
) -> None:
    dataset = make_dataset()
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    for number in range(4):
        publish(orders, {("1",): {"id": "1", "qty": str(number)}})
    expire(dataset, 3)
    for path in ("rows?version=2", "schema?version=2", "versions/2/changes", "versions/3/changes"):
        answer = admin.get(f"datasets/shop/{path}")
        assert answer.status_code == HTTPStatus.GONE, path
    assert admin.get("datasets/shop/versions/4/changes").json()["items"][0]["change"] == "changed"
    assert admin.get("datasets/shop/rows?version=3").json()["items"] == [{"id": "1", "qty": "2"}]


def test_a_dataset_is_deleted_and_nobody_finds_it(admin: Asker, job: SyncJob) -> None:
    hold(job, 3)
    told = admin.delete("datasets/nightly")
    assert told.status_code == HTTPStatus.OK
    assert told.json() == {
        "id": str(job.dataset_id),
        "name": "nightly",
        "versions": 3,
        "size_bytes": 31,
        "row_count": 0,
        "tables": [],
        "tables_left": [],
        "job": "nightly",
        "records": 0,
        "tree_left": None,
    }
    for called in ("nightly", str(job.dataset_id)):
        for path in ("", "/versions", "/files/a.txt", "/retention", "/search?q=x", "/index"):
            assert admin.get(f"datasets/{called}{path}").status_code == 404, path
        assert admin.delete(f"datasets/{called}").status_code == 404
    assert admin.items("datasets") == []
    assert admin.get("sync-jobs/nightly").json()["enabled"] is False
    trail = admin.items("audit")
    assert ("dataset", "deleted", "nightly") in {
        (entry["kind"], entry["action"], entry["object_name"]) for entry in trail
    }


def test_a_dataset_in_use_answers_409_with_what_to_do(admin: Asker, job: SyncJob) -> None:
    hold(job, 2)
    record = enqueue(job, trigger=Trigger.MANUAL)
    answer = admin.delete("datasets/nightly")
    assert answer.status_code == HTTPStatus.CONFLICT
    assert str(record.pk) in answer.json()["detail"]
    job.enabled = True
    save_job(job)
    answer = admin.delete("datasets/nightly")
    assert answer.status_code == HTTPStatus.CONFLICT
    assert "switch the job off first" in answer.json()["detail"]
    assert admin.get("datasets/nightly").status_code == 200


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_an_admin_deletes(role: Role, job: SyncJob) -> None:
    hold(job, 2)
    assert asker(role).delete("datasets/nightly").status_code == HTTPStatus.FORBIDDEN
    assert asker(role).patch("settings", {"keep_versions": 1}).status_code == HTTPStatus.FORBIDDEN
    assert asker(role).get("datasets/nightly/retention").status_code == HTTPStatus.OK
    assert job.dataset.versions.count() == 2


def test_p12_nothing_of_another_workspace_is_told_or_removed(admin: Asker, job: SyncJob) -> None:
    other = make_job(make_connector(NOWHERE, workspace="lab"), name="theirs", enabled=False)
    hold(other, 4)
    hold(job, 4)
    Workspace.objects.filter(pk=other.workspace_id).update(keep_versions=2)
    assert admin.get("datasets/theirs/retention").status_code == 404
    assert admin.delete(f"datasets/{other.dataset_id}").status_code == 404
    assert admin.get("datasets/nightly/retention").json()["removed_versions"] == 0
    assert admin.delete("datasets/nightly").status_code == 200
    assert other.dataset.versions.count() == 4
