"""A record that succeeds and does much less or more than usual is suspect. It is published all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.models import AlertRule
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from tests.alerts.rows import make_channel, make_rule, watch_told
from tests.hosts.sshd import Sshd
from tests.rows import digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    """With five successes of three files each."""
    job = make_job(make_connector(sshd.target(source)), name="exports")
    for day in range(5):
        add(source, f"day{day}", 3)
        assert run(job).verdict == "ok"
    return job


def add(source: Path, name: str, count: int) -> None:
    fill(source, {f"{name}-{n}.txt": f"{name} {n}".encode() * 100 for n in range(count)})


def test_a_success_that_brings_nothing_is_suspect_where_files_are_usual(job: SyncJob) -> None:
    record = run(job)
    assert (record.state, record.verdict) == ("succeeded", "suspect")
    assert record.warning.startswith("unusual for this job: 0 files, where 3 is usual")
    event = record.events.get(event="succeeded")
    assert event.data["suspect"] == record.warning


def test_a_success_that_brings_far_more_is_suspect_and_published(
    job: SyncJob, source: Path
) -> None:
    add(source, "flood", 10)
    record = run(job)
    assert (record.state, record.verdict, record.files_added) == ("succeeded", "suspect", 10)
    assert len(digests_of(job.dataset)) == 25


def test_a_usual_success_is_not_suspect(job: SyncJob, source: Path) -> None:
    add(source, "another", 4)
    record = run(job)
    assert (record.verdict, record.warning) == ("ok", "")


def test_a_full_sync_and_a_dry_run_are_not_compared_with_usual_ones(job: SyncJob) -> None:
    assert run(job, mode=SyncMode.FULL).verdict == "ok"
    assert run(job, dry_run=True).verdict == "dry_run"
    assert SyncRecord.objects.filter(verdict="suspect").count() == 0


def test_a_suspect_record_opens_an_alert_and_a_usual_one_closes_it(
    job: SyncJob, source: Path
) -> None:
    AlertRule.objects.all().delete()
    make_channel(job.workspace)
    rule = make_rule(job.workspace, "suspect")
    record = run(job)
    assert watch_told() == [("exports", "opened")]
    alert = rule.alerts.get()
    assert (alert.record_id, alert.detail) == (record.pk, record.warning)
    add(source, "another", 3)
    run(job)
    assert watch_told() == [("exports", "opened"), ("exports", "recovered")]
