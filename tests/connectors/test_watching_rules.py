"""When a far end counts as online, and what is told of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connectors.watching import HostState, Reachability, after_failure, after_success, tell

START = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_one_failure_is_no_outage_and_two_are() -> None:
    seen = after_success(HostState(), at(0))
    assert (seen.state, seen.since) == (Reachability.ONLINE, at(0))
    seen = after_failure(seen, at(60), "no route")
    assert (seen.state, seen.failures) == (Reachability.ONLINE, 1)
    seen = after_failure(seen, at(120), "no route")
    assert (seen.state, seen.since, seen.failures, seen.last_error) == (
        Reachability.OFFLINE,
        at(120),
        2,
        "no route",
    )
    seen = after_success(seen, at(180))
    assert (seen.state, seen.failures, seen.last_error) == (Reachability.ONLINE, 0, "")


def test_a_delivery_and_a_check_that_fail_are_enough() -> None:
    seen = after_success(HostState(), at(0))
    assert after_failure(seen, at(1), "refused", sure=True).state is Reachability.OFFLINE


def test_each_change_is_told_once() -> None:
    seen, told = tell(after_success(HostState(), at(0)), at(0))
    assert told is Reachability.ONLINE
    assert tell(seen, at(1)) == (seen, None)


def test_a_host_that_flaps_is_told_of_when_it_is_calm() -> None:
    seen, heard = HostState(), []
    for turn in range(6):
        seen = (
            after_failure(seen, at(30 * turn), "away", sure=True)
            if turn % 2
            else after_success(seen, at(30 * turn))
        )
        seen, told = tell(seen, at(30 * turn))
        heard.append(told)
    assert heard == [
        Reachability.ONLINE,
        Reachability.OFFLINE,
        Reachability.ONLINE,
        None,
        None,
        None,
    ]
    assert seen.state is Reachability.OFFLINE
    assert tell(seen, at(150 + 299))[1] is None
    assert tell(seen, at(150 + 301))[1] is Reachability.OFFLINE


def test_a_host_that_came_back_to_what_was_told_tells_nothing() -> None:
    seen = after_success(HostState(), at(0))
    seen, _ = tell(seen, at(0))
    for turn in range(1, 7):
        seen = (
            after_success(seen, at(turn))
            if turn % 2 == 0
            else after_failure(seen, at(turn), "x", sure=True)
        )
    assert tell(seen, at(1000)) == (seen, None)
