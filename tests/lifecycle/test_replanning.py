"""Newer zone data move what was planned by older ones; nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from connectors.models import Connector
from syncjobs.configuration import replanning
from syncjobs.configuration.replanning import draw_near, replan
from syncjobs.models import Pulse, SyncJob
from tests.rows import make_job, make_workspace
from timing.schedules import draw_offset, due_after, parse_schedule

pytestmark = pytest.mark.django_db(transaction=True)

NIGHTLY: dict[str, object] = {"cron": "0 2 * * *", "timezone": "Europe/Berlin"}


@pytest.fixture
def connector() -> Connector:
    workspace = make_workspace()
    return Connector.objects.create(
        workspace=workspace, name="host", kind="sftp", host="127.0.0.1", port=1
    )


def plan_otherwise(job: SyncJob, by: timedelta = timedelta(hours=1)) -> datetime:
    """As older zone data may have had it."""
    assert job.next_run_at is not None
    planned = job.next_run_at + by
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=planned)
    return planned


def due(job: SyncJob) -> datetime | None:
    return SyncJob.objects.values_list("next_run_at", flat=True).get(pk=job.pk)


def test_zone_changes_recompute_the_next_fire_and_never_back_fire(connector: Connector) -> None:
    jobs = [make_job(connector, schedule=NIGHTLY, jitter_s=600) for _ in range(3)]
    expected = [job.next_run_at for job in jobs]
    plan_otherwise(jobs[0])
    plan_otherwise(jobs[1], timedelta(days=30))
    assert replan() == 2
    assert [due(job) for job in jobs] == expected
    assert all(at is not None and at > timezone.now() for at in map(due, jobs))


def test_the_same_and_older_zone_data_change_nothing(connector: Connector) -> None:
    job = make_job(connector, schedule=NIGHTLY)
    assert replan("2026b") == 0
    planned = plan_otherwise(job)
    assert (replan("2026b"), replan("2026a"), due(job)) == (0, 0, planned)
    assert replan("2026c") == 1
    assert Pulse.objects.get(part="zones").holder == "2026c"


def test_what_no_zone_moves_is_left_alone(connector: Connector) -> None:
    plain = [
        make_job(connector, schedule=schedule)
        for schedule in ({"every_s": 3600}, {"cron": "0 2 * * *"}, NIGHTLY, NIGHTLY, NIGHTLY)
    ]
    planned: list[datetime | None] = [plan_otherwise(job) for job in plain[:2]]
    already_due = timezone.now() - timedelta(seconds=5)
    SyncJob.objects.filter(pk=plain[2].pk).update(next_run_at=already_due)
    SyncJob.objects.filter(pk=plain[3].pk).update(next_run_at=None)  # disabled, or paused
    unreadable = datetime.now(UTC) + timedelta(days=1)
    SyncJob.objects.filter(pk=plain[4].pk).update(
        schedule=NIGHTLY | {"timezone": "Mars/Olympus"}, next_run_at=unreadable
    )
    assert replan() == 0
    assert [due(job) for job in plain] == [*planned, already_due, None, unreadable]


def test_a_crash_between_batches_leaves_the_rest_to_the_next_call(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replanning, "BATCH", 2)
    jobs = [make_job(connector, schedule=NIGHTLY) for _ in range(5)]
    for job in jobs:
        plan_otherwise(job)

    def crash() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replan(on_batch=crash)
    assert not Pulse.objects.filter(part="zones").exists()
    assert replan() == 3
    next_fire = parse_schedule(NIGHTLY).next_fire(timezone.now())
    assert {due(job) for job in jobs} == {next_fire}


WRONG = timedelta(days=400)
EVERY: dict[str, object] = {"every_s": 900}


@pytest.mark.parametrize(
    "schedule",
    [
        EVERY,
        {"every_s": 900, "counted_from": "end"},
        NIGHTLY,
        {"frequency": "weekly", "time": "02:00", "weekday": "sunday"},
        {"cron": "*/5 * * * *"},
    ],
)
def test_a_fire_that_a_wrong_clock_has_put_off_is_planned_again(
    connector: Connector, schedule: dict[str, object]
) -> None:
    job = make_job(connector, schedule=schedule, jitter_s=60)
    right = job.next_run_at
    assert right is not None
    # What the dispatcher planned while the clock was 400 days ahead.
    ahead = timezone.now() + WRONG
    offset = draw_offset(job.pk, 60)
    planned = due_after(parse_schedule(schedule), ahead, ahead, offset) or ahead
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=planned)
    now = timezone.now()
    assert draw_near(now) == 1
    found = due(job)
    assert found is not None
    if "every_s" in schedule:
        assert now <= found < now + timedelta(seconds=900)
        assert (planned - found) % timedelta(seconds=900) == timedelta(0)  # on its grid
    else:
        assert found == right
    assert draw_near(now) == 0


def test_what_is_planned_as_its_schedule_says_stays(connector: Connector) -> None:
    schedules: list[dict[str, object]] = [
        EVERY,
        {"every_s": 86_400 * 300},
        NIGHTLY,
        {"cron": "0 0 29 2 *"},  # in years
        {},
    ]
    jobs = [make_job(connector, schedule=each, jitter_s=600) for each in schedules]
    now = timezone.now()
    SyncJob.objects.filter(pk=jobs[1].pk).update(next_run_at=now + timedelta(days=300))
    before = [due(job) for job in jobs]
    assert draw_near(now) == 0
    assert [due(job) for job in jobs] == before


def test_in_batches_and_only_where_nobody_planned_it_meanwhile(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replanning, "BATCH", 2)
    jobs = [make_job(connector, schedule=NIGHTLY) for _ in range(5)]
    right = [job.next_run_at for job in jobs]
    SyncJob.objects.update(next_run_at=timezone.now() + WRONG)
    assert draw_near() == 5
    assert [due(job) for job in jobs] == right
