"""What records do opens and closes alerts of their jobs, each told once."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from alerts.models import Alert, AlertRule
from alerts.watching.watch import watch_state
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.records.asking import cancel, release
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


@pytest.fixture
def held(job: SyncJob, source: Path) -> SyncRecord:
    """Of a source that has lost most of its files."""
    fill(source, {f"{n}.txt": b"x" for n in range(30)})
    run(job)
    for n in range(20):
        (source / f"{n}.txt").unlink()
    record = run(job)
    assert record.state == "held"
    return record


def test_a_held_record_is_told_until_a_person_has_decided(
    job: SyncJob, source: Path, held: SyncRecord
) -> None:
    rule = make_rule(job.workspace, "held")
    AlertRule.objects.update(created_at=held.queued_at)
    assert watch_told() == [("nightly", "opened")]
    alert = find_alert(rule)
    assert (alert.record_id, alert.detail) == (held.pk, held.error)
    assert release(held.pk, by="a person")
    assert watch_told() == [("nightly", "opened"), ("nightly", "recovered")]


def test_the_newest_held_record_is_the_decision(job: SyncJob, held: SyncRecord) -> None:
    rule = make_rule(job.workspace, "held")
    AlertRule.objects.update(created_at=held.queued_at)
    newest = run(job)
    assert newest.state == "held"
    assert watch_told() == [("nightly", "opened")]
    assert (find_alert(rule).record_id, find_alert(rule).occurrences) == (newest.pk, 2)
    cancel(held.pk, by="a person")
    assert watch_told() == [("nightly", "opened")]
    cancel(newest.pk, by="a person")
    assert watch_told() == [("nightly", "opened"), ("nightly", "recovered")]


def test_a_later_record_that_publishes_takes_the_place_of_a_held_one(
    job: SyncJob, source: Path, held: SyncRecord
) -> None:
    make_rule(job.workspace, "held")
    AlertRule.objects.update(created_at=held.queued_at)
    watch_told()
    fill(source, {f"{n}.txt": b"x" for n in range(30)})
    assert run(job).state == "succeeded"
    assert watch_told() == [("nightly", "opened"), ("nightly", "recovered")]


def silence(rule: AlertRule, *, for_s: float) -> None:
    Alert.objects.filter(rule=rule).update(silenced_until=Now() + timedelta(seconds=for_s))


def test_a_silenced_alert_is_told_once_when_it_still_fires_at_the_end(
    job: SyncJob, source: Path
) -> None:
    rule = make_rule(job.workspace, "failure")
    fail(job, source)
    watch_told()
    silence(rule, for_s=600)
    fail(job, source)
    assert watch_told() == [("nightly", "opened")]
    silence(rule, for_s=0)
    assert watch_told() == [("nightly", "opened"), ("nightly", "still_firing")]
    assert watch_told() == [("nightly", "opened"), ("nightly", "still_firing")]
    run(job)
    assert watch_told()[2:] == [("nightly", "recovered")]


def test_what_recovers_while_it_is_silenced_is_not_told(job: SyncJob, source: Path) -> None:
    rule = make_rule(job.workspace, "failure")
    fail(job, source)
    watch_told()
    silence(rule, for_s=600)
    run(job)
    watch_told()
    silence(rule, for_s=0)
    assert watch_told() == [("nightly", "opened")]
    assert find_alert(rule).silenced_until is None


def test_a_job_that_fails_and_succeeds_in_turn_flaps_once_and_settles_once(
    job: SyncJob, source: Path
) -> None:
    rule = make_rule(job.workspace, "failure")
    for _ in range(3):
        fail(job, source)
        run(job)
    told = ["opened", "recovered", "opened", "flapping"]
    assert [tell for _, tell in watch_told()] == told
    assert find_alert(rule).flapping
    alert = find_alert(rule)
    Alert.objects.update(changes=[change - timedelta(minutes=11) for change in alert.changes])
    assert [tell for _, tell in watch_told()] == [*told, "settled"]
    assert not find_alert(rule).flapping
    fail(job, source)
    assert [tell for _, tell in watch_told()] == [*told, "settled", "opened"]


def test_a_job_that_is_deleted_is_told_as_recovered(job: SyncJob, source: Path) -> None:
    make_rule(job.workspace, "failure")
    fail(job, source)
    watch_told()
    job.delete()
    watch_state()
    assert watch_told() == [("nightly", "opened"), ("nightly", "recovered")]
