"""Windows and blackouts: who waits, who is parked, and that the same record goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from syncjobs.attempt.execution import execute
from syncjobs.claims.claiming import claim
from syncjobs.configuration.jobs import save_job, save_workspace
from syncjobs.core.states import Event, State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queries.explaining import explain
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.queueing.ringing import take_unrung
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http
from tests.rows import at_work, digests_of, fresh, make_connector, make_job
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

OLD = 'ETag: "1"\r\nLast-Modified: Fri, 07 Nov 2025 12:30:40 GMT'


def period(*, begins_s: float = -60, ends_s: float = 3600) -> list[dict[str, str]]:
    now = timezone.now()
    since, ends = now + timedelta(seconds=begins_s), now + timedelta(seconds=ends_s)
    return [{"since": since.isoformat(), "until": ends.isoformat(), "reason": "stock-taking"}]


@contextmanager
def serving(slow: list[str]) -> Iterator[tuple[ScriptedHttp, Counter[str]]]:
    """Six files; those in `slow` stand still in the middle."""
    asked: Counter[str] = Counter()
    names = [f"{number}.bin" for number in range(6)]

    def answer(request: Request, to: Conversation) -> None:
        body = request.target.encode() * 30_000
        if request.method == "HEAD":
            to.say(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{OLD}\r\n\r\n".encode())
            return
        asked[request.target] += 1
        if request.target == "/":
            links = "".join(f'<a href="{name}">{name}</a>' for name in names)
            to.answer(links.encode(), "Content-Type: text/html")
        elif request.target in slow:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{OLD}\r\n\r\n"
            to.say(head.encode() + body[:50_000])
            to.wait(60)
        else:
            to.answer(body, *OLD.split("\r\n"))

    with scripted_http(answer) as host:
        yield host, asked


def job_on(host: ScriptedHttp, **fields: Any) -> SyncJob:
    return make_job(make_connector(host.target(), kind="http"), **fields)


def change(job: SyncJob, **fields: Any) -> None:
    stored = SyncJob.objects.get(pk=job.pk)
    for name, value in fields.items():
        setattr(stored, name, value)
    save_job(stored)


def test_a_queued_record_waits_for_its_window_and_says_so() -> None:
    with serving([]) as (host, _):
        job = job_on(host, blackouts=period())
        record = enqueue(job, trigger=Trigger.MANUAL)
        assert claim(record.pk, "worker") is None
        assert fresh(record).state == State.QUEUED
        assert record.waiting_for.startswith("its window; until ")
        assert record.not_before is not None
        assert take_unrung() == []
        told = explain(record)
        assert told.waits[0].what == "its window"
        assert told.waits[0].until == record.not_before
        change(job, blackouts=[])
        assert take_unrung() == [record.pk]
        assert claim(record.pk, "worker") is not None


def test_a_dry_run_is_not_bound() -> None:
    with serving([]) as (host, _):
        job = job_on(host, blackouts=period())
        record = enqueue(job, trigger=Trigger.MANUAL, dry_run=True)
        assert execute(record.pk, Heart("worker")) == State.SUCCEEDED


def test_a_running_record_is_parked_and_goes_on_in_the_next_window() -> None:
    slow = ["/5.bin"]
    with serving(slow) as (host, asked):
        job = job_on(host)
        with at_work(job) as record:
            until(lambda: len(asked) == 7, "the files were not asked for")
            until(lambda: fresh(record).bytes_transferred >= 950_000, "the files did not come")
            change(job, blackouts=period())
            until(lambda: fresh(record).state == State.QUEUED, "it was not parked")
        event = record.events.order_by("-id")[0]
        assert (event.event, event.reason) == (Event.PARKED, "its window has closed")
        assert (record.attempt, record.vain_attempts, record.crash_count) == (1, 0, 0)
        assert record.waiting_for.startswith("its window; until ")
        assert record.not_before is not None
        slow.clear()
        change(job, blackouts=[])
        assert execute(record.pk, Heart("another")) == State.SUCCEEDED
        assert fresh(record).attempt == 1
        assert len(digests_of(job.dataset)) == 6
        fetched = {name: asked[f"/{name}.bin"] for name in range(6)}
        assert fetched == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 2}
        assert SyncRecord.objects.count() == 1


def test_the_end_of_a_window_parks_without_anybody_saving_anything() -> None:
    with serving(["/5.bin"]) as (host, asked):
        job = job_on(host, blackouts=period(begins_s=4))
        with at_work(job) as record:
            until(lambda: fresh(record).state == State.QUEUED, "it was not parked")
        assert record.events.order_by("-id")[0].event == Event.PARKED
        assert asked["/"] == 1


def test_a_workspaces_blackout_binds_all_its_jobs_until_it_is_lifted() -> None:
    with serving([]) as (host, _):
        job = job_on(host)
        job.workspace.blackouts = period()
        save_workspace(job.workspace)
        record = enqueue(job, trigger=Trigger.SCHEDULE)
        assert claim(record.pk, "worker") is None
        assert fresh(record).waiting_for.startswith("its window; until ")
        job.workspace.blackouts = []
        save_workspace(job.workspace)
        assert take_unrung() == [record.pk]
        assert execute(record.pk, Heart("worker")) == State.SUCCEEDED


def test_a_window_that_never_opens_is_told_and_looked_at_again() -> None:
    with serving([]) as (host, _):
        job = job_on(host, blackouts=period(ends_s=2 * 366 * 86_400))
        record = enqueue(job, trigger=Trigger.MANUAL)
        assert claim(record.pk, "worker") is None
        assert "does not open within a year" in fresh(record).waiting_for
        assert record.not_before is not None
        assert record.not_before > timezone.now()
