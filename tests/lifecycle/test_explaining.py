"""What a record is asked about itself, in every state."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from connectors.models import Connector, ConnectorStatus
from syncjobs.claims.claiming import claim
from syncjobs.claims.reaping import reap
from syncjobs.core.states import Event, State
from syncjobs.models import ProcessSign, SyncJob, SyncRecord, Trigger
from syncjobs.queries.explaining import (
    AmbiguousRecord,
    Explanation,
    NoSuchRecord,
    explain,
    find_record,
)
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from syncjobs.records.transition import move
from tests.rows import make_job, make_workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job() -> SyncJob:
    connector = Connector.objects.create(
        workspace=make_workspace(), name="host", kind="sftp", host="h.example", port=22
    )
    return make_job(connector, name="files")


@pytest.fixture
def record(job: SyncJob) -> SyncRecord:
    return enqueue(job, trigger=Trigger.MANUAL)


def why(record: SyncRecord) -> Explanation:
    return explain(find_record(str(record.pk)))


def change(record: SyncRecord, **fields: Any) -> None:
    SyncRecord.objects.filter(pk=record.pk).update(**fields)


def test_a_queued_record_says_what_it_waits_for(job: SyncJob, record: SyncRecord) -> None:
    told = why(record)
    assert (told.state, told.since) == (State.QUEUED, record.queued_at)
    assert [wait.what for wait in told.waits] == ["a worker"]
    assert told.next_steps
    long_ago = Now() - timedelta(hours=2)
    ProcessSign.objects.create(name="w", slots=8, started_at=long_ago, seen_at=long_ago)
    assert "none was seen since 2" in why(record).waits[0].what
    until = Now() + timedelta(hours=1)
    change(record, not_before=until, waiting_for="its next attempt, after: went silent")
    # A pause keeps new fires from being queued, and no queued record from running.
    Connector.objects.update(status=ConnectorStatus.PAUSED)
    SyncJob.objects.update(paused_at=Now(), paused_reason="5 failures in a row")
    told = why(record)
    assert [wait.what for wait in told.waits] == ["its next attempt, after: went silent"]
    assert told.waits[0].until is not None
    assert "went silent until 2" in told.summary


def test_a_record_behind_another_of_its_job_names_it(job: SyncJob, record: SyncRecord) -> None:
    assert claim(record.pk, "worker") is not None
    change(record, deadline_s=300)
    (wait,) = why(enqueue(job, trigger=Trigger.MANUAL)).waits
    assert str(record.pk) in wait.what
    assert wait.until is not None


def test_a_running_record_shows_its_signs_of_life(record: SyncRecord) -> None:
    assert claim(record.pk, "worker") is not None
    change(record, deadline_s=300, progress_at=Now() - timedelta(seconds=50))
    told = why(record)
    assert told.movement is not None
    assert (told.movement.owner, told.movement.progress_limit_s) == ("worker", 600)
    assert told.movement.progress_s == pytest.approx(50, abs=5)
    assert told.movement.deadline_s == 300
    assert (told.movement.stuck_by, told.waits) == ("", ())
    assert "last moved 50 s ago" in told.summary or "last moved 51 s ago" in told.summary
    cancel(record.pk, by="a person")
    assert "obey a cancel" in why(record).waits[0].what


def test_a_stuck_record_says_by_which_rule_before_it_is_taken_back(record: SyncRecord) -> None:
    assert claim(record.pk, "worker") is not None
    change(record, progress_at=Now() - timedelta(seconds=700))
    told = why(record)
    assert told.movement is not None
    assert told.movement.stuck_by == "stuck.no_progress"
    assert "stuck: nothing moved" in told.summary
    reap(young_s=0)
    told = why(record)
    assert (told.state, told.verdict) == (State.QUEUED, "stuck.no_progress")
    assert told.evidence["rule"] == "stuck.no_progress"
    assert told.evidence["owner"] == "worker"
    assert told.evidence["limit_s"] == 600
    assert any("SYNC_STALL_SECONDS" in step for step in told.next_steps)
    assert (told.attempts.number, told.attempts.most) == (2, 3)
    assert [moment.event for moment in told.events] == ["claimed", "retry_scheduled"]
    assert json.loads(json.dumps(told.as_json()))["evidence"]["owner"] == "worker"


def test_held_and_failed_records_say_what_a_person_can_do(record: SyncRecord) -> None:
    held = claim(record.pk, "worker")
    assert held is not None
    move(
        record.pk,
        Event.GUARD_STOPPED,
        changes={
            "verdict": "guard.mass_removal",
            "error_code": "mass_removal",
            "error": "9 of 9 files would be removed",
            "hold": {"rule": "mass_removal", "files": 9},
        },
    )
    told = why(record)
    assert told.summary == "Held by a guard: 9 of 9 files would be removed."
    assert told.evidence == {"rule": "mass_removal", "files": 9}
    assert any("Release the record" in step for step in told.next_steps)
    move(record.pk, Event.RELEASED)
    assert claim(record.pk, "worker") is not None
    error = {"error_code": "auth_refused", "verdict": "auth_refused", "error": "not let in"}
    move(record.pk, Event.FAILED, reason="not let in (permanent)", changes=error)
    told = why(record)
    assert (told.summary, told.waits) == ("Failed: not let in.", ())
    assert any("user name and secret" in step for step in told.next_steps)


def test_a_record_is_found_by_the_beginning_of_its_id(job: SyncJob) -> None:
    def make(text: str) -> SyncRecord:
        return SyncRecord.objects.create(
            pk=uuid.UUID(text),
            workspace=job.workspace,
            job=job,
            connector=job.connector,
            trigger=Trigger.MANUAL,
            state=State.HELD,
        )

    first = make("abcd1111-0000-4000-8000-000000000000")
    second = make("abcd2222-0000-4000-8000-000000000000")
    assert find_record("abcd1") == first
    assert find_record("ABCD2222-00") == second
    assert find_record(str(second.pk)) == second
    with pytest.raises(AmbiguousRecord, match="abcd1111"):
        find_record("abcd")
    for unknown in ("abcdf", "abc", "", "%", "xyzw", "a" * 40, str(uuid.uuid4())):
        with pytest.raises(NoSuchRecord):
            find_record(unknown)
    elsewhere = make_workspace("lab").pk
    with pytest.raises(NoSuchRecord):
        find_record("abcd1", workspace_ids=[elsewhere])


def test_explain_prints_it(record: SyncRecord, capsys: pytest.CaptureFixture[str]) -> None:
    assert claim(record.pk, "worker") is not None
    change(record, lease_expires_at=Now() - timedelta(seconds=9))
    reap(young_s=0)
    call_command("explain", str(record.pk)[:8])
    said = capsys.readouterr().out
    assert "files (acme): queued since" in said
    assert "verdict      lease.expired" in said
    assert "  owner: worker" in said
    assert "what to do" in said
    assert "1 of 3 workers lost" in said
    call_command("explain", str(record.pk), "--json", "--workspace", "acme")
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], told["evidence"]["rule"]) == (str(record.pk), "lease.expired")
    with pytest.raises(CommandError, match="there is no record") as caught:
        call_command("explain", str(uuid.uuid4()))
    assert caught.value.returncode == 2
