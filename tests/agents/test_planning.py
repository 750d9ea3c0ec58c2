"""What a tool changes, it tells first: plans, questions to the user, and the budget of starts (docs/mcp_tools.md)."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.db.models.functions import Now
from pytest_django import Settings

from api.mcp.eras import LEGACY
from api.mcp.tools.table import TOOLS
from connectors.models import Connector
from outbox.models import StreamState
from syncjobs.claims.claiming import claim
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from tests.agents.asking import Agent, agent
from tests.agents.things import Things, arguments_of, checked, make_file_job, make_things
from tests.racing import locked_by_another
from tests.rows import fresh, make_workspace
from workspaces.models import AuditEntry, PlanToken, Role

pytestmark = pytest.mark.django_db(transaction=True)
PLANNED = [name for name, tool in TOOLS.items() if tool.is_planned]
CAN_ASK: dict[str, Any] = {"elicitation": {}}


@pytest.fixture
def things(db: None) -> Things:
    return make_things()


@pytest.fixture
def job(db: None) -> SyncJob:
    return make_file_job(name="nightly")


def operator(name: str = "agent") -> Agent:
    return agent(Role.OPERATOR, name=name)


def plan(who: Agent, tool: str, **arguments: Any) -> str:
    told = checked(who, tool, **arguments)
    assert told["state"] == "planned", told
    token: str = told["plan_token"]
    return token


def act(who: Agent, tool: str, **arguments: Any) -> Any:
    return checked(who, tool, **arguments, plan_token=plan(who, tool, **arguments))


def refusals() -> list[str]:
    rows = AuditEntry.objects.filter(door="mcp", action="plan_refused").order_by("id")
    return [row.changes["code"][1] for row in rows]


@dataclass(frozen=True)
class Changeable:
    """All that the tools of this page may change."""

    jobs: list[Any]
    records: list[Any]
    stream: str
    audit: int


def state_of(things: Things) -> Changeable:
    return Changeable(
        list(SyncJob.objects.order_by("pk").values("enabled", "next_run_at", "paused_at")),
        list(SyncRecord.objects.order_by("pk").values("pk", "state", "cancel_asked_at")),
        fresh(things.stream).state,
        AuditEntry.objects.filter(door="mcp").count(),
    )


@pytest.mark.parametrize("tool", PLANNED)
def test_the_first_call_tells_and_changes_nothing(things: Things, tool: str) -> None:
    before = state_of(things)
    told = checked(operator(), tool, **arguments_of(things)[tool])
    assert set(told) == {"state", "effects", "plan_token", "expires_at"}
    assert told["state"] == "planned"
    assert told["effects"]
    assert all(effect.endswith(".") for effect in told["effects"])
    assert state_of(things) == before


@pytest.mark.parametrize("tool", PLANNED)
def test_each_act_is_audited_as_the_agents(things: Things, tool: str) -> None:
    told = act(operator("robot"), tool, **arguments_of(things)[tool])
    assert "error" not in told
    entry = AuditEntry.objects.get(action=tool)
    assert (entry.door, entry.actor) == ("mcp", "token robot")


def test_b04_a_start_is_planned_and_then_queued_once(job: SyncJob) -> None:
    who = operator()
    first = checked(who, "start_sync", job="nightly")
    in_s = (
        datetime.fromisoformat(first["expires_at"]) - PlanToken.objects.get().made_at
    ).total_seconds()
    assert 299 < in_s < 301
    assert "nightly" in first["effects"][0]
    assert not SyncRecord.objects.exists()
    told = checked(who, "start_sync", job="nightly", plan_token=first["plan_token"])
    assert told["state"] == "queued"
    record = SyncRecord.objects.get()
    assert (told["record"]["id"], told["record"]["trigger"]) == (str(record.pk), "mcp")
    assert (record.trigger, record.requested_by) == ("mcp", "token agent")


def test_what_another_changes_just_now_is_told_as_busy_and_the_plan_stays(job: SyncJob) -> None:
    who = operator()
    token = plan(who, "stop_auto_sync", job="nightly")
    with locked_by_another("SELECT FROM syncjobs_syncjob WHERE id = %s FOR UPDATE", [job.pk]):
        told = checked(who, "stop_auto_sync", job="nightly", plan_token=token)
    assert (told["error"]["code"], told["error"]["retry_after_s"]) == ("unavailable", 1)
    assert "error" not in checked(who, "stop_auto_sync", job="nightly", plan_token=token)


def test_b04_a_plan_that_cannot_be_used_is_refused_and_audited(job: SyncJob) -> None:
    make_file_job(name="other")
    who, another = operator(), operator("another")
    token = plan(who, "start_sync", job="nightly")

    def code_of(asker: Agent, tool: str = "start_sync", **arguments: Any) -> str:
        code: str = checked(asker, tool, **arguments)["error"]["code"]
        return code

    assert code_of(who, job="other", plan_token=token) == "plan_differs"
    assert code_of(who, job="nightly", full=True, plan_token=token) == "plan_differs"
    assert code_of(who, "stop_auto_sync", job="nightly", plan_token=token) == "plan_differs"
    assert code_of(another, job="nightly", plan_token=token) == "plan_differs"
    assert code_of(who, job="nightly", plan_token="forged") == "plan_unknown"
    stranger = agent(Role.OPERATOR, workspace=make_workspace("lab"))
    make_file_job("lab", name="nightly")
    assert code_of(stranger, job="nightly", plan_token=token) == "plan_unknown"
    assert not SyncRecord.objects.exists()
    assert checked(who, "start_sync", job="nightly", plan_token=token)["state"] == "queued"
    assert code_of(who, job="nightly", plan_token=token) == "plan_used"
    late = plan(who, "start_sync", job="nightly")
    PlanToken.objects.filter(used_at=None).update(expires_at=Now())
    assert code_of(who, job="nightly", plan_token=late) == "plan_expired"
    assert SyncRecord.objects.count() == 1
    assert refusals() == ["plan_differs"] * 4 + ["plan_unknown"] * 2 + ["plan_used", "plan_expired"]


def test_the_same_arguments_may_be_written_in_another_way(job: SyncJob) -> None:
    who = operator()
    token = plan(who, "start_sync", job="nightly")
    told = checked(who, "start_sync", plan_token=token, full=False, job="nightly")
    assert told["state"] == "queued"


def test_a_plan_is_of_what_was_named_then(job: SyncJob) -> None:
    """Names move: the job that has the name now is not the one that was shown."""
    who = operator()
    token = plan(who, "start_sync", job="nightly")
    SyncJob.objects.filter(pk=job.pk).update(name="renamed")
    make_file_job(name="nightly")
    told = checked(who, "start_sync", job="nightly", plan_token=token)
    assert told["error"]["code"] == "plan_differs"


def test_of_two_calls_at_once_one_acts(job: SyncJob) -> None:
    who = operator()
    token = plan(who, "start_sync", job="nightly")
    told: list[Any] = []
    meet = threading.Barrier(2)

    def ask() -> None:
        meet.wait(10)
        try:
            told.append(checked(who, "start_sync", job="nightly", plan_token=token))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one.get("state", "") or one["error"]["code"] for one in told) == [
        "plan_used",
        "queued",
    ]
    assert SyncRecord.objects.count() == 1


def test_while_one_runs_no_other_is_started(job: SyncJob) -> None:
    who = operator()
    token = plan(who, "start_sync", job="nightly")
    running = checked(who, "start_sync", job="nightly", plan_token=token)["record"]["id"]
    assert claim(uuid.UUID(running), "worker") is not None
    told = checked(who, "start_sync", job="nightly")
    assert running in told["effects"][-1]
    told = checked(who, "start_sync", job="nightly", plan_token=told["plan_token"])
    assert told["error"]["code"] == "busy"
    assert running in told["error"]["detail"]
    # What was not done leaves the plan usable.
    assert PlanToken.objects.filter(used_at=None).count() == 1


def test_the_waiting_record_serves_unless_more_is_asked_for(job: SyncJob) -> None:
    who = operator()
    first = act(who, "start_sync", job="nightly")["record"]["id"]
    assert act(who, "start_sync", job="nightly")["record"]["id"] == first
    told = act(who, "start_sync", job="nightly", full=True)
    assert (told["error"]["code"], first in told["error"]["detail"]) == ("busy", True)


def test_what_a_start_does_at_the_source_is_told(job: SyncJob) -> None:
    SyncJob.objects.update(after_publish="delete", on_delete="ignore")
    told = checked(operator(), "start_sync", job="nightly")
    assert "Files that a published version holds are deleted at the source." in told["effects"]


def test_a_budget_of_none_says_that_waiting_does_not_help(job: SyncJob, settings: Settings) -> None:
    settings.SYNC = replace(django_settings.SYNC, mcp_starts_per_hour=0)
    error = act(operator(), "start_sync", job="nightly")["error"]
    assert (error["code"], error["retry_after_s"]) == ("budget_used", None)
    assert "ask a person" in error["detail"]


def test_a_start_beside_one_that_waits_says_so(job: SyncJob) -> None:
    who = operator()
    waiting = act(who, "start_sync", job="nightly")["record"]["id"]
    told = checked(who, "start_sync", job="nightly")
    assert told["effects"][-1] == (
        f"Record {waiting} of this job waits already: it serves this call, and no other is queued."
    )
    assert act(who, "start_sync", job="nightly")["record"]["id"] == waiting


def test_a_token_starts_so_many_syncs_an_hour(job: SyncJob, settings: Settings) -> None:
    settings.SYNC = replace(django_settings.SYNC, mcp_starts_per_hour=2)
    who = operator()
    for _ in range(2):
        assert act(who, "start_sync", job="nightly")["state"] == "queued"
    error = act(who, "start_sync", job="nightly")["error"]
    assert error["code"] == "budget_used"
    assert 3_500 < error["retry_after_s"] <= 3_600
    assert refusals() == ["budget_used"]
    # Other tools are not counted, nor other tokens; and an hour later it may start again.
    assert act(who, "stop_auto_sync", job="nightly")["state"] == "done"
    assert act(operator("another"), "start_sync", job="nightly")["state"] == "queued"
    PlanToken.objects.update(used_at=Now() - timedelta(hours=1))
    assert act(who, "start_sync", job="nightly")["state"] == "queued"


def test_a_record_is_stopped(things: Things) -> None:
    who = operator()
    told = act(who, "stop_sync", record=str(things.record.pk))
    assert (told["state"], told["record"]["state"]) == ("done", "cancelled")
    again = act(who, "stop_sync", record=str(things.record.pk))
    assert again["record"]["state"] == "cancelled"


def test_a_job_is_switched_off_and_on(job: SyncJob) -> None:
    SyncJob.objects.update(schedule={"every_s": 3600})
    who = operator()
    told = act(who, "stop_auto_sync", job="nightly")
    assert told == {"state": "done", "enabled": False, "next_run_at": None}
    told = act(who, "start_auto_sync", job="nightly")
    assert (told["state"], told["enabled"]) == ("done", True)
    assert datetime.fromisoformat(told["next_run_at"]) > fresh(job).created_at
    assert fresh(job).enabled is True


def test_a_paused_job_goes_on(job: SyncJob) -> None:
    SyncJob.objects.update(paused_at=Now(), paused_reason="5 failures")
    assert act(operator(), "start_auto_sync", job="nightly")["enabled"] is True
    assert fresh(job).paused_at is None


def test_a_stream_is_switched_off_and_on(things: Things) -> None:
    who, name = operator(), things.stream.name
    assert act(who, "stop_auto_sync", stream=name)["enabled"] is False
    assert fresh(things.stream).state == StreamState.STOPPED
    assert act(who, "start_auto_sync", stream=name)["enabled"] is True
    assert fresh(things.stream).state == StreamState.RUNNING


def test_what_is_so_already_is_told_as_no_change(things: Things) -> None:
    who = operator()
    for given in ({"job": things.job.name}, {"stream": things.stream.name}):
        for tool, state in (("stop_auto_sync", "off"), ("start_auto_sync", "on")):
            assert "nothing is changed" not in " ".join(checked(who, tool, **given)["effects"])
            act(who, tool, **given)
            (again,) = checked(who, tool, **given)["effects"]
            assert again.endswith(f" is {state} already: nothing is changed.")


@pytest.mark.parametrize("given", [{}, {"job": "nightly", "stream": "x"}])
def test_one_of_job_and_stream_is_switched(job: SyncJob, given: dict[str, str]) -> None:
    error = checked(operator(), "start_auto_sync", **given)["error"]
    assert (error["code"], list(error["errors"])) == ("invalid_arguments", ["job"])


def test_stuck_records_are_named_and_taken_back(job: SyncJob) -> None:
    who = operator()
    record = act(who, "start_sync", job="nightly")["record"]["id"]
    assert claim(uuid.UUID(record), "worker") is not None
    SyncRecord.objects.update(lease_expires_at=Now() - timedelta(seconds=30))
    told = checked(who, "cleanup_stuck_syncs")
    assert [record in effect for effect in told["effects"]] == [True]
    assert SyncRecord.objects.get().state == State.RUNNING
    told = checked(who, "cleanup_stuck_syncs", plan_token=told["plan_token"])
    assert told == {"state": "done", "cleaned": 1, "records": [record]}
    assert SyncRecord.objects.get().state == State.QUEUED


# -- where the client can ask its user


def asking() -> Agent:
    return replace(operator(), capabilities=CAN_ASK)


def start(who: Agent, **more: Any) -> Any:
    params = {"name": "start_sync", "arguments": {"job": "nightly"}, **more}
    return who.result("tools/call", params)


def answer(content: Any = None, action: str = "accept") -> dict[str, Any]:
    return {"go": {"action": action, "content": content}}


YES = {"go": True}


def test_a_client_that_can_ask_is_asked_and_obeyed(job: SyncJob) -> None:
    who = asking()
    told = start(who)
    assert told["resultType"] == "input_required"
    question = told["inputRequests"]["go"]
    assert question["method"] == "elicitation/create"
    assert question["params"]["requestedSchema"]["properties"]["go"]["type"] == "boolean"
    assert "nightly" in question["params"]["message"]
    assert not SyncRecord.objects.exists()
    told = start(who, inputResponses=answer(YES), requestState=told["requestState"])
    assert (told["resultType"], told["structuredContent"]["state"]) == ("complete", "queued")
    assert SyncRecord.objects.get().trigger == "mcp"


@pytest.mark.parametrize(
    "response",
    [
        answer({"go": False}),
        answer(action="decline"),
        answer(action="cancel"),
        answer(),
        answer("yes"),
        answer({}),
        answer({"go": "yes"}),
        answer({"go": 1}),
        answer(YES, action="agree"),
    ],
)
def test_a_no_does_nothing_and_holds(job: SyncJob, response: dict[str, Any]) -> None:
    who = asking()
    state = start(who)["requestState"]
    told = start(who, inputResponses=response, requestState=state)
    assert told["structuredContent"]["error"]["code"] == "declined"
    told = start(who, inputResponses=answer(YES), requestState=state)
    assert told["structuredContent"]["error"]["code"] == "plan_used"
    assert not SyncRecord.objects.exists()


def test_an_answer_holds_once_and_for_its_own_call(job: SyncJob) -> None:
    make_file_job(name="other")
    who = asking()
    state = start(who)["requestState"]

    def code_of(asker: Agent, state: Any, job: str = "nightly") -> str:
        given = {"inputResponses": answer(YES), "requestState": state}
        told = asker.result(
            "tools/call", {"name": "start_sync", "arguments": {"job": job}, **given}
        )
        code: str = told["structuredContent"]["error"]["code"]
        return code

    assert code_of(who, state, "other") == "plan_differs"
    assert code_of(replace(operator("another"), capabilities=CAN_ASK), state) == "plan_differs"
    for forged in (state[:-1] + ("a" if state[-1] != "a" else "b"), "forged", 7, {"a": 1}):
        assert code_of(who, forged) == "plan_unknown"
    assert not SyncRecord.objects.exists()
    start(who, inputResponses=answer(YES), requestState=state)
    assert code_of(who, state) == "plan_used"
    late = start(who)["requestState"]
    PlanToken.objects.filter(used_at=None).update(expires_at=Now())
    assert code_of(who, late) == "plan_expired"
    assert SyncRecord.objects.count() == 1


def test_the_state_of_a_question_is_no_plan_token(job: SyncJob) -> None:
    """Else an agent could answer in its user's place."""
    who = asking()
    state = start(who)["requestState"]
    from_state = state.split(":")[0]
    for token in (state, from_state, PlanToken.objects.get().pk):
        told = checked(who, "start_sync", job="nightly", plan_token=token)
        assert told["error"]["code"] == "plan_unknown"
    assert not SyncRecord.objects.exists()


@pytest.mark.parametrize("response", [None, {}, {"go": 1}, [1]])
def test_what_is_no_answer_is_asked_again(job: SyncJob, response: Any) -> None:
    who = asking()
    state = start(who)["requestState"]
    told = start(who, inputResponses=response, requestState=state)
    assert told["resultType"] == "input_required"
    assert not SyncRecord.objects.exists()


@pytest.mark.parametrize(
    "who",
    [
        Agent("", capabilities={"elicitation": {"url": {}}}),
        Agent("", capabilities={"elicitation": True}),
        Agent("", LEGACY[0], {"elicitation": {}}),
    ],
)
def test_a_client_that_cannot_ask_gets_a_plan(job: SyncJob, who: Agent) -> None:
    told = start(replace(who, token=operator().token))
    assert told["structuredContent"]["state"] == "planned"


def test_nothing_is_planned_of_what_is_not_there(things: Things) -> None:
    Connector.objects.filter(pk=things.connector.pk).update(status="inactive")
    error = checked(operator(), "start_sync", job="none")["error"]
    assert error == {
        "code": "not_found", "detail": "There is no such sync job.", "errors": {}, "retry_after_s": None,
    }  # fmt: skip
    assert not PlanToken.objects.exists()
