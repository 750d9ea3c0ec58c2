"""When a job is due, in words and in moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from connectors.models import Connector
from syncjobs.configuration.jobs import save_job
from syncjobs.models import SyncJob
from syncjobs.queries.fires import (
    describe_fire,
    describe_rules,
    describe_schedule,
    exact_words,
    find_fires,
    find_opening,
    may_begin,
    plan_fires,
)
from tests.rows import make_workspace
from workspaces.models import Workspace

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _job(schedule: dict[str, Any], **fields: Any) -> SyncJob:
    """As it would be, were it stored."""
    job = SyncJob(workspace=Workspace(name="acme"), name="job", schedule=schedule, **fields)
    job._state.adding = False
    return job


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({}, "by hand"),
        ({"every_s": 900}, "every 15 min"),
        ({"every_s": 3_600}, "every hour"),
        ({"every_s": 3_601}, "every 1 h 1 s"),
        ({"every_s": 60, "counted_from": "end"}, "1 min after its last record has ended"),
        (
            {"cron": "0 2 * * 1-5", "timezone": "America/New_York"},
            "At 02:00 on Monday through Friday (America/New_York)",
        ),
        # Either day will do: Vixie's rule, which the fires follow.
        ({"cron": "0 2 1 * 1"}, "At 02:00 on the first day of month and on Monday (UTC)"),
        ({"frequency": "daily", "time": "02:00"}, "daily at 02:00 (UTC)"),
        (
            {"frequency": "weekly", "weekday": "monday", "timezone": "Europe/Berlin"},
            "weekly on Monday at 02:00 (Europe/Berlin)",
        ),
        ({"after": ["a", "b"]}, "when a, b have succeeded"),
        ({"after": ["a"], "condition": "any_finished"}, "when a has ended"),
        ({"after": list("abcdefg")}, "when a, b, c, d, 3 others have succeeded"),
        (
            {"cron": "bad"},
            "invalid: cron 'bad' has 1 field; give five: minute, hour, day of month, month, weekday"
            " (and every_s for what is due more often than each minute)",
        ),
    ],
)
def test_a_schedule_in_words(schedule: dict[str, Any], words: str) -> None:
    assert describe_schedule(_job(schedule)) == words


def test_what_is_as_usual_needs_no_words() -> None:
    assert describe_rules(_job({"every_s": 60})) == []
    assert describe_rules(_job({}, misfire="skip", jitter_s=9)) == []


def test_every_rule_has_its_words() -> None:
    job = _job(
        {"every_s": 60},
        jitter_s=3_600,
        misfire="catch_up",
        max_lateness_s=7_200,
        overlap="skip",
        windows=[{"from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"}],
    )
    job.workspace.blackouts = [
        {"since": "2026-12-24", "until": "2026-12-27", "reason": "Christmas"}
    ]
    offset = exact_words(int(job.offset.total_seconds()))
    assert describe_rules(job) == [
        f"{offset} after each of these times (its share of the jitter of 1 h)",
        "missed fires are made up for one by one, the latest 5 at most",
        "a fire that is over 2 h late is skipped",
        "skipped while a record of it is queued or running",
        "only daily 22:00 to 06:00 (Europe/Berlin)",
        "never 2026-12-24 00:00 to 2026-12-27 00:00 UTC: Christmas in this workspace",
    ]
    assert describe_rules(_job({"every_s": 60}, misfire="skip", overlap="cancel_older")) == [
        "missed fires are skipped",
        "a record of it that is queued or running is cancelled for a new one",
    ]


def test_a_new_job_does_not_know_its_share_of_the_jitter() -> None:
    job = SyncJob(workspace=Workspace(name="acme"), schedule={"every_s": 60}, jitter_s=90)
    assert describe_rules(job) == ["each up to 1 min 30 s later, always by the same"]


def test_planned_fires_begin_with_the_one_that_is_planned() -> None:
    job = _job({"every_s": 60})
    fires = plan_fires(job, NOW, NOW, 3)
    assert [fire.minute for fire in fires] == [0, 1, 2]
    assert plan_fires(_job({}), None, NOW, 5) == []
    assert plan_fires(_job({"cron": "bad"}), None, NOW, 5) == []
    # What is overdue is one fire, and then those to come.
    overdue = NOW - timedelta(days=7)
    assert plan_fires(job, overdue, NOW, 2) == [overdue, NOW + timedelta(minutes=1)]


def test_jitter_moves_every_fire() -> None:
    job = _job({"cron": "0 2 * * *", "timezone": "Europe/Berlin"}, jitter_s=600)
    plain = _job(job.schedule)
    moved = [at + job.offset for at in plan_fires(plain, None, NOW, 5)]
    assert job.offset > timedelta(0)
    assert plan_fires(job, None, NOW, 5) == moved
    assert describe_fire(plain, NOW) == "Sun 22 Nov 2026 13:00:00 Europe/Berlin"


def test_an_interval_counted_from_the_end_is_known_once() -> None:
    job = _job({"every_s": 60, "counted_from": "end"})
    assert plan_fires(job, NOW, NOW, 5) == [NOW]


def test_a_fire_outside_the_windows_waits_for_one() -> None:
    job = _job({"every_s": 60}, windows=[{"from": "22:00", "to": "06:00"}])
    assert find_opening(job, NOW) == NOW.replace(hour=22)
    assert find_opening(job, NOW.replace(hour=23)) is None
    assert may_begin(job, NOW.replace(hour=23))
    job.workspace.windows = [{"from": "01:00", "to": "02:00"}]
    assert find_opening(job, NOW) == datetime(2026, 11, 23, 1, tzinfo=UTC)
    job.workspace.windows = [{"from": "07:00", "to": "08:00"}]
    assert find_opening(job, NOW) is None
    assert not may_begin(job, NOW)


@pytest.mark.django_db
def test_a_job_that_is_off_or_paused_is_due_never() -> None:
    workspace = make_workspace()
    connector = Connector.objects.create(
        workspace=workspace, name="host", kind="sftp", host="h.example.com", port=22
    )
    job = SyncJob(workspace=workspace, connector=connector, name="job", schedule={"every_s": 60})
    save_job(job)
    fires = find_fires(job, 3)
    assert fires[0] == job.next_run_at
    assert fires[1] - fires[0] == fires[2] - fires[1] == timedelta(seconds=60)
    job.paused_at = timezone.now()
    assert find_fires(job) == []
    job.paused_at, job.enabled = None, False
    assert find_fires(job) == []
    job.enabled, job.next_run_at = True, None
    assert find_fires(job) == []
