from __future__ import annotations

import uuid

import pytest

from syncjobs.core.dependencies import FollowerDecision, ParentEnd, decide_follower, find_cycle
from syncjobs.core.states import State
from timing.schedules import Condition


def test_a_way_back_is_told_and_none_is_none() -> None:
    parents = {"c": ["b"], "b": ["a", "x"], "a": ["c"]}
    assert find_cycle(parents, "a") == ["a", "c", "b", "a"]
    assert find_cycle(parents | {"a": []}, "c") == []
    assert find_cycle({"a": ["a"]}, "a") == ["a", "a"]


def test_a_cycle_that_a_job_only_leads_to_is_anothers() -> None:
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}, "a") == []


def test_a_diamond_is_no_cycle() -> None:
    assert find_cycle({"d": ["b", "c"], "b": ["a"], "c": ["a"]}, "d") == []


def end(number: int, state: State | None) -> ParentEnd:
    record = None if state is None else uuid.UUID(int=number)
    return ParentEnd(uuid.UUID(int=99), number, f"p{number}", record, state or "")


DONE, FAILED, OPEN = end(1, State.SUCCEEDED), end(2, State.FAILED), end(3, None)


@pytest.mark.parametrize(
    ("condition", "parents", "is_due", "is_skipped", "used"),
    [
        (Condition.ALL_SUCCEEDED, [DONE], True, False, [DONE]),
        (Condition.ALL_SUCCEEDED, [DONE, OPEN], False, False, []),
        (Condition.ALL_SUCCEEDED, [DONE, FAILED], False, True, [FAILED]),
        (Condition.ALL_SUCCEEDED, [FAILED, OPEN], False, True, [FAILED]),
        (Condition.ANY_FINISHED, [FAILED, OPEN], True, False, [FAILED]),
        (Condition.ANY_FINISHED, [OPEN], False, False, []),
        (Condition.ALL_SUCCEEDED, [], False, False, []),
    ],
)
def test_a_follower_is_due_by_its_parents_ends(
    condition: Condition, parents: list[ParentEnd], is_due: bool, is_skipped: bool, used: object
) -> None:
    decision = decide_follower(condition, parents)
    assert (bool(decision.cause), bool(decision.skipped_for)) == (is_due, is_skipped)
    assert list(decision.used) == used
    assert decision != FollowerDecision() or used == []
