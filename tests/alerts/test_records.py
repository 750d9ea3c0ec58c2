"""What records do opens and closes alerts of their jobs, each told once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from alerts.models import Alert, AlertRule
from syncjobs.models import SyncJob
from tests.alerts.rows import find_alert, make_channel, make_rule, watch_told
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {"a.txt": b"x"})
    job = make_job(make_connector(sshd.target(source)), name="nightly", tags=["night"])
    make_channel(job.workspace)
    AlertRule.objects.all().delete()
    return job


def fail(job: SyncJob, source: Path) -> str:
    shutil.rmtree(source)
    record = run(job)
    source.mkdir()
    fill(source, {"a.txt": b"x"})
    assert record.state == "failed"
    return str(record.pk)


def test_c01_a_failure_is_told_once_and_its_recovery_once(job: SyncJob, source: Path) -> None:
    rule = make_rule(job.workspace, "failure", severity="critical")
    record = fail(job, source)
    assert watch_told() == [("nightly", "opened")]
    alert = find_alert(rule)
    assert (alert.firing, alert.severity, alert.error_code) == (True, "critical", "root_missing")
    assert str(alert.record_id) == record
    assert alert.detail
    fail(job, source)
    assert watch_told() == [("nightly", "opened")]
    assert find_alert(rule).occurrences == 2
    run(job)
    run(job)
    assert watch_told() == [("nightly", "opened"), ("nightly", "recovered")]
    assert not find_alert(rule).firing


def test_a_job_that_never_failed_has_no_alert(job: SyncJob) -> None:
    make_rule(job.workspace, "failure")
    run(job)
    assert watch_told() == []
    assert not Alert.objects.exists()


def test_a_dry_run_counts_for_no_rule(job: SyncJob, source: Path) -> None:
    make_rule(job.workspace, "failure")
    shutil.rmtree(source)
    assert run(job, dry_run=True).state == "failed"
    assert watch_told() == []


def test_so_many_failures_in_a_row_open_one_alert(job: SyncJob, source: Path) -> None:
    rule = make_rule(job.workspace, "failures_in_a_row", params={"count": 3})
    fail(job, source)
    fail(job, source)
    run(job)
    fail(job, source)
    fail(job, source)
    assert watch_told() == []
    fail(job, source)
    assert watch_told() == [("nightly", "opened")]
    assert find_alert(rule).detail.startswith("3 in a row; the last: ")
    run(job)
    assert watch_told() == [("nightly", "opened"), ("nightly", "recovered")]


def test_a_rule_looks_at_the_jobs_of_its_scope(job: SyncJob, source: Path) -> None:
    connector = job.get_connector()
    other = make_job(connector, name="other")
    rules = {
        "job": make_rule(job.workspace, "failure", job=other),
        "connector": AlertRule.objects.create(
            workspace=job.workspace, name="by connector", kind="failure", connector=connector
        ),
        "tag": AlertRule.objects.create(
            workspace=job.workspace, name="by tag", kind="failure", tag="night"
        ),
    }
    fail(job, source)
    watch_told()
    found = {scope: Alert.objects.filter(rule=rule).count() for scope, rule in rules.items()}
    assert found == {"job": 0, "connector": 1, "tag": 1}


def test_what_happened_before_a_rule_was_made_is_not_its_matter(job: SyncJob, source: Path) -> None:
    fail(job, source)
    make_rule(job.workspace, "failure")
    assert watch_told() == []
    fail(job, source)
    assert watch_told() == [("nightly", "opened")]


def test_a_disabled_rule_looks_at_nothing(job: SyncJob, source: Path) -> None:
    make_rule(job.workspace, "failure", enabled=False)
    fail(job, source)
    assert watch_told() == []
