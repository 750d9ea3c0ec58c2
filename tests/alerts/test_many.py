"""Ten thousand failures at once: the watch moves their alerts in few statements, and within its time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from alerts.models import Alert, AlertRule, IdleWatch, Notification
from alerts.watching.watch import tidy_alerts, watch_alerts, watch_state
from connectors.models import Connector
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event
from syncjobs.models import SyncJob, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.alerts.rows import make_channel, make_rule
from tests.rows import make_job, make_workspace

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 10_000


@pytest.fixture
def job() -> SyncJob:
    """One of ten thousand, each with a schedule."""
    connector = Connector.objects.create(
        workspace=make_workspace(), name="host", kind="sftp", host="127.0.0.1", port=1,
        options={"username": "x"},
    )  # fmt: skip
    job = make_job(connector, name="job 0", schedule={"every_s": 3600})
    AlertRule.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO datasets_dataset SELECT p.* FROM datasets_dataset d, generate_series(2, %s) AS n,"
            " jsonb_populate_record(NULL::datasets_dataset, to_jsonb(d) || jsonb_build_object("
            "'id', gen_random_uuid(), 'name', 'dataset ' || n)) AS p",
            [MANY],
        )
        cursor.execute(
            "INSERT INTO syncjobs_syncjob SELECT p.* FROM syncjobs_syncjob j, datasets_dataset d,"
            " jsonb_populate_record(NULL::syncjobs_syncjob, to_jsonb(j) || jsonb_build_object("
            "'id', gen_random_uuid(), 'name', 'job ' || d.name, 'dataset_id', d.id)) AS p"
            " WHERE d.id <> j.dataset_id"
        )
        cursor.execute("ANALYZE syncjobs_syncjob, datasets_dataset")
    return job


def end_one_of_each(job: SyncJob, event: Event) -> None:
    """A record of each job ends so."""
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    changes = {"error": "the far end is not there", "error_code": "unreachable"}
    move(record.pk, event, changes=changes if event is Event.FAILED else {})
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS, [record.pk, record.pk])
        cursor.execute("ANALYZE syncjobs_syncrecord, events_syncevent")


_OTHERS = """
WITH made AS (
    INSERT INTO syncjobs_syncrecord
    SELECT p.* FROM syncjobs_syncrecord r, syncjobs_syncjob j, jsonb_populate_record(NULL::syncjobs_syncrecord,
           to_jsonb(r) || jsonb_build_object('id', gen_random_uuid(), 'job_id', j.id)) AS p
     WHERE r.id = %s AND j.id <> r.job_id
 RETURNING id)
INSERT INTO events_syncevent (workspace_id, record_id, event, from_state, to_state, token, reason, data)
SELECT e.workspace_id, made.id, e.event, e.from_state, e.to_state, e.token, e.reason, e.data
  FROM events_syncevent e CROSS JOIN made WHERE e.record_id = %s AND e.from_state = 'running'
"""


@contextmanager
def counted(name: str) -> Iterator[list[str]]:
    """The statements; printed with them, how long the session's process in the database computed, which a busy machine
    makes no longer."""
    statements: list[str] = []

    def note(execute: Callable[..., Any], statement: str, *args: Any) -> Any:
        statements.append(statement)
        return execute(statement, *args)

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    began_s = read_cpu_s(pid)
    with connection.execute_wrapper(note):
        yield statements
    took_s = read_cpu_s(pid) - began_s
    sys.stdout.write(f"{name}: {len(statements)} statements, {took_s:.2f} s of the database\n")


def read_cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_ten_thousand_failures_are_told_in_few_statements(job: SyncJob) -> None:
    make_channel(job.workspace)
    make_rule(job.workspace, "failure")
    end_one_of_each(job, Event.FAILED)
    with counted("10,000 failures") as statements:
        watch_alerts()
    assert Alert.objects.filter(firing=True).count() == MANY
    assert Notification.objects.filter(tell="opened").count() == MANY
    assert len(statements) < 60
    end_one_of_each(job, Event.SUCCEEDED)
    with counted("10,000 recoveries") as statements:
        watch_alerts()
    assert not Alert.objects.filter(firing=True).exists()
    assert Notification.objects.filter(tell="recovered").count() == MANY
    assert len(statements) < 60


def test_ten_thousand_healthy_jobs_cost_a_look_nearly_nothing(job: SyncJob) -> None:
    make_rule(job.workspace, "failure")
    make_rule(job.workspace, "nothing_ran")
    make_rule(job.workspace, "overdue")
    with counted("10,000 jobs are taken up"):
        tidy_alerts()
    assert IdleWatch.objects.count() == MANY
    for _ in range(MANY // 1_000):
        with counted("1,000 jobs are looked at"):
            watch_state()
    assert not IdleWatch.objects.filter(look_at__lte=Now()).exists()
    with counted("a look") as statements:
        watch_state()
    assert len(statements) < 20
    with counted("a second turn"):
        tidy_alerts()
    end_one_of_each(job, Event.SUCCEEDED)
    with counted("10,000 successes"):
        watch_alerts()
    assert not Alert.objects.exists()
