"""Fair shares as a pure decision: what it promises for any demand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncjobs.core.limits import Demand, decide_share

demands = st.lists(
    st.builds(Demand, running=st.just(0), ready=st.integers(0, 40)), min_size=1, max_size=8
)


def may_run(shares: list[Demand], number: int, slots: int) -> bool:
    others = shares[:number] + shares[number + 1 :]
    return shares[number].ready > 0 and (
        decide_share(shares[number].running, others, slots) is None
    )


def begin(shares: list[Demand], number: int) -> None:
    one = shares[number]
    shares[number] = replace(one, running=one.running + 1, ready=one.ready - 1)


@given(demands, st.integers(1, 24), st.randoms(use_true_random=False))
def test_no_workspace_has_more_than_its_share_and_no_place_stays_free(
    shares: list[Demand], slots: int, order: object
) -> None:
    """Whoever comes first: each ends with what max-min fairness gives it."""
    needs = [share.ready for share in shares]
    while sum(share.running for share in shares) < slots:
        allowed = [number for number in range(len(shares)) if may_run(shares, number, slots)]
        if not allowed:
            break
        begin(shares, order.choice(allowed))  # type: ignore[attr-defined] # Hypothesis's Random
    assert sum(share.running for share in shares) == min(slots, sum(needs))
    hungry = [number for number, share in enumerate(shares) if share.ready]
    for number in hungry:
        assert shares[number].running >= max(share.running for share in shares) - 1
    if len(hungry) == len(shares):
        most = math.ceil(slots / len(shares))
        assert max(share.running for share in shares) <= most


@given(
    st.lists(st.builds(Demand, st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=8),
    st.integers(1, 24),
)
def test_somebody_may_take_a_free_place_whatever_runs_already(
    shares: list[Demand], slots: int
) -> None:
    """Running records are never stopped, so some may hold more than their share."""
    if sum(share.running for share in shares) < slots and any(share.ready for share in shares):
        assert any(may_run(shares, number, slots) for number in range(len(shares)))


@pytest.mark.parametrize(
    ("ours", "others", "slots", "allowed"),
    [
        (4, [], 5, True),  # alone
        (4, [Demand(0, 0)], 5, True),
        (2, [Demand(0, 9)], 5, True),  # ceil(5 / 2) is three
        (3, [Demand(0, 9)], 5, False),
        (3, [Demand(0, 1)], 5, True),  # it needs fewer
        (4, [Demand(0, 1)], 5, False),
        (4, [Demand(1, 0)], 6, True),
        (1, [Demand(0, 1)] * 9, 5, False),  # more workspaces than places
        (0, [Demand(0, 1)] * 9, 5, True),
        (8, [Demand(1, 0)], 4, True),  # places went away: nobody else could use this one
    ],
)
def test_shares(ours: int, others: list[Demand], slots: int, allowed: bool) -> None:
    assert (decide_share(ours, others, slots) is None) == allowed


def test_the_refusal_says_why() -> None:
    refused = decide_share(3, [Demand(0, 9)], 5)
    assert refused is not None
    assert refused.words == (
        "its fair share (its workspace has 3 of 5 places, and others have records to run)"
    )
