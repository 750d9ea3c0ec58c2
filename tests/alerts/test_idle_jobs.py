"""A job of which nothing runs any more is told, also where the one that would tell it stood still."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F
from django.db.models.functions import Now

from alerts.models import AlertRule, IdleWatch
from alerts.watching.watch import tidy_alerts, watch_state
from connectors.models import Connector, ConnectorStatus
from syncjobs.attempt.execution import execute
from syncjobs.configuration.jobs import save_job
from syncjobs.core.watching import Level
from syncjobs.leases.heart import Heart
from syncjobs.models import Pulse, SyncJob, SyncRecord
from syncjobs.queueing.dispatching import dispatch_due
from syncjobs.records.rescheduling import resume
from syncjobs.upkeep.health import look_for
from tests.alerts.rows import find_alert, make_channel, make_rule, watch_told
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = {"every_s": 3600}


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {"a.txt": b"x"})
    job = make_job(make_connector(sshd.target(source)), name="nightly", schedule=HOUR)
    make_channel(job.workspace)
    AlertRule.objects.all().delete()
    return job


def told() -> list[tuple[str, str]]:
    """After one turn of the watch."""
    tidy_alerts()
    watch_state()
    return watch_told()


def pass_time(seconds: float) -> None:
    """All that was, was so much earlier."""
    span = timedelta(seconds=seconds)
    IdleWatch.objects.update(idle_from=F("idle_from") - span, look_at=F("look_at") - span)
    SyncJob.objects.update(
        created_at=F("created_at") - span,
        updated_at=F("updated_at") - span,
        last_run_at=F("last_run_at") - span,
        next_run_at=F("next_run_at") - span,
    )
    SyncRecord.objects.update(
        queued_at=F("queued_at") - span,
        started_at=F("started_at") - span,
        finished_at=F("finished_at") - span,
    )


def test_a_job_that_runs_is_no_matter(job: SyncJob) -> None:
    make_rule(job.workspace, "nothing_ran")
    for _ in range(3):
        run(job)
        assert told() == []
        pass_time(6000)
        assert told() == []
    assert IdleWatch.objects.count() == 1


def test_a_job_of_which_nothing_runs_is_told_and_its_return(job: SyncJob) -> None:
    rule = make_rule(job.workspace, "nothing_ran")
    run(job)
    told()
    pass_time(7000)
    assert told() == []
    pass_time(300)
    assert told() == [("nightly", "opened")]
    alert = find_alert(rule)
    assert alert.detail.startswith("nothing has run since ")
    assert alert.detail.endswith(" UTC; it is due every 3600 s")
    pass_time(6000)
    assert told() == [("nightly", "opened")]
    run(job)
    pass_time(11)  # until it is looked at again
    assert told() == [("nightly", "opened"), ("nightly", "recovered")]


def test_c11_what_stood_still_is_told_when_beat_is_back(job: SyncJob) -> None:
    """Nobody looked for hours. Meanwhile `/health` says that beat stands still; then beat serves the job before
    anybody looks, and it is told all the same."""
    make_rule(job.workspace, "nothing_ran")
    run(job)
    assert told() == []
    Pulse.objects.create(part="beat", at=Now())
    pass_time(10_000)
    Pulse.objects.update(at=Now() - timedelta(seconds=10_000))
    assert [(part.word, part.level) for part in look_for("scheduler")] == [("late", Level.DOWN)]
    dispatch_due(10)
    execute(SyncRecord.objects.get(state="queued").pk, Heart("test"))
    assert told() == [("nightly", "opened"), ("nightly", "recovered")]


def test_paused_and_disabled_jobs_do_not_count(job: SyncJob) -> None:
    rule = make_rule(job.workspace, "nothing_ran")
    run(job)
    told()
    SyncJob.objects.update(paused_at=Now())
    told()
    pass_time(10_000)
    assert told() == []
    resume(SyncJob.objects.all())
    assert told() == []  # it counts from now on
    pass_time(7000)
    assert told() == []
    pass_time(300)
    assert told() == [("nightly", "opened")]
    job.enabled = False
    save_job(job)
    assert told() == [("nightly", "opened")]
    assert not find_alert(rule).firing


def test_jobs_of_a_paused_connector_do_not_count(job: SyncJob) -> None:
    make_rule(job.workspace, "nothing_ran")
    told()
    Connector.objects.update(status=ConnectorStatus.PAUSED)
    told()
    pass_time(10_000)
    assert told() == []


def test_a_job_without_a_schedule_does_not_count(job: SyncJob) -> None:
    make_rule(job.workspace, "nothing_ran", params={"after_s": 60})
    job.schedule = {}
    save_job(job)
    told()
    pass_time(10_000)
    assert told() == []


def test_a_job_that_follows_others_counts_where_the_rule_says_a_time(job: SyncJob) -> None:
    parent = make_job(job.get_connector(), name="parent")
    job.schedule = {"after": [parent.name]}
    save_job(job)
    rule = make_rule(job.workspace, "nothing_ran")
    told()
    pass_time(10_000)
    assert told() == []
    AlertRule.objects.filter(pk=rule.pk).update(params={"after_s": 60})
    told()
    pass_time(61)
    assert told() == [("nightly", "opened")]


def test_another_schedule_counts_from_when_it_was_given(job: SyncJob) -> None:
    make_rule(job.workspace, "nothing_ran")
    job.schedule = {"every_s": 864_000}
    save_job(job)
    told()
    pass_time(80_000)
    assert told() == []
    job.schedule = HOUR
    save_job(job)
    assert told() == []
    pass_time(7300)
    assert told() == [("nightly", "opened")]


def test_a_new_rule_does_not_count_from_before_it_was_there(job: SyncJob) -> None:
    pass_time(10_000)
    rule = make_rule(job.workspace, "nothing_ran")
    assert told() == [("nightly", "opened")]
    assert find_alert(rule).opened_at == rule.created_at
