"""Two beats, and none: each fire is served once, or what serves it says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start
from tests.rows import fill, make_connector, make_job
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
