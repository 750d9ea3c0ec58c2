"""Two beats, and none: each fire is served once, or what serves it says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from connectors.models import Connector
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.models import Backfill, SyncJob, SyncRecord
from syncjobs.queueing.dispatching import BATCH
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start
from tests.rows import fill, make_connector, make_job
from tests.scale.jobs import make_many_jobs
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def test_q08_p9_two_beats_serve_each_fire_once(start: Start, sshd: Sshd, source: Path) -> None:
    fill(source, {"a.txt": b"x"})
    connector = make_connector(sshd.target(source))
    jobs = [make_job(connector, schedule={"every_s": 2}) for _ in range(5)]
    start("worker")
    start("beat")
    start("beat")
    until(
        lambda: SyncRecord.objects.filter(state=State.SUCCEEDED).count() >= 4 * len(jobs),
        "the fires were not served",
        within_s=60,
    )
    fires = list(SyncRecord.objects.values_list("job_id", "scheduled_for"))
    assert len(fires) == len(set(fires))


def test_q08_p9_what_was_due_while_no_beat_ran_is_served_once_and_told(
    start: Start, sshd: Sshd, source: Path
) -> None:
    """Ten minutes without a beat: one record serves the oldest fire and names the others."""
    fill(source, {"a.txt": b"x"})
    job = make_job(make_connector(sshd.target(source)), schedule={"every_s": 120})
    began = timezone.now()
    oldest = began - timedelta(seconds=600)
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=oldest)
    start("worker")
    start("beat")
    start("beat")
    record = until(
        lambda: SyncRecord.objects.filter(job=job, state=State.SUCCEEDED).first(),
        "the missed fires were not served",
    )
    assert record is not None
    job.refresh_from_db()
    assert (job.records.count(), record.scheduled_for) == (1, oldest)
    (told,) = (event.data for event in record.events.filter(event="coalesced"))
    assert (told["missed"], told["first"]) == (5, (oldest + timedelta(seconds=120)).isoformat())
    # Between what was told and what comes next there is no fire that nobody speaks of.
    assert job.next_run_at == datetime.fromisoformat(told["last"]) + timedelta(seconds=120)
    assert job.next_run_at > began


def test_q08_after_ten_minutes_without_a_beat_each_policy_is_obeyed(
    start: Start, sshd: Sshd, source: Path
) -> None:
    """Two beats and a worker: of each fire there is one record, or one that tells why there is none."""
    fill(source, {"a.txt": b"x"})
    connector = make_connector(sshd.target(source))
    policies: dict[str, dict[str, Any]] = {
        "once": {"misfire": "run_once"},
        "skip": {"misfire": "skip"},
        "three": {"misfire": "catch_up", "catch_up_max": 3},
        "late": {"misfire": "catch_up", "catch_up_max": 100, "max_lateness_s": 300},
    }
    every = timedelta(seconds=120)
    jobs = {
        name: make_job(connector, name=name, schedule={"every_s": 120}, **fields)
        for name, fields in policies.items()
    }
    SyncJob.objects.update(next_run_at=timezone.now() + timedelta(days=1))
    start("worker")
    start("beat")
    start("beat")
    oldest = timezone.now() - timedelta(
        seconds=602
    )  # the latest fire is in time, the next two minutes away
    fires = [oldest + every * number for number in range(6)]
    SyncJob.objects.update(next_run_at=oldest)
    until(
        lambda: (
            not SyncJob.objects.filter(next_run_at__lt=timezone.now()).exists()
            and not Backfill.objects.filter(state="active").exists()
            and not SyncRecord.objects.exclude(state__in=["succeeded", "cancelled"]).exists()
        ),
        "the missed fires were not served",
        within_s=90,
    )

    def told(name: str) -> list[tuple[str, datetime | None]]:
        records = jobs[name].records.order_by("scheduled_for")
        return [
            (record.verdict if record.state == State.CANCELLED else "served", record.scheduled_for)
            for record in records
        ]

    assert told("once") == [("served", fires[0])]
    assert told("skip") == [("skipped.misfire", fires[0]), ("served", fires[5])]
    assert told("three") == [
        ("skipped.misfire", fires[0]),
        *[("served", fire) for fire in fires[3:]],
    ]
    assert told("late") == [("skipped.late", fires[0]), *[("served", fire) for fire in fires[3:]]]
    counts = {
        record.job.name: event.data["count"]
        for record in SyncRecord.objects.filter(verdict__startswith="skipped.").select_related(
            "job"
        )
        for event in record.events.filter(event="skipped")
    }
    assert counts == {"skip": 5, "three": 3, "late": 3}


def test_q09_an_edit_is_obeyed_at_the_next_tick(start: Start) -> None:
    """Among thousands of jobs: what is made, edited, switched on and off is seen with no restart."""
    jobs = make_many_jobs(2_000, fields=lambda _: {"schedule": {"cron": "0 0 1 1 *"}})
    SyncJob.objects.update(next_run_at=timezone.now() + timedelta(days=30))
    beat = start("beat")

    def records(job: SyncJob) -> int:
        return SyncRecord.objects.filter(job=job).count()

    edited, switched, other, last = jobs[:4]
    edited.schedule = {"every_s": 3600}
    save_job(edited)
    until(lambda: records(edited) == 1, "the edit was not seen")
    made = make_job(Connector.objects.get(), name="new", schedule={"every_s": 3600})
    until(lambda: records(made) == 1, "the new job was not seen")
    switched.enabled = False
    save_job(switched)
    # It would be due now, were it on; a later edit shows that ticks have passed.
    SyncJob.objects.filter(pk=switched.pk).update(next_run_at=timezone.now())
    other.schedule = {"every_s": 3600}
    save_job(other)
    until(lambda: records(other) == 1, "the second edit was not seen")
    assert records(switched) == 0
    switched.schedule, switched.enabled = {"every_s": 3600}, True
    save_job(switched)
    until(lambda: records(switched) == 1, "the toggle was not seen")
    assert records(last) == 0
    assert beat.popen.poll() is None


def test_a_backlog_is_worked_off_by_two_beats_with_workspaces_in_turn(start: Start) -> None:
    """More than a batch due at once, with a job of another workspace: served among the first, and each once."""
    count = BATCH + 500
    make_many_jobs(count, prefix="crowd", fields=lambda _: {"schedule": {"every_s": 86_400}})
    (lone,) = make_many_jobs(1, prefix="lone", fields=lambda _: {"schedule": {"every_s": 86_400}})
    SyncJob.objects.update(next_run_at=timezone.now() + timedelta(days=1))
    beats = [start("beat"), start("beat")]
    until(lambda: all("beat: Starting" in beat.log.read_text() for beat in beats), "no beats")
    SyncJob.objects.update(next_run_at=timezone.now())
    until(
        lambda: SyncRecord.objects.count() == count + 1,
        "the backlog was not served",
        within_s=180,
    )
    jobs = SyncRecord.objects.values_list("job_id", flat=True)
    assert len(set(jobs)) == count + 1
    before = SyncRecord.objects.filter(queued_at__lt=SyncRecord.objects.get(job=lone).queued_at)
    assert before.count() < BATCH
    until(
        lambda: SyncRecord.objects.exclude(rung_at=None).filter(job=lone).exists(),
        "nobody was told of the lone job's record",
    )
