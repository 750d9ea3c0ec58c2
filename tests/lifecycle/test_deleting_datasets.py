"""A dataset that is deleted is gone at once; its job, its records, and what others hold stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection, transaction

from datasets.fencing import Fenced, check_fence
from datasets.models import Dataset, Entry, Version
from datasets.store import open_store
from search.models import DatasetIndex, IndexedText, TextChunk
from syncjobs.configuration.dataset_deletion import (
    DatasetInUse,
    delete_dataset,
    find_use,
    measure_deletion,
)
from syncjobs.configuration.jobs import delete_job, save_job
from syncjobs.core.states import State
from syncjobs.models import CurrentTree, SyncJob, SyncRecord, Trigger
from syncjobs.queries.explaining import explain
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.upkeep.sweeping import sweep
from tests.hosts.sshd import Sshd
from tests.lifecycle.test_sweeps import is_there, make_old
from tests.rows import digests_below, digests_of, fill, fresh, make_connector, make_job, run
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {"a.txt": b"some words", "large.bin": b"large" * 20_000})
    return make_job(make_connector(sshd.target(source)), name="nightly", enabled=False)


def test_all_of_it_goes_and_job_and_records_stay(job: SyncJob, source: Path) -> None:
    first = run(job)
    fill(source, {"a.txt": b"other words"}, age_s=7200)
    run(job)
    told = measure_deletion(job.dataset)
    assert (told.versions, told.job, told.records) == (2, "nightly", 2)
    assert told.size_bytes == 100_000 + len(b"some words" + b"other words")
    assert delete_dataset(job.dataset) == told
    assert not Dataset.objects.exists()
    for rows in (Entry, DatasetIndex, IndexedText, TextChunk):
        assert not rows.objects.exists()
    assert not Version.objects.exists()
    assert SyncJob.objects.get() == job
    assert fresh(first).dataset_version == 1
    assert "The dataset was deleted on" in explain(fresh(first)).summary
    [entry] = AuditEntry.objects.filter(kind="dataset", action="deleted")
    assert (entry.object_name, entry.changes["versions"]) == ("nightly", [2, None])


def test_the_next_sync_begins_with_nothing_and_no_number_comes_twice(
    job: SyncJob, source: Path
) -> None:
    run(job)
    delete_dataset(job.dataset)
    (source / "large.bin").unlink()
    again = run(job)
    assert (again.state, again.dataset_version, again.files_added) == (State.SUCCEEDED, 2, 1)
    dataset = Dataset.objects.get()
    assert (dataset.pk, dataset.name, dataset.deleted_at) == (job.dataset_id, "nightly", None)
    assert list(dataset.versions.values_list("number", flat=True)) == [2]
    assert digests_of(dataset) == digests_below(source)


def test_content_that_another_dataset_has_stays_and_the_rest_is_swept(
    job: SyncJob, source: Path, sshd: Sshd
) -> None:
    run(job)
    other = make_job(job.get_connector(), name="other", include=["a.txt"])
    run(other)
    digests = {path: bytes.fromhex(each) for path, each in digests_of(job.dataset).items()}
    store = open_store(job.workspace_id)
    delete_dataset(job.dataset)
    make_old(store, [*digests.values()])
    assert sweep().blobs == 1
    assert (is_there(store, digests["a.txt"]), is_there(store, digests["large.bin"])) == (
        True,
        False,
    )
    assert digests_of(other.dataset) == {"a.txt": digests["a.txt"].hex()}


def test_who_worked_on_it_before_can_write_no_more(job: SyncJob) -> None:
    run(job)
    token = fresh(job.dataset).fencing_token
    delete_dataset(job.dataset)
    with pytest.raises(Fenced), transaction.atomic(), connection.cursor() as cursor:
        check_fence(cursor, {"dataset": job.dataset_id, "token": token})


def refuse(dataset: Dataset, words: str) -> None:
    use = find_use(dataset)
    assert use is not None
    assert words in str(use)
    with pytest.raises(DatasetInUse, match=words):
        delete_dataset(dataset)
    assert Dataset.objects.filter(pk=dataset.pk).exists()


def test_a_dataset_in_use_stays_and_it_says_what_to_do(job: SyncJob) -> None:
    run(job)
    job.enabled = True
    save_job(job)
    refuse(job.dataset, "switch the job off first")
    job.enabled = False
    save_job(job)
    record = enqueue(job, trigger=Trigger.MANUAL)
    refuse(job.dataset, "is queued: wait until it has ended, or cancel it")
    SyncRecord.objects.filter(pk=record.pk).delete()
    reader = SyncJob(
        workspace=job.workspace,
        source_dataset=job.dataset,
        name="reader",
        entity={"path": "a.txt", "format": "csv"},
    )
    save_job(reader)
    refuse(job.dataset, "read as rows by reader")
    delete_job(reader)
    assert find_use(job.dataset) is None


def test_a_dataset_whose_job_is_gone_leaves_no_row(job: SyncJob) -> None:
    run(job)
    dataset = job.dataset
    delete_job(job)
    assert dataset.versions.exists()
    delete_dataset(dataset)
    assert not Dataset.either.exists()
    assert not Version.either.exists()


def test_the_row_of_a_deleted_dataset_goes_with_its_job(job: SyncJob) -> None:
    run(job)
    delete_dataset(job.dataset)
    assert Dataset.either.exists()
    delete_job(job)
    assert not Dataset.either.exists()


def test_the_files_of_its_folder_stay_and_the_folder_is_not_taken_for_ours(job: SyncJob) -> None:
    run(job)
    CurrentTree.objects.create(job=job, path="here", version=1)
    SyncJob.objects.filter(pk=job.pk).update(current_tree="here")
    assert delete_dataset(job.dataset).tree == "here"
    assert not CurrentTree.objects.exists()


def test_a_crash_in_the_middle_leaves_all_of_it(
    job: SyncJob, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(job)

    def fail(*given: object) -> None:
        raise OSError("the process dies here")

    monkeypatch.setattr("syncjobs.configuration.dataset_deletion._forget_of_job", fail)
    with pytest.raises(OSError, match="dies here"):
        delete_dataset(job.dataset)
    assert digests_of(Dataset.objects.get()) == digests_below(source)
    assert IndexedText.objects.exists()
