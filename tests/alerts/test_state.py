"""What is wrong by how things stand opens an alert, and what is right again closes it."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from alerts.models import Alert, AlertRule, EndedCount
from alerts.watching.watch import tidy_alerts, watch_state
from connectors.models import Connector, ConnectorStatus, FarEndWatch
from connectors.reachability import note_failure, note_success
from datasets.store import ensure_store
from events.models import SyncEvent
from outbox.models import DeadLetter, Stream
from search.models import DatasetIndex, IndexState
from syncjobs.claims.claiming import claim
from syncjobs.claims.presence import Presence
from syncjobs.core.states import Event
from syncjobs.models import ProcessSign, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.alerts.rows import find_alert, make_channel, make_rule, watch_told
from tests.rows import make_job, make_workspace
from tests.waiting import until
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workspace() -> Workspace:
    made = make_workspace()
    AlertRule.objects.all().delete()
    make_channel(made)
    return made


@pytest.fixture
def connector(workspace: Workspace) -> Connector:
    """Of a host that nobody calls."""
    return Connector.objects.create(
        workspace=workspace, name="host", kind="sftp", host="127.0.0.1", port=1,
        options={"username": "x"},
    )  # fmt: skip


@pytest.fixture
def job(connector: Connector) -> SyncJob:
    return make_job(connector, name="nightly", tags=["night"])


def told() -> list[tuple[str, str]]:
    tidy_alerts()
    watch_state()
    return watch_told()


def lose(connector: Connector, *, for_s: int) -> None:
    note_failure(connector, "no route to host", sure=True)
    FarEndWatch.objects.filter(connector=connector).update(since=Now() - timedelta(seconds=for_s))


def test_a_far_end_that_stays_away_is_told_and_its_return(connector: Connector) -> None:
    rule = make_rule(connector.workspace, "offline", params={"after_s": 300})
    lose(connector, for_s=100)
    assert told() == []
    lose(connector, for_s=400)
    assert told() == [("host", "opened")]
    assert find_alert(rule).detail == "no route to host"
    assert told() == [("host", "opened")]
    assert find_alert(rule).occurrences == 1
    note_success(connector)
    assert told() == [("host", "opened"), ("host", "recovered")]


def test_a_paused_connector_is_not_looked_at(connector: Connector) -> None:
    rule = make_rule(connector.workspace, "offline", params={"after_s": 300})
    lose(connector, for_s=400)
    told()
    Connector.objects.update(status=ConnectorStatus.PAUSED)
    assert told() == [("host", "opened")]
    assert not find_alert(rule).firing


def letters(stream: Stream, count: int) -> None:
    first = DeadLetter.objects.count()
    DeadLetter.objects.bulk_create(
        DeadLetter(
            stream=stream, seq=first + n, key=f"k{first + n}", payload="{}", batch_id=uuid.uuid4()
        )
        for n in range(count)
    )


def test_dead_letters_open_an_alert_until_a_person_has_seen_to_them(connector: Connector) -> None:
    stream = Stream.objects.create(workspace=connector.workspace, name="meters", client=connector)
    rule = make_rule(connector.workspace, "dead_letters", params={"count": 3})
    letters(stream, 2)
    assert told() == []
    letters(stream, 1)
    assert told() == [("meters", "opened")]
    assert find_alert(rule).detail == "3 dead letters wait for a person to see to"
    DeadLetter.objects.update(redriven_at=Now())
    assert told() == [("meters", "opened"), ("meters", "recovered")]


def test_a_stream_that_is_deleted_is_told_as_recovered(connector: Connector) -> None:
    stream = Stream.objects.create(workspace=connector.workspace, name="meters", client=connector)
    rule = make_rule(connector.workspace, "dead_letters", params={"count": 1})
    letters(stream, 1)
    told()
    stream.delete()
    assert told() == [("meters", "opened"), ("meters", "recovered")]
    assert find_alert(rule).detail == "stream meters was deleted"


def test_an_index_that_stays_behind_is_told(job: SyncJob) -> None:
    rule = make_rule(job.workspace, "index_behind", severity="info", tag="night")
    DatasetIndex.objects.update_or_create(
        dataset=job.dataset,
        defaults={
            "workspace": job.workspace, "state": IndexState.CATCHING_UP, "pending_chunks": 7,
            "since": Now() - timedelta(seconds=600),
        },
    )  # fmt: skip
    assert told() == []
    DatasetIndex.objects.update(since=Now() - timedelta(seconds=1000))
    assert told() == [(job.dataset.name, "opened")]
    alert = find_alert(rule)
    assert (alert.subject_kind, alert.subject_id) == ("dataset", job.dataset_id)
    DatasetIndex.objects.update(state=IndexState.CURRENT, since=None)
    assert told() == [(job.dataset.name, "opened"), (job.dataset.name, "recovered")]


def start(job: SyncJob, *, expected_s: float, since_s: float) -> SyncRecord:
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    SyncRecord.objects.filter(pk=record.pk).update(expected_duration_s=expected_s)
    SyncEvent.objects.filter(record=record, event=Event.CLAIMED).update(
        at=Now() - timedelta(seconds=since_s)
    )
    return record


def test_a_record_that_takes_longer_than_usual_is_overdue(job: SyncJob) -> None:
    rule = make_rule(job.workspace, "overdue", params={"factor": 3})
    record = start(job, expected_s=100, since_s=100)
    assert told() == []
    SyncEvent.objects.update(at=Now() - timedelta(seconds=310))
    assert told() == [("nightly", "opened")]
    alert = find_alert(rule)
    assert alert.record_id == record.pk
    assert re.fullmatch(r"it has been running for 3\d\d s; usual are 100 s", alert.detail)
    move(record.pk, Event.FAILED)
    assert told() == [("nightly", "opened"), ("nightly", "recovered")]


def test_a_quick_job_is_not_overdue_within_seconds(job: SyncJob) -> None:
    make_rule(job.workspace, "overdue", params={"factor": 3})
    start(job, expected_s=0.3, since_s=0)
    assert told() == []
    SyncEvent.objects.update(at=Now() - timedelta(seconds=15))
    assert told() == [("nightly", "opened")]


def end(job: SyncJob, event: Event) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    move(record.pk, event)


def test_an_error_rate_counts_the_records_of_its_window(job: SyncJob) -> None:
    rule = make_rule(job.workspace, "error_rate", params={"percent": 50, "window_s": 600})
    for event in (Event.SUCCEEDED, Event.FAILED, Event.SUCCEEDED):
        end(job, event)
    watch_told()
    assert told() == []
    end(job, Event.FAILED)
    watch_told()
    assert told() == [("acme", "opened")]
    alert = find_alert(rule)
    assert (alert.subject_kind, alert.detail) == ("workspace", "2 of 4 records failed")
    EndedCount.objects.update(since=F("since") - timedelta(seconds=601))
    assert told() == [("acme", "opened"), ("acme", "recovered")]
    assert not EndedCount.objects.exists()


def test_an_error_rate_of_a_job_counts_that_job_alone(job: SyncJob) -> None:
    other = make_job(job.get_connector(), name="other")
    make_rule(job.workspace, "error_rate", params={"percent": 100, "window_s": 600}, job=other)
    end(job, Event.FAILED)
    watch_told()
    assert told() == []
    end(other, Event.FAILED)
    watch_told()
    assert told() == [("other", "opened")]


def test_every_workspace_hears_of_the_disk_that_is_full(workspace: Workspace) -> None:
    ensure_store()
    rule = make_rule(workspace, "disk", severity="critical", params={"free_percent": 100})
    assert told() == []  # nobody has told of the disk
    present = Presence("worker")
    present.appear()
    try:
        until(lambda: ProcessSign.objects.exclude(store_size_bytes=None).exists(), "no room told")
        assert told() == [("acme", "opened")]
        assert find_alert(rule).detail.endswith("are free on the store's disk")
        AlertRule.objects.update(params={"free_percent": 0})
        assert told() == [("acme", "opened"), ("acme", "recovered")]
        AlertRule.objects.update(params={"free_percent": 100})
        told()
    finally:
        present.leave()
    assert told()[-1] == ("acme", "opened")  # what is not known changes nothing
    assert find_alert(rule).firing


def test_a_rule_that_is_disabled_closes_its_alerts_without_a_word(connector: Connector) -> None:
    rule = make_rule(connector.workspace, "offline", params={"after_s": 300})
    lose(connector, for_s=400)
    told()
    AlertRule.objects.update(enabled=False)
    assert told() == [("host", "opened")]
    assert not find_alert(rule).firing
    AlertRule.objects.update(enabled=True)
    assert told() == [("host", "opened"), ("host", "opened")]


def test_a_rule_that_looks_elsewhere_or_at_something_else_closes_its_alerts(
    connector: Connector,
) -> None:
    other = Connector.objects.create(
        workspace=connector.workspace, name="other", kind="sftp", host="127.0.0.1", port=2
    )
    rule = make_rule(connector.workspace, "offline", params={"after_s": 300})
    lose(connector, for_s=400)
    told()
    AlertRule.objects.update(connector=other)
    assert len(told()) == 1
    assert not Alert.objects.filter(firing=True).exists()
    AlertRule.objects.update(connector=None)
    assert len(told()) == 2
    AlertRule.objects.update(kind="disk")
    assert told() == [("host", "opened")] * 2
    assert not find_alert(rule).firing
