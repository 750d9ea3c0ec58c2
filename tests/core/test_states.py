from __future__ import annotations

import itertools

import pytest

from syncjobs.core.states import FINAL, MOVES, Event, Refusal, State, decide


@pytest.mark.parametrize(("state", "event"), [*itertools.product(State, Event)])
def test_every_pair_is_decided(state: State, event: Event) -> None:
    assert decide(state, event) in (*State, *Refusal)


def test_every_event_has_a_move_and_every_state_is_reached() -> None:
    assert set(MOVES) == set(Event)
    reached, before = {State.QUEUED}, set[State]()
    while reached != before:
        before = set(reached)
        reached |= {move.target for move in MOVES.values() if move.sources & reached}
    assert reached == set(State)


@pytest.mark.parametrize(("state", "event"), [*itertools.product(sorted(FINAL), Event)])
def test_a_final_state_is_never_left(state: State, event: Event) -> None:
    assert isinstance(decide(state, event), Refusal)


def test_a_worker_that_comes_late_is_stale_and_a_person_who_errs_is_refused() -> None:
    assert decide(State.QUEUED, Event.SUCCEEDED) is Refusal.STALE
    assert decide(State.RUNNING, Event.CLAIMED) is Refusal.STALE
    assert decide(State.RUNNING, Event.RELEASED) is Refusal.ILLEGAL
    assert decide(State.RUNNING, Event.CANCELLED) is Refusal.ILLEGAL
