"""A call of a tool that writes, sent again with its Idempotency-Key, acts once."""

from __future__ import annotations

from typing import Any

import pytest

from syncjobs.models import SyncJob, SyncRecord
from tests.agents.asking import Agent, agent
from tests.agents.things import make_file_job
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(db: None) -> SyncJob:
    return make_file_job()


def send(who: Agent, key: str, tool: str = "start_sync", **arguments: Any) -> Any:
    message = who.message("tools/call", {"name": tool, "arguments": arguments})
    return who.send(message, Idempotency_Key=key)


def start(who: Agent, key: str, **arguments: Any) -> Any:
    return send(who, key, **arguments).json()["result"]["structuredContent"]


def test_the_second_call_is_answered_as_the_first(job: SyncJob) -> None:
    who = agent(Role.OPERATOR)
    token = who.call("start_sync", job=job.name)["plan_token"]
    first, again = (start(who, "a", job=job.name, plan_token=token) for _ in range(2))
    assert first["state"] == "queued"
    assert again == first
    # With another key it is another call, whose plan was used.
    assert start(who, "b", job=job.name, plan_token=token)["error"]["code"] == "plan_used"
    assert SyncRecord.objects.count() == 1


def test_what_was_only_planned_or_refused_is_kept_by_no_key(job: SyncJob) -> None:
    who = agent(Role.OPERATOR)
    assert start(who, "a", job="none")["error"]["code"] == "not_found"
    token = start(who, "a", job=job.name)["plan_token"]
    assert start(who, "a", job=job.name, plan_token="another")["error"]["code"] == "plan_unknown"
    assert start(who, "a", job=job.name, plan_token=token)["state"] == "queued"


def test_a_key_of_another_call_is_refused(job: SyncJob) -> None:
    who = agent(Role.OPERATOR)
    token = who.call("start_sync", job=job.name)["plan_token"]
    start(who, "a", job=job.name, plan_token=token)
    told = send(who, "a", job=job.name, full=True, plan_token=token)
    assert (told.status_code, told["Content-Type"]) == (422, "application/problem+json")
    assert send(who, "no blank", job=job.name, plan_token=token).status_code == 400
    assert send(who, "a", "send_heartbeat", stream="none").status_code == 400
    assert send(who, "no blank", "list_sync_jobs").status_code == 200
