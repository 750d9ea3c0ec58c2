"""Plans of programs: bound to a call, used once, counted by the hour."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from tests.rows import make_workspace
from workspaces.models import ApiToken, PlanOutcome, PlanToken, Role
from workspaces.plans import (
    HOUR,
    PlanFault,
    PlannedCall,
    PlanRefused,
    drop_old_plans,
    find_budget_wait_s,
    make_plan_token,
    use_plan,
)
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)


def make_holder(workspace: str = "acme") -> ApiToken:
    return create_token(make_workspace(workspace), name="agent", role=Role.OPERATOR)[0]


@pytest.fixture
def planned() -> PlannedCall:
    return PlannedCall(make_holder(), "start_sync", "0" * 64)


def use(token: str, planned: PlannedCall, outcome: PlanOutcome = PlanOutcome.ACTED) -> None:
    with transaction.atomic():
        use_plan(token, planned, outcome)


def fault_of(token: str, planned: PlannedCall) -> PlanFault:
    with pytest.raises(PlanRefused) as caught:
        use(token, planned)
    return caught.value.fault


def test_a_plan_is_used_once(planned: PlannedCall) -> None:
    token, _ = make_plan_token(planned)
    use(token, planned)
    assert fault_of(token, planned) is PlanFault.USED


def test_what_was_rolled_back_leaves_the_plan_usable(planned: PlannedCall) -> None:
    token, _ = make_plan_token(planned)
    with transaction.atomic():
        use_plan(token, planned)
        transaction.set_rollback(True)
    use(token, planned)


def test_a_plan_is_bound_to_its_call(planned: PlannedCall) -> None:
    token, _ = make_plan_token(planned)
    of_other = replace(planned, holder=make_holder())
    for other in (of_other, replace(planned, tool="stop_sync"), replace(planned, call="1" * 64)):
        assert fault_of(token, other) is PlanFault.DIFFERS
    use(token, planned)


def test_a_plan_of_another_workspace_is_none(planned: PlannedCall) -> None:
    token, _ = make_plan_token(planned)
    assert fault_of(token, replace(planned, holder=make_holder("lab"))) is PlanFault.UNKNOWN
    assert fault_of("forged", planned) is PlanFault.UNKNOWN
    assert fault_of("\0\ud800", planned) is PlanFault.UNKNOWN


def test_a_question_to_a_person_is_no_plan_of_the_program(planned: PlannedCall) -> None:
    token, _ = make_plan_token(replace(planned, is_question=True))
    assert fault_of(token, planned) is PlanFault.UNKNOWN


def test_a_plan_expires(planned: PlannedCall) -> None:
    token, expires_at = make_plan_token(planned)
    row = PlanToken.objects.get()
    assert expires_at == row.expires_at
    assert timedelta(seconds=299) < expires_at - row.made_at < timedelta(seconds=301)
    PlanToken.objects.update(expires_at=Now())
    assert fault_of(token, planned) is PlanFault.EXPIRED


def test_of_two_that_come_at_once_one_acts(planned: PlannedCall) -> None:
    token, _ = make_plan_token(planned)
    faults: list[PlanFault | None] = []
    meet = threading.Barrier(2)

    def act() -> None:
        meet.wait(10)
        try:
            use(token, planned)
            faults.append(None)
        except PlanRefused as exc:
            faults.append(exc.fault)
        finally:
            connection.close()

    threads = [threading.Thread(target=act) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(map(str, faults)) == ["None", "plan_used"]


def test_acts_are_counted_by_the_hour(planned: PlannedCall) -> None:
    def wait_s(most: int) -> float | None:
        with transaction.atomic():
            return find_budget_wait_s(planned.holder, planned.tool, most)

    assert wait_s(1) is None
    assert wait_s(0) == HOUR.total_seconds()
    for outcome in (PlanOutcome.ACTED, PlanOutcome.DECLINED, PlanOutcome.ACTED):
        use(make_plan_token(planned)[0], planned, outcome)
    assert wait_s(3) is None
    waits = wait_s(2)
    assert waits is not None
    assert 3_000 < waits <= 3_600
    PlanToken.objects.update(used_at=Now() - HOUR)
    assert wait_s(2) is None


def test_plans_of_yesterday_are_dropped(planned: PlannedCall) -> None:
    make_plan_token(planned)
    assert drop_old_plans() == 0
    PlanToken.objects.update(made_at=Now() - timedelta(days=1))
    assert drop_old_plans() == 1
