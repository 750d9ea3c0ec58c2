"""Who changes several rows locks them in one order: two who meet wait for each other, never both at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from database.sessions import open_session
from datasets.models import Dataset
from search.models import DatasetIndex, IndexGeneration
from search.vectors.generations import settle_generation
from syncjobs.claims.claiming import claim
from syncjobs.configuration.jobs import delete_job
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.queueing.starting import start_anew
from syncjobs.records.asking import cancel
from syncjobs.works.verified import note_verified
from tests.hosts.sshd import Sshd
from tests.lifecycle.test_limits import host
from tests.racing import locked_by_another, meet
from tests.rows import fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


def hold_job(job: SyncJob) -> SyncJob:
    return SyncJob.objects.select_for_update(no_key=True).get(pk=job.pk)


def test_a_job_is_deleted_while_its_record_ends() -> None:
    job = make_job(host())
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    meet(
        lambda: delete_job(job),
        hold=lambda: SyncRecord.objects.select_for_update(no_key=True).get(pk=record.pk),
        rest=lambda: SyncJob.objects.filter(pk=job.pk).update(last_error="it ended"),
    )
    assert not SyncJob.objects.exists()


def test_two_ask_for_the_same_jobs_in_other_orders() -> None:
    connector = host()
    first, last = sorted((make_job(connector) for _ in range(2)), key=lambda job: job.pk)
    started = meet(
        lambda: start_anew([last, first], by="a person"),
        hold=lambda: enqueue(first, trigger=Trigger.SCHEDULE),
        rest=lambda: enqueue(last, trigger=Trigger.SCHEDULE),
    )
    assert set(started.already_queued) == {first.pk, last.pk}


def test_a_job_is_renamed_while_its_version_is_published(sshd: Sshd, source: Path) -> None:
    """Whoever renames a job has its row, and then wants that of the dataset."""
    fill(source, {"a.txt": b"a"})
    job = make_job(make_connector(sshd.target(source)))

    def rename() -> None:
        assert job.dataset.versions.exists()
        Dataset.objects.filter(pk=job.dataset_id).update(name="another")

    record = meet(lambda: run(job), hold=lambda: hold_job(job), rest=rename)
    assert record.state == State.SUCCEEDED
    assert SyncJob.objects.exclude(last_verified_at=None).exists()


def test_a_publication_does_not_fail_for_the_note_that_all_was_looked_at() -> None:
    job = make_job(host())
    record = enqueue(job, trigger=Trigger.MANUAL)
    lock = "SELECT FROM syncjobs_syncjob WHERE id = %s FOR NO KEY UPDATE"
    with (
        open_session(statement_timeout_s=60, name="work") as session,
        locked_by_another(lock, [job.pk]),
    ):
        session.execute("SET lock_timeout = '200ms'")
        note_verified(session, record.pk)
        assert not SyncJob.objects.exclude(last_verified_at=None).exists()
    with open_session(statement_timeout_s=60, name="work") as session:
        note_verified(session, record.pk)
    assert SyncJob.objects.exclude(last_verified_at=None).exists()


def test_a_record_is_cancelled_while_its_job_is_renamed() -> None:
    """Whoever renames a job has its row, and then wants those of the jobs that run after it."""
    job = make_job(host(), schedule={"every_s": 60, "counted_from": "end"})
    follower = make_job(host(), schedule={"after": [job.name]})
    record = enqueue(job, trigger=Trigger.MANUAL)
    cancelled = meet(
        lambda: cancel(record.pk, by="a person"),
        hold=lambda: hold_job(job),
        rest=lambda: hold_job(follower),
    )
    assert cancelled


def test_search_is_set_anew_while_vectors_are_made() -> None:
    """Whoever writes vectors has the row of the generation, and then that of the index."""
    dataset = make_job(host()).dataset
    index = DatasetIndex.objects.create(
        dataset=dataset, workspace_id=dataset.workspace_id, state="catching_up"
    )
    generation = settle_generation(dataset.workspace_id)
    assert generation is not None
    search = {"languages": ["german"]}
    meet(
        lambda: apply_configuration({"workspaces": [{"name": "acme", "search": search}]}),
        hold=lambda: IndexGeneration.objects.select_for_update().get(pk=generation.pk),
        rest=lambda: DatasetIndex.objects.filter(pk=index.pk).update(pending_chunks=1),
    )
