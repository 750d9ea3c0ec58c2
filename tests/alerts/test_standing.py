"""An alert opens once, recovers once and settles once, whatever happens in whichever order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.core.standing import (
    FLAPPING_CHANGES,
    FLAPPING_S,
    STEADY_S,
    Standing,
    Step,
    Telling,
    close_quietly,
    pass_time,
    see_bad,
    see_good,
)
from alerts.core.words import Tell

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def words(steps: Sequence[Step]) -> list[str]:
    return [told.tell.value for step in steps for told in step.told]


def follow(
    *news: tuple[str, float], standing: Standing | None = None, needed: int = 1
) -> list[Step]:
    """`bad`, `good` and `tick` at these seconds, one after the other."""
    steps = [Step(standing or Standing())]
    for what, at in news:
        before = steps[-1].standing
        if what == "bad":
            steps.append(see_bad(before, after(at), needed=needed))
        elif what == "good":
            steps.append(see_good(before, after(at)))
        else:
            steps.append(pass_time(before, after(at)))
    return steps


def test_an_alert_opens_once_and_recovers_once() -> None:
    steps = follow(("good", 0), ("bad", 10), ("bad", 20), ("good", 1000), ("good", 1010))
    assert words(steps) == ["opened", "recovered"]
    last = steps[-1].standing
    assert (last.opened_at, last.last_seen_at, last.resolved_at) == (
        after(10),
        after(20),
        after(1000),
    )
    assert (last.firing, last.occurrences, last.bad_in_a_row) == (False, 2, 0)


def test_it_opens_with_the_last_of_so_many_in_a_row() -> None:
    broken = follow(("bad", 0), ("bad", 1), ("good", 2), ("bad", 3), ("bad", 4), needed=3)
    assert words(broken) == []
    steps = follow(("bad", 5), standing=broken[-1].standing, needed=3)
    assert words(steps) == ["opened"]
    assert steps[-1].standing.occurrences == 3


def test_four_changes_within_ten_minutes_flap_and_ten_quiet_minutes_settle() -> None:
    turns = [("bad", 0.0), ("good", 60.0), ("bad", 120.0), ("good", 180.0), ("bad", 240.0)]
    steps = follow(*turns, ("tick", 240 + STEADY_S - 1))
    assert words(steps) == ["opened", "recovered", "opened", "flapping"]
    settled = pass_time(steps[-1].standing, after(240 + STEADY_S))
    assert words([settled]) == ["settled"]
    assert settled.told[0].standing.firing
    assert words(follow(("good", 2000), standing=settled.standing)) == ["recovered"]


def test_changes_that_are_ten_minutes_apart_do_not_flap() -> None:
    gap = FLAPPING_S / (FLAPPING_CHANGES - 1) + 1
    turns = [("good" if n % 2 else "bad", n * gap) for n in range(10)]
    assert words(follow(*turns)) == ["opened", "recovered"] * 5


def test_what_has_settled_before_the_next_change_is_told_first() -> None:
    turns = [("bad", 0.0), ("good", 1.0), ("bad", 2.0), ("good", 3.0)]
    steps = follow(*turns, ("bad", 3 + STEADY_S + 100))
    assert words(steps) == ["opened", "recovered", "opened", "flapping", "settled", "opened"]
    settled = steps[-1].told[0]
    assert (settled.tell, settled.standing.firing) == (Tell.SETTLED, False)


def silenced(until: float, *, firing: bool = False) -> Standing:
    standing = Standing(silenced_until=after(until))
    return replace(standing, firing=True, opened_at=after(-100)) if firing else standing


def test_a_silence_tells_nothing_and_its_end_tells_once_what_still_fires() -> None:
    steps = follow(("bad", 10), ("bad", 20), ("tick", 99), standing=silenced(100))
    assert words(steps) == []
    ended = follow(("tick", 100), ("tick", 101), standing=steps[-1].standing)
    assert words(ended) == ["still_firing"]
    assert ended[-1].standing.silenced_until is None
    assert words(follow(("good", 110), standing=ended[-1].standing)) == ["recovered"]


def test_what_recovers_within_a_silence_is_not_told() -> None:
    steps = follow(("good", 10), ("tick", 100), ("tick", 1000), standing=silenced(100, firing=True))
    assert words(steps) == []
    assert steps[-1].standing.resolved_at == after(10)


def test_news_that_are_read_late_count_by_their_own_time() -> None:
    within, beyond = (follow(("good", at), standing=silenced(100, firing=True)) for at in (99, 101))
    assert words(within) == []
    assert words(beyond) == ["still_firing", "recovered"]


def test_many_changes_within_a_silence_neither_flap_nor_settle() -> None:
    turns = [("good" if n % 2 else "bad", n) for n in range(9)]
    steps = follow(*turns, ("tick", 5000), standing=silenced(100))
    assert words(steps) == ["still_firing"]


def test_what_is_closed_quietly_begins_anew() -> None:
    steps = follow(("bad", 0), ("good", 1), ("bad", 2), ("good", 3), ("bad", 4))
    closed = close_quietly(steps[-1].standing, after(5))
    assert (closed.firing, closed.flapping, closed.resolved_at) == (False, False, after(5))
    assert words(follow(("tick", 5000), ("bad", 5001), standing=closed)) == ["opened"]


HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(["bad", "good", "tick", "silence", "unsilence"]),
        st.sampled_from([0, 1, 30, 200, 599, 600, 601, 4000]),
    ),
    max_size=60,
)
NEEDED = st.integers(1, 3)


def run(history: list[tuple[str, int]], needed: int, *, silences: bool) -> list[Telling]:
    standing, seconds = Standing(), 0
    told: list[Telling] = []
    for what, gap in history:
        seconds += gap
        match what:
            case "bad":
                step = see_bad(standing, after(seconds), needed=needed)
            case "good":
                step = see_good(standing, after(seconds))
            case "silence" if silences:
                standing = pass_time(standing, after(seconds)).standing
                step = Step(replace(standing, silenced_until=after(seconds + 300)))
            case "unsilence" if silences and standing.silenced_until is not None:
                step = Step(replace(standing, silenced_until=after(seconds)))
            case _:
                step = pass_time(standing, after(seconds))
        told += step.told
        standing = step.standing
    last = pass_time(standing, after(seconds + STEADY_S + 400))
    assert not last.standing.flapping
    assert last.standing.silenced_until is None
    return [*told, *last.told]


@given(HISTORIES, NEEDED)
def test_any_history_is_told_in_an_order_that_makes_sense(
    history: list[tuple[str, int]], needed: int
) -> None:
    """Between two that are told something must have happened: each opening has one recovery at most, no recovery comes
    without an opening, flapping is told once and settles once."""
    allowed = {
        None: {Tell.OPENED},
        Tell.OPENED: {Tell.RECOVERED, Tell.FLAPPING},
        Tell.RECOVERED: {Tell.OPENED, Tell.FLAPPING},
        Tell.FLAPPING: {Tell.SETTLED},
    }
    before: Tell | None = None
    for one in run(history, needed, silences=False):
        assert one.tell in allowed[before]
        if one.tell is Tell.SETTLED:  # as an opening or a recovery, whichever it is
            before = Tell.OPENED if one.standing.firing else Tell.RECOVERED
        else:
            before = one.tell


@given(HISTORIES, NEEDED)
def test_whatever_is_silenced_no_recovery_comes_without_an_opening(
    history: list[tuple[str, int]], needed: int
) -> None:
    is_open = False
    for one in run(history, needed, silences=True):
        if one.tell is Tell.RECOVERED:
            assert is_open
        is_open = one.standing.firing or one.tell is Tell.FLAPPING


@given(HISTORIES, NEEDED)
def test_who_reads_every_message_knows_how_it_stands(
    history: list[tuple[str, int]], needed: int
) -> None:
    standing, seconds = Standing(), 0
    known = False
    for what, gap in history:
        seconds += gap
        if what == "bad":
            step = see_bad(standing, after(seconds), needed=needed)
        elif what == "good":
            step = see_good(standing, after(seconds))
        else:
            step = pass_time(standing, after(seconds))
        standing = step.standing
        for one in step.told:
            known = one.standing.firing
        if not standing.flapping:
            assert known == standing.firing
