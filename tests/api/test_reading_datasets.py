"""Jobs that read the files of a dataset: they have no connector, and run when the dataset has a new version."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from datasets.models import Dataset, DatasetKind, Version
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims.claiming import claim
from syncjobs.configuration.findings import InvalidConfiguration
from syncjobs.configuration.jobs import save_job
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.configuration.yaml_out import export_configuration
from syncjobs.core.states import Event, State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queries.explaining import explain
from syncjobs.queries.fires import describe_schedule
from syncjobs.queueing.backfilling import advance_backfills, request_backfill
from syncjobs.queueing.dispatching import Dispatched, dispatch_due
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.queueing.ringing import take_unrung
from syncjobs.records.transition import move
from syncjobs.upkeep.counting import count_events
from syncjobs.works.following import wake_readers
from tests.api.asking import asker
from tests.rows import fresh, make_connector, make_job
from workspaces.models import Role

pytestmark = pytest.mark.django_db

ENTITY = {"path": "orders/*.csv", "format": "csv"}


NOBODY = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


def make_reader(name: str = "orders", **fields: object) -> SyncJob:
    """A job that reads the dataset of the job `files`."""
    files = SyncJob.objects.filter(name="files").first() or make_job(
        make_connector(NOBODY), name="files"
    )
    job = SyncJob(
        workspace=files.workspace, source_dataset=files.dataset, name=name, entity=ENTITY, **fields
    )
    job.full_clean(exclude=["dataset"])
    save_job(job)
    return job


def publish(dataset: Dataset | None) -> None:
    """As a publication does it."""
    assert dataset is not None
    number = Version.objects.filter(dataset=dataset).count() + 1
    Version.objects.filter(dataset=dataset).update(is_current=False)
    Version.objects.create(dataset=dataset, number=number, file_count=1, size_bytes=1)
    with connection.cursor() as cursor:
        wake_readers(cursor, dataset.pk)


def dispatch() -> Dispatched:
    """A little later: within a test's transaction the database's clock stands still."""
    return dispatch_due(now=timezone.now() + timedelta(seconds=1))


def records_of(job: SyncJob) -> list[SyncRecord]:
    return list(SyncRecord.objects.filter(job=job).order_by("queued_at"))


def test_a_new_version_makes_its_readers_due_once() -> None:
    job, sleeper = make_reader(), make_reader("sleeper", enabled=False)
    timed = make_reader("timed", schedule={"cron": "0 2 1 1 *"})
    assert fresh(job).next_run_at is None
    publish(job.source_dataset)
    publish(job.source_dataset)
    assert dispatch().queued == 1
    (record,) = records_of(job)
    assert (record.trigger, record.connector_id) == (Trigger.AFTER, None)
    assert (record.source_dataset, record.address) == (job.source_dataset, "")
    told = record.events.get(event="followed").reason
    assert told == "after a new version of files"
    assert records_of(sleeper) == records_of(timed) == []
    publish(job.source_dataset)  # while one waits
    done = dispatch()
    assert (done.queued, done.coalesced) == (0, 1)
    assert len(records_of(job)) == 1


def test_a_new_reader_of_a_dataset_with_a_version_is_due_at_once() -> None:
    files = make_job(make_connector(NOBODY), name="files")
    Version.objects.create(dataset=files.dataset, number=1, file_count=1, size_bytes=1)
    job = make_reader()
    assert fresh(job).next_run_at is not None
    assert dispatch().queued == 1


def test_its_record_is_rung_for_claimed_and_finished() -> None:
    job = make_reader()
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert take_unrung() == [record.pk]
    held = claim(record.pk, "worker")
    assert held is not None
    assert fresh(record).state == State.RUNNING
    assert explain(fresh(record)).job == "orders"
    move(record.pk, Event.SUCCEEDED, token=held.token, changes={"verdict": "ok"})
    assert fresh(record).state == State.SUCCEEDED
    count_events()
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT kind FROM syncjobs_eventtotal")
        assert cursor.fetchall() == [("dataset",)]


def test_no_limit_of_a_host_or_of_another_connector_keeps_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "SYNC", dataclasses.replace(settings.SYNC, max_per_host=1))
    first, second = make_reader("one"), make_reader("two")
    full = make_connector(NOBODY)
    full.max_running = 1
    full.save()
    busy = make_job(full, name="busy")
    records = [enqueue(job, trigger=Trigger.MANUAL) for job in (busy, first, second)]
    assert {record.pk for record in records} == set(take_unrung())
    assert all(claim(record.pk, "worker") is not None for record in records)


def test_its_schedule_may_be_backfilled() -> None:
    job = make_reader(schedule={"every_s": 3600})
    now = timezone.now()
    request_backfill(job, now - timedelta(hours=3), now - timedelta(hours=1))
    assert advance_backfills() == 1
    assert SyncRecord.objects.exclude(backfill=None).get().source_dataset == job.source_dataset


def test_a_job_has_one_source_and_no_other() -> None:
    job = make_reader()
    with pytest.raises(IntegrityError), transaction.atomic():
        SyncJob.objects.filter(pk=job.pk).update(source_dataset=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        SyncJob.objects.filter(pk=job.pk).update(connector=make_connector(NOBODY))


def test_a_reader_needs_files_and_an_entity_that_says_which() -> None:
    job = make_reader()
    job.entity = None
    with pytest.raises(ValidationError, match="says which files are the table"):
        job.full_clean()
    job.entity = {"path": "a.csv", "format": "csv", "types": {"id": "bigint; DROP TABLE x"}}
    with pytest.raises(ValidationError, match="no such type"):
        job.full_clean()
    job.entity = {"table": "orders"}
    with pytest.raises(ValidationError, match="a dataset of files takes"):
        job.full_clean()
    rows = Dataset.objects.create(workspace=job.workspace, name="t", kind=DatasetKind.TABLE)
    other = SyncJob(workspace=job.workspace, source_dataset=rows, name="o", entity=ENTITY)
    with pytest.raises(ValidationError, match="holds no files"):
        save_job(other)


DOCUMENT = {
    "workspaces": [
        {
            "name": "acme",
            "connectors": [{"name": "host", "kind": "sftp", "host": "192.0.2.1", "options": {"username": "sync", "root": "/"}}],
            "sync_jobs": [
                {"name": "orders", "connector": {"dataset": "drop"}, "entity": ENTITY, "key": ["id"]},
                {"name": "drop", "connector": "host", "schedule": {"every_s": 60}},
            ],
        }
    ]
}  # fmt: skip


def test_two_lines_of_yaml_make_a_table_of_a_csv_and_come_out_again() -> None:
    apply_configuration(DOCUMENT)
    job = SyncJob.objects.get(name="orders")
    assert job.source_dataset == SyncJob.objects.get(name="drop").dataset
    assert (job.connector, job.schedule, job.dataset.kind) == (None, {}, DatasetKind.TABLE)
    assert describe_schedule(job) == "when dataset drop has a new version"
    changes = apply_configuration(DOCUMENT)
    assert {change.action for change in changes} == {"unchanged"}
    told = export_configuration([job.workspace]).document["workspaces"][0]["sync_jobs"]
    (written,) = [one for one in told if one["name"] == "orders"]
    assert written["connector"] == {"dataset": "drop"}
    apply_configuration({"workspaces": [{"name": "acme", "sync_jobs": told}]})
    assert fresh(job).source_dataset_id == job.source_dataset_id


def test_a_dataset_that_is_not_there_is_named() -> None:
    document = json.loads(json.dumps(DOCUMENT))
    document["workspaces"][0]["sync_jobs"] = [
        {"name": "orders", "connector": {"dataset": "nowhere"}, "entity": ENTITY}
    ]
    with pytest.raises(InvalidConfiguration) as caught:
        apply_configuration(document)
    assert "no dataset of files is called 'nowhere'" in str(caught.value)
    assert not SyncJob.objects.exists()


def test_every_list_of_rest_shows_it() -> None:
    job, ask = make_reader(), asker(Role.ADMIN)
    record = enqueue(job, trigger=Trigger.MANUAL)
    told = [
        *(one for one in ask.items("sync-jobs") if one["name"] == "orders"),
        *(one for one in ask.items("sync-records") if one["job"] == "orders"),
        ask.get(f"sync-jobs/{job.pk}").json(),
        ask.get(f"sync-jobs/{job.pk}/status").json(),
        ask.get(f"sync-records/{record.pk}").json(),
    ]
    assert len(told) == 5
    for one in told:
        assert (one["connector"], one["connector_id"]) == (None, None)
        assert one["source_dataset"] == "files"


def test_rest_takes_and_tells_the_dataset() -> None:
    files, ask = make_job(make_connector(NOBODY), name="files"), asker(Role.ADMIN)
    body = {"name": "orders", "connector": {"dataset": str(files.dataset_id)}, "entity": ENTITY}
    made = ask.post("sync-jobs", body)
    told = made.json()
    assert made.status_code == 201, told
    assert (told["connector"], told["source_dataset"], told["schedule"]) == (None, "files", {})
    put = ask._send("PUT", "sync-jobs/orders", told, {})
    assert (put.status_code, put.json()["source_dataset"]) == (200, "files")
    changed = ask.patch("sync-jobs/orders", {"enabled": False}).json()
    assert (changed["source_dataset"], changed["enabled"]) == ("files", False)
    refused = ask.post("sync-jobs", body | {"name": "other", "connector": {"dataset": "nowhere"}})
    assert refused.status_code == 400
    assert "nowhere" in refused.json()["errors"]["connector.dataset"][0]
    odd = {"connector": {"dataset": "files", "version": 1}}
    refused = ask.post("sync-jobs", body | {"name": "other"} | odd)
    assert (refused.status_code, "version" in refused.json()["detail"]) == (400, True)
    refused = ask.post("sync-jobs", body | {"name": "other", "cursor": "day"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["cursor"])
