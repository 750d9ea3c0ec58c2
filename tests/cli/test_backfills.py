"""`backfill` and `fires`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from connectors.models import Connector
from syncjobs.claims.claiming import claim
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import Event, State
from syncjobs.models import Backfill, SyncJob, SyncRecord, Trigger
from syncjobs.queries.backfills import UnreadableMoment, load_progress, read_moment
from syncjobs.queueing.backfilling import advance_backfills
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.rows import make_job, make_workspace

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 7, 12, tzinfo=UTC)


@pytest.fixture
def job() -> SyncJob:
    connector = Connector.objects.create(
        workspace=make_workspace(), name="host", kind="sftp", host="h.example.com", port=22
    )
    schedule = {"frequency": "daily", "time": "02:00", "timezone": "Europe/Berlin"}
    return make_job(connector, name="files", schedule=schedule)


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    call_command(*words)
    return capsys.readouterr().out


def _end_each(monkeypatch: pytest.MonkeyPatch, events: list[Event]) -> None:
    """While the command waits, its looks at the row are where beat and a worker do their part."""
    looks = Backfill.refresh_from_db
    coming = iter(events)

    def work_then_look(self: Backfill, *args: Any, **kwargs: Any) -> None:
        advance_backfills()
        for record in SyncRecord.objects.filter(backfill=self, state=State.QUEUED):
            held = claim(record.pk, "worker")
            assert held is not None
            move(record.pk, next(coming), token=held.token)
        advance_backfills()
        looks(self, *args, **kwargs)

    monkeypatch.setattr(Backfill, "refresh_from_db", work_then_look)
    monkeypatch.setattr("cli.watching.LOOK_S", 0)


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([Event.SUCCEEDED] * 3, 0),
        ([Event.SUCCEEDED, Event.FAILED, Event.PARTLY_SUCCEEDED], 1),
        ([Event.SUCCEEDED, Event.DEADLINE_PASSED, Event.SUCCEEDED], 1),
        ([Event.SUCCEEDED, Event.STOPPED, Event.PARTLY_SUCCEEDED], 3),
        ([Event.SUCCEEDED, Event.SUCCEEDED, Event.PARTLY_SUCCEEDED], 4),
        ([Event.SUCCEEDED, Event.GUARD_STOPPED], 5),
    ],
)
def test_the_exit_status_of_a_wait_is_the_worst_state(
    job: SyncJob,
    events: list[Event],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _end_each(monkeypatch, events)
    words = ["files", "--since", "2026-11-01", "--until", "2026-11-03", "--wait", "--json"]
    with pytest.raises(SystemExit) as caught:
        call_command("backfill", *words)
    assert caught.value.code == status
    told = json.loads(capsys.readouterr().out)
    assert (told["fires"], told["since"]) == (3, "2026-11-01T01:00:00+00:00")
    assert sum(told["records"].values()) == len(events)
    assert told["ended"] == (3 if status != 5 else 1)


def test_a_backfill_is_listed_and_cancelled(
    job: SyncJob, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "files has no backfills" in _said(capsys, "backfill", "files")
    words = ("files", "--since", "2026-11-01", "--until", "2026-11-07", "--parallel", "2", "--full")
    out = _said(capsys, "backfill", *words)
    backfill = Backfill.objects.get()
    assert f"files: backfill active ({backfill.pk})" in out
    assert "2026-11-01 01:00:00 to 2026-11-07 01:00:00 UTC" in out
    assert (backfill.parallel, backfill.mode, backfill.requested_by) == (2, "full", "command line")
    advance_backfills()
    assert "0 of 7 fires: 2 queued" in _said(capsys, "backfill", "files")
    out = _said(capsys, "backfill", "--cancel", str(backfill.pk))
    assert "backfill cancelled" in out
    assert "2 of 7 fires: 2 cancelled" in out
    with pytest.raises(CommandError, match="is cancelled already"):
        call_command("backfill", "--cancel", str(backfill.pk))
    listed = json.loads(_said(capsys, "backfill", "files", "--json"))
    assert [row["state"] for row in listed] == ["cancelled"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fils", "--since", "2026-11-01"], "no sync job 'fils'; there are: files"),
        (["files", "--since", "yesterday"], "'yesterday' is no time; write it such as"),
        (["files", "--since", "9999-12-31", "--until", "9999-12-31"], "is no time"),
        (["files", "--since", "2026-11-02", "--until", "2026-11-01"], "before its beginning"),
        (["files", "--since", "2026-11-01T03:00", "--until", "2026-11-01T04:00"], "no fire"),
        (["files", "--since", "2026-11-01", "--parallel", "0"], "--parallel is from 1 to 100"),
        (["files", "--until", "2026-11-01"], "--since"),
        ([], "name a job"),
        (["--cancel", "00000000-0000-0000-0000-000000000000"], "no backfill"),
    ],
)
def test_what_cannot_be_meant_is_said(job: SyncJob, words: list[str], says: str) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("backfill", *words)
    assert says in str(caught.value)
    assert not Backfill.objects.exists()


def test_a_job_without_fires_of_its_own_has_none_to_repeat(job: SyncJob) -> None:
    job.schedule = {}
    save_job(job)
    with pytest.raises(CommandError, match="by hand has no fires"):
        call_command("backfill", "files", "--since", "2026-11-01")


@pytest.mark.parametrize(
    ("text", "ends", "moment"),
    [
        ("2026-11-01", False, "2026-10-31T23:00:00+00:00"),
        ("2026-11-01", True, "2026-11-01T22:59:59.999999+00:00"),
        ("2026-11-07", True, NOW.isoformat()),  # as much of today as has passed
        ("2026-11-08", True, "2026-11-08T22:59:59.999999+00:00"),
        ("2026-11-01 22:00", True, "2026-11-01T21:00:00+00:00"),
        ("2026-11-01T22:00Z", False, "2026-11-01T22:00:00+00:00"),
    ],
)
def test_moments_are_on_the_clock_of_the_schedule(text: str, ends: bool, moment: str) -> None:
    read = read_moment(text, "Europe/Berlin", NOW, ends=ends)
    assert read == datetime.fromisoformat(moment)
    with pytest.raises(UnreadableMoment):
        read_moment(text + "x", "Europe/Berlin", NOW, ends=ends)


def test_a_fire_that_has_its_record_already_counts_as_ended(job: SyncJob) -> None:
    backfill = Backfill.objects.create(
        workspace=job.workspace, job=job, since=NOW, until=NOW, fires=4, queued=3
    )
    fields = {"workspace": job.workspace, "connector": job.connector, "trigger": Trigger.BACKFILL}
    SyncRecord.objects.create(job=job, backfill=backfill, scheduled_for=NOW, **fields)
    progress = load_progress([backfill])[0]
    assert (progress.ended, progress.percentage) == (2, 50)


def test_fires_tells_words_rules_and_moments(
    job: SyncJob, capsys: pytest.CaptureFixture[str]
) -> None:
    job.misfire = "skip"
    job.windows = [{"from": "10:00", "to": "11:00"}]
    save_job(job)
    lines = _said(capsys, "fires", "files", "--count", "3").splitlines()
    assert lines[:3] == [
        "files: daily at 02:00 (Europe/Berlin)",
        "  missed fires are skipped",
        "  only daily 10:00 to 11:00 (UTC)",
    ]
    assert len(lines) == 6
    assert "02:00:00 Europe/Berlin  waits for its window" in lines[3]
    told = json.loads(_said(capsys, "fires", "files", "--json"))
    assert len(told["fires"]) == 5
    assert told["rules"][0] == "missed fires are skipped"
    assert job.next_run_at is not None
    assert datetime.fromisoformat(told["fires"][0]) == job.next_run_at
    with pytest.raises(CommandError, match="--count is from 1"):
        call_command("fires", "files", "--count", "0")


def test_fires_says_why_there_are_none(job: SyncJob, capsys: pytest.CaptureFixture[str]) -> None:
    SyncJob.objects.update(paused_at=timezone.now(), paused_reason="5 failures in a row")
    assert "paused: 5 failures in a row" in _said(capsys, "fires", "files")
    SyncJob.objects.update(enabled=False)
    assert "disabled" in _said(capsys, "fires", "files")
    SyncJob.objects.update(enabled=True, paused_at=None, schedule={}, next_run_at=None)
    assert "no fire is planned" in _said(capsys, "fires", "files")


def test_sync_of_a_job_that_does_not_overlap_names_what_is_at_work(job: SyncJob) -> None:
    job.overlap = "skip"
    save_job(job)
    record = enqueue(job, trigger=Trigger.MANUAL)
    claim(record.pk, "worker")
    SyncRecord.objects.update(
        percentage=25, stage="processing_files", current_file_index=5, total_files=20
    )
    with pytest.raises(CommandError) as caught:
        call_command("sync", "files")
    for words in ("running (25 %)", "file 5 of 20", str(record.pk)):
        assert words in str(caught.value)
    assert SyncRecord.objects.count() == 1
