"""Jobs that run after others, and intervals counted from the end: from records that really end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from connectors.models import Connector
from syncjobs.claims.claiming import claim
from syncjobs.configuration.jobs import HasFollowers, delete_job, resume_job, save_job
from syncjobs.core.states import Event, State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.dispatching import Dispatched, dispatch_due
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.rows import fresh, make_job

pytestmark = pytest.mark.django_db(transaction=True)


def after(connector: Connector, *parents: str, **fields: Any) -> SyncJob:
    return make_job(connector, schedule={"after": list(parents)}, **fields)


def end(job: SyncJob, event: Event = Event.SUCCEEDED, *, dry_run: bool = False) -> SyncRecord:
    """A record of the job, claimed and ended."""
    record = SyncRecord.objects.filter(job=job, state=State.QUEUED).first() or enqueue(
        job, trigger=Trigger.MANUAL, dry_run=dry_run
    )
    held = claim(record.pk, "worker")
    assert held is not None
    move(record.pk, event, token=held.token, changes={"error_code": "", "error": ""})
    return record


def test_a_chain_runs_to_its_end(connector: Connector) -> None:
    first = make_job(connector, name="a")
    second, third = after(connector, "a", name="b"), after(connector, "b", name="c")
    for job in (first, second, third):
        assert fresh(job).next_run_at is None
        end(job)
        expected = 0 if job is third else 1
        assert dispatch_due() == Dispatched(expected, 0)
    assert [SyncRecord.objects.filter(job=job).count() for job in (first, second, third)] == [1] * 3


def test_parents_that_end_at_the_same_moment_make_one_fire(connector: Connector) -> None:
    parents = [make_job(connector, name=f"p{number}") for number in range(4)]
    follower = after(connector, *[parent.name for parent in parents])
    gate = threading.Barrier(len(parents))

    def end_together(job: SyncJob) -> None:
        try:
            record = enqueue(job, trigger=Trigger.MANUAL)
            held = claim(record.pk, "worker")
            assert held is not None
            gate.wait()
            move(record.pk, Event.SUCCEEDED, token=held.token)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(parents)) as pool:
        list(pool.map(end_together, parents))
    assert dispatch_due() == Dispatched(1, 0)
    assert dispatch_due() == Dispatched(0, 0)
    assert SyncRecord.objects.filter(job=follower).count() == 1


def test_what_ends_while_the_dispatcher_looks_is_not_missed(connector: Connector) -> None:
    first, second = make_job(connector, name="a"), make_job(connector, name="b")
    follower = after(connector, "a", "b")
    end(first)
    with ThreadPoolExecutor(1) as pool:

        def finish() -> None:
            try:
                end(second)
            finally:
                connection.close()

        asked: list[Any] = []

        def between(execute: Any, sql: str, *rest: Any) -> Any:
            """When the follower is locked, and its parents have been looked at."""
            result = execute(sql, *rest)
            if "FROM syncjobs_dependency d JOIN" in sql and not asked:
                asked.append(pool.submit(finish))
            return result

        with connection.execute_wrapper(between):
            assert dispatch_due().queued == 0
        asked[0].result()
    assert dispatch_due() == Dispatched(1, 0)
    assert SyncRecord.objects.filter(job=follower).count() == 1


def test_dry_runs_and_what_was_coalesced_or_skipped_tell_nobody(connector: Connector) -> None:
    parent = make_job(connector, name="a", schedule={"every_s": 60}, overlap="skip")
    follower = after(connector, "a")
    end(parent, dry_run=True)
    dispatch_due()
    SyncJob.objects.filter(pk=parent.pk).update(next_run_at=timezone.now())
    assert dispatch_due() == Dispatched(0, 0, 1)
    waiting = SyncRecord.objects.get(job=parent, state=State.QUEUED)
    move(waiting.pk, Event.COALESCED, reason="another serves it")
    assert fresh(follower).next_run_at is None


def test_a_follower_that_was_off_starts_anew(connector: Connector) -> None:
    parent = make_job(connector, name="a")
    follower = after(connector, "a")
    follower.enabled = False
    save_job(follower)
    end(parent)
    assert fresh(follower).next_run_at is None
    follower.enabled = True
    save_job(follower)
    assert dispatch_due() == Dispatched(0, 0)
    end(parent)
    assert dispatch_due() == Dispatched(1, 0)


@pytest.mark.parametrize("event", [Event.SUCCEEDED, Event.FAILED])
def test_an_interval_is_counted_from_the_end(connector: Connector, event: Event) -> None:
    job = make_job(connector, schedule={"every_s": 600, "counted_from": "end"})
    assert dispatch_due() == Dispatched(1, 0)
    assert fresh(job).next_run_at is None
    record = end(job, event)
    record.refresh_from_db()
    assert record.finished_at is not None
    planned = fresh(job).next_run_at
    assert planned is not None
    assert abs(planned - record.finished_at - timedelta(seconds=600)) < timedelta(seconds=5)


def test_an_unknown_parent_is_refused_with_the_nearest_name(connector: Connector) -> None:
    make_job(connector, name="extract")
    with pytest.raises(ValidationError, match="did you mean extract"):
        after(connector, "extrakt")
    assert not SyncJob.objects.exclude(name="extract").exists()


def test_nobody_runs_after_itself(connector: Connector) -> None:
    first = make_job(connector, name="a")
    after(connector, "a", name="b")
    after(connector, "b", name="c")
    first.schedule = {"after": ["c"]}
    with pytest.raises(ValidationError, match="after c, which runs after b, which runs after a"):
        save_job(first)
    assert fresh(first).schedule == {}
    with pytest.raises(ValidationError, match="would run after itself"):
        after(connector, "self", name="self")


def test_two_who_save_at_once_make_no_cycle(connector: Connector) -> None:
    jobs = {name: make_job(connector, name=name) for name in ("a", "b")}
    gate = threading.Barrier(2)

    def follow(pair: tuple[str, str]) -> str:
        name, parent = pair
        try:
            jobs[name].schedule = {"after": [parent]}
            gate.wait()
            save_job(jobs[name])
        except ValidationError as exc:
            return str(exc)
        else:
            return ""
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(follow, [("a", "b"), ("b", "a")]))
    assert sorted(map(bool, told)) == [False, True]


def test_a_renamed_parent_is_renamed_in_its_followers(connector: Connector) -> None:
    parent = make_job(connector, name="a")
    make_job(connector, name="x")
    follower = after(connector, "x", "a")
    parent.name = "z"
    save_job(parent)
    assert fresh(follower).schedule == {"after": ["x", "z"]}
    end(parent)
    end(SyncJob.objects.get(name="x"))
    assert dispatch_due() == Dispatched(1, 0)


def test_a_job_that_others_run_after_stays(connector: Connector) -> None:
    parent = make_job(connector, name="a")
    follower = after(connector, "a", name="b")
    with pytest.raises(HasFollowers, match="a cannot be deleted, because b runs after it"):
        delete_job(parent)
    delete_job(follower)
    delete_job(parent)
    assert not SyncJob.objects.exists()


def test_a_job_that_no_longer_follows_hears_nothing(connector: Connector) -> None:
    parent = make_job(connector, name="a")
    follower = after(connector, "a")
    follower.schedule = {"cron": "0 0 1 1 *"}
    save_job(follower)
    planned = follower.next_run_at
    end(parent)
    assert fresh(follower).next_run_at == planned


def test_a_pause_clears_the_next_fire_and_resuming_plans_it_anew(connector: Connector) -> None:
    job = make_job(connector, schedule={"cron": "0 0 1 1 *"}, pause_after_failures=1)
    planned = job.next_run_at
    record = enqueue(job, trigger=Trigger.MANUAL)
    held = claim(record.pk, "worker")
    assert held is not None
    failed = {"error_code": "auth_refused", "error": "wrong password"}
    move(record.pk, Event.FAILED, token=held.token, changes=failed)
    assert fresh(job).paused_at is not None
    assert job.next_run_at is None
    job.include = ["*.csv"]
    save_job(job)
    assert fresh(job).next_run_at is None
    assert resume_job(job)
    assert fresh(job).next_run_at == planned


def test_a_paused_job_whose_manual_run_succeeds_is_planned_again(connector: Connector) -> None:
    job = make_job(connector, schedule={"cron": "0 0 1 1 *"})
    planned = job.next_run_at
    SyncJob.objects.filter(pk=job.pk).update(paused_at=timezone.now(), next_run_at=None)
    end(job)
    assert (fresh(job).paused_at, job.next_run_at) == (None, planned)
