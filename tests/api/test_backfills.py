"""Backfills over REST: asked for, watched, stopped."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import Backfill, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.backfilling import advance_backfills
from tests.api.asking import Asker, asker
from tests.rows import make_connector, make_job
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)
DAYS = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-07T23:59:59+00:00"}


@pytest.fixture
def ops() -> Asker:
    return asker(Role.OPERATOR)


def nightly(workspace: str = "acme") -> SyncJob:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    schedule = {"cron": "30 2 * * *", "timezone": "UTC"}
    return make_job(make_connector(target, workspace=workspace), name="nightly", schedule=schedule)


def test_the_fires_of_a_range_get_a_record_each_some_at_a_time(ops: Asker) -> None:
    job = nightly()
    answer = ops.post("backfills", {"job": "nightly", "parallel": 2, "full": True, **DAYS})
    assert answer.status_code == 202
    told = answer.json()
    assert (told["job"], told["job_id"], told["state"]) == ("nightly", str(job.pk), "active")
    assert (told["since"], told["until"]) == ("2026-03-01T02:30:00Z", "2026-03-07T02:30:00Z")
    assert (told["fires"], told["parallel"], told["mode"]) == (7, 2, "full")
    assert (told["ended"], told["percentage"], told["records"]) == (0, 0, {})
    assert told["requested_by"] == "token ci"

    assert advance_backfills() == 2
    path = f"backfills/{told['id']}"
    assert ops.get(path).json()["records"] == {"queued": 2}
    records = ops.items("sync-records")
    assert {record["scheduled_for"] for record in records} == {
        "2026-03-01T02:30:00Z",
        "2026-03-02T02:30:00Z",
    }
    assert {record["backfill_id"] for record in records} == {told["id"]}
    SyncRecord.objects.update(state=State.SUCCEEDED, finished_at=timezone.now())
    seen = ops.get(path).json()
    assert (seen["ended"], seen["records"]) == (2, {"succeeded": 2})
    assert seen["percentage"] == pytest.approx(100 * 2 / 7)


def test_one_that_is_cancelled_ends_with_its_records(ops: Asker) -> None:
    nightly()
    told = ops.post("backfills", {"job": "nightly", **DAYS}).json()
    advance_backfills()
    stopped = ops.post(f"backfills/{told['id']}/cancel")
    assert (stopped.status_code, stopped.json()["state"]) == (202, "cancelled")
    assert stopped.json()["records"] == {"cancelled": 1}
    again = ops.post(f"backfills/{told['id']}/cancel")
    assert (again.status_code, again.json()) == (202, stopped.json())
    assert advance_backfills() == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"since": "2026-03-01T03:00:00Z", "until": "2026-03-01T04:00:00Z"}, "since"),
        ({"since": "2026-03-07", "until": "2026-03-01"}, "since"),
        ({"since": "2026-03-01", "until": "2099-01-01"}, "since"),
        ({"since": "1960-01-01", "until": "2026-03-01"}, "since"),
        ({"since": "1772323200"}, "since"),
        ({}, "since"),
        ({**DAYS, "parallel": 101}, "parallel"),
        ({**DAYS, "parallel": 0}, "parallel"),
        ({**DAYS, "parallel": "2"}, "parallel"),
        ({**DAYS, "full": "yes"}, "full"),
        ({**DAYS, "paralel": 2}, "paralel"),
    ],
)
def test_what_is_no_range_of_fires_is_refused(ops: Asker, body: Any, field: str) -> None:
    nightly()
    answer = ops.post("backfills", {"job": "nightly", **body})
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]
    assert not Backfill.objects.exists()


def test_lists_are_by_job_and_state_the_newest_first(ops: Asker) -> None:
    job = nightly()
    other = make_job(job.get_connector(), name="other", schedule={"every_s": 3600})
    rows = [
        Backfill.objects.create(
            workspace=each.workspace,
            job=each,
            trigger=Trigger.BACKFILL,
            since=datetime(2026, 3, 1, tzinfo=UTC),
            until=datetime(2026, 3, 2, tzinfo=UTC),
            fires=2,
            state=state,
        )
        for each, state in [(job, "done"), (other, "active"), (job, "active")]
    ]
    first, second, third = (str(row.pk) for row in rows)

    def ids(**query: Any) -> list[str]:
        return [told["id"] for told in ops.items("backfills", **query)]

    assert ids() == ids(limit=1) == [third, second, first]
    assert ids(job="nightly") == ids(job=str(job.pk)) == [third, first]
    assert ids(state="active") == [third, second]
    assert ids(job="nightly", state="cancelled") == []


def test_p12_no_job_of_another_workspace_is_backfilled(ops: Asker) -> None:
    theirs = nightly("lab")
    for name in (str(theirs.pk), "nightly"):
        answer = ops.post("backfills", {"job": name, **DAYS})
        missing = ops.post("backfills", {"job": str(uuid.uuid4()), **DAYS})
        assert (answer.status_code, answer.content) == (404, missing.content)
    assert not Backfill.objects.exists()
