"""Which versions stay: by rules, and by what rests on them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from syncjobs.core.keeping import (
    KEEP_ALL,
    HeldVersion,
    KeepDecision,
    KeepRule,
    Rest,
    choose_rule,
    decide_kept,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOTHING: dict[int, int] = {}


def daily(count: int, *, first: int = 1) -> list[HeldVersion]:
    """Versions that took each other's place once a day, the last one day ago; newest first."""
    numbers = range(first + count - 1, first - 1, -1)
    return [
        HeldVersion(number, None if at == 0 else NOW - timedelta(days=at))
        for at, number in enumerate(numbers)
    ]


def oldest(versions: list[HeldVersion], rule: KeepRule, *, freed: dict[int, int] = NOTHING) -> int:
    decided = decide_kept(versions, rule, NOW, freed_bytes=freed).oldest
    assert decided is not None
    return decided


def test_without_a_rule_every_version_stays() -> None:
    assert decide_kept(daily(500), KEEP_ALL, NOW, freed_bytes={}) == KeepDecision(1, ())
    assert decide_kept([], KeepRule(versions=3), NOW, freed_bytes={}) == KeepDecision()


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (KeepRule(versions=3), 8),
        (KeepRule(versions=1), 9),  # the one before the current one too
        (KeepRule(versions=0, days=1), 1),
        (KeepRule(versions=50), 1),
        (KeepRule(days=1), 9),
        (KeepRule(days=4), 6),  # it was current until exactly four days ago
        (KeepRule(versions=5, days=3), 6),
        (KeepRule(versions=2, days=5), 5),
    ],
)
def test_what_one_of_the_rules_keeps_stays(rule: KeepRule, kept: int) -> None:
    assert oldest(daily(10), rule) == kept


def test_an_old_version_that_was_current_until_yesterday_is_young() -> None:
    rare = [HeldVersion(3, None), HeldVersion(2, NOW - timedelta(days=1)), HeldVersion(1, NOW - timedelta(days=400))]  # fmt: skip
    assert oldest(rare, KeepRule(days=30)) == 2
    frequent = [HeldVersion(3, None), HeldVersion(2, NOW), HeldVersion(1, NOW - timedelta(days=29))]
    assert oldest(frequent, KeepRule(days=30)) == 1


def test_bytes_keep_as_many_as_they_have_room_for() -> None:
    """What version n freed was needed by the versions below n."""
    freed = {2: 100, 3: 100, 5: 40, 10: 10}
    assert oldest(daily(10), KeepRule(size_bytes=9), freed=freed) == 9  # always kept
    assert oldest(daily(10), KeepRule(size_bytes=49), freed=freed) == 5
    assert oldest(daily(10), KeepRule(size_bytes=50), freed=freed) == 3
    assert oldest(daily(10), KeepRule(size_bytes=149), freed=freed) == 3
    assert oldest(daily(10), KeepRule(size_bytes=150), freed=freed) == 2
    assert oldest(daily(10), KeepRule(size_bytes=250), freed=freed) == 1


def test_a_version_that_something_rests_on_holds_all_after_it() -> None:
    decided = decide_kept(
        daily(10),
        KeepRule(versions=2),
        NOW,
        freed_bytes={},
        rests=[Rest(7, "seven"), Rest(4, "four"), Rest(10, "ten")],
    )
    assert decided == KeepDecision(4, (1, 2, 3), Rest(4, "four"))


def test_what_rests_on_a_version_that_has_gone_holds_the_next_one() -> None:
    rests = [Rest(2, "two")]
    held = daily(6, first=5)
    assert decide_kept(
        held, KeepRule(versions=2), NOW, freed_bytes={}, rests=rests
    ) == KeepDecision(5, (), Rest(2, "two"))


def test_a_job_that_says_something_says_all() -> None:
    workspace = KeepRule(versions=3, days=30)
    assert choose_rule(KeepRule(), workspace) == workspace
    assert choose_rule(KeepRule(versions=0), workspace).keeps_all
    assert choose_rule(KeepRule(days=1), workspace) == KeepRule(days=1)


def test_whatever_is_said_the_newest_stay_and_nothing_that_is_needed_goes() -> None:
    """Properties, over 4,000 drawn cases."""
    draw = random.Random(20261128)  # noqa: S311 — a seed that replays
    for _ in range(4_000):
        versions = _draw_versions(draw)
        rule = KeepRule(
            draw.choice([None, 0, 1, 2, 5, 40]),
            draw.choice([None, 1, 7, 90]),
            draw.choice([None, 1, 500, 10_000]),
        )
        freed = {one.number: draw.randint(1, 900) for one in versions if draw.random() < 0.5}
        rests = [Rest(draw.randint(1, 60), "rest") for _ in range(draw.choice([0, 0, 1, 3]))]
        decided = decide_kept(versions, rule, NOW, freed_bytes=freed, rests=rests)
        numbers = [one.number for one in versions]
        if not versions:
            assert decided == KeepDecision()
            continue
        kept = [number for number in numbers if number not in decided.going]
        assert kept[:2] == numbers[:2]
        assert sorted([*kept, *decided.going]) == sorted(numbers)
        assert decided.oldest == min(kept)
        assert all(number < min(kept) for number in decided.going)  # without a hole
        for rest in rests:
            assert not [gone for gone in decided.going if gone >= rest.number]
        for one in versions:
            if one.number in decided.going:
                _check_that_no_rule_keeps(one, versions, rule, freed)
        if not rests:
            again = [one for one in versions if one.number in kept]
            assert decide_kept(again, rule, NOW, freed_bytes=freed).going == ()  # at once all of it


def _draw_versions(draw: random.Random) -> list[HeldVersion]:
    number, at, found = draw.randint(1, 20), NOW, []
    for place in range(draw.choice([0, 1, 2, 3, 12, 30])):
        at -= timedelta(days=draw.random() * 20)
        found.append(HeldVersion(60 + number - place, None if place == 0 else at))
    return found


def _check_that_no_rule_keeps(
    one: HeldVersion, versions: list[HeldVersion], rule: KeepRule, freed: dict[int, int]
) -> None:
    assert rule.is_set
    assert rule.versions != 0
    place = [each.number for each in versions].index(one.number)
    assert place >= (rule.versions or 0)
    if rule.days is not None:
        assert one.superseded_at is not None
        assert one.superseded_at < NOW - timedelta(days=rule.days)
    if rule.size_bytes is not None:
        assert sum(size for number, size in freed.items() if number > one.number) > rule.size_bytes
