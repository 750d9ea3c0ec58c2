"""A dry run leaves no trace where syncs are told of: it has published nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from connectors.models import Connector
from syncjobs.configuration.jobs import follow_auto_sync
from syncjobs.core.states import State
from syncjobs.models import EventTotal, SyncJob, SyncRecord
from syncjobs.queries.figures import read_figures
from syncjobs.queries.job_facts import load_facts
from syncjobs.queries.overview import due_auto_syncs, find_latest, look_over
from syncjobs.upkeep.counting import count_events
from tests.api.asking import asker
from tests.hosts.sshd import Sshd
from tests.rows import fill, fresh, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {f"{n:02}.txt": b"x" for n in range(20)})
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    for name in ("03.txt", "04.txt"):
        (source / name).unlink()
    return job


def _told(job: SyncJob) -> dict[str, Any]:
    """Whatever tells how the latest sync was."""
    count_events()
    connector = fresh(job.get_connector())
    job = fresh(job)
    facts = load_facts([job])[job.pk]
    glance = look_over(job.workspace, most=10)
    with connection.cursor() as cursor:
        figures = read_figures(cursor)
    listed = asker().get("sync-records").json()["items"]
    return {
        "job": (job.last_run_at, job.last_error, job.failures_in_a_row, job.paused_at),
        "connector": (
            connector.last_sync_at,
            connector.last_sync_status,
            connector.last_sync_error,
        ),
        "facts": (facts.latest and facts.latest.pk, facts.average_s),
        "glance": [record.pk for record in glance.ended],
        "latest": find_latest(job.workspace),
        "prometheus": [one.connectors for one in figures],
        "totals": list(
            EventTotal.objects.order_by("event").values("event", "records", "durations")
        ),
        "listed": [record["id"] for record in listed],
    }


def test_item_01_a_dry_run_is_told_of_nowhere_as_a_sync(job: SyncJob) -> None:
    before = _told(job)
    plan = run(job, dry_run=True)
    assert (plan.state, plan.files_removed) == (State.SUCCEEDED, 2)
    assert _told(job) == before
    assert (SyncRecord.objects.count(), SyncRecord.plans.get()) == (1, plan)


def test_item_01_a_dry_run_that_fails_says_nothing_of_its_job_and_connector(job: SyncJob) -> None:
    before = _told(job)
    connector = job.get_connector()
    connector.options |= {"root": "/nothing-is-here"}
    connector.save()
    plan = run(job, dry_run=True)
    assert (plan.state, plan.error_code) == (State.FAILED, "root_missing")
    assert _told(job) == before


def test_item_01_an_overdue_connector_stays_due_after_a_dry_run(job: SyncJob) -> None:
    connector = job.get_connector()
    connector.auto_sync, connector.sync_interval_s = True, 60
    connector.save()
    follow_auto_sync(connector)
    own = connector.sync_jobs.get(is_default=True)
    long_ago = timezone.now() - timedelta(hours=1)
    Connector.objects.filter(pk=connector.pk).update(last_sync_at=long_ago)
    assert run(own, dry_run=True).state == State.SUCCEEDED
    assert list(due_auto_syncs()) == [own]


def test_item_01_plans_are_listed_apart_and_found_by_their_id(job: SyncJob) -> None:
    plan = run(job, dry_run=True)
    answer = asker().get("sync-records?dry_run=true").json()
    assert [record["id"] for record in answer["items"]] == [str(plan.pk)]
    assert asker().get(f"sync-records/{plan.pk}").json()["dry_run"] is True
