"""What is wrong with the machine, from what its parts have told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from syncjobs.core.watching import Level, PartSigns, allow_between_sweeps_s, judge_parts

WELL = PartSigns(
    prepared_s=10_000.0,
    beat_s=0.5,
    reaper_s=4.0,
    unanswered_s={"control": 0.0, "sync": 0.0},
    worker_s=2.0,
    workers=2,
    slots=16,
    busy=3,
    oldest_queued_s=2.0,
    oldest_ready_s=2.0,
)
NEW = PartSigns(prepared_s=5.0)


def troubles(signs: PartSigns) -> dict[str, tuple[str, Level]]:
    return {
        one.part: (one.word, one.level) for one in judge_parts(signs) if one.level is not Level.FINE
    }


def test_nothing_is_wrong_where_all_are_well() -> None:
    assert troubles(WELL) == {}
    assert [one.part for one in judge_parts(WELL)] == [
        "installation",
        "scheduler",
        "reaper",
        "workers",
        "worker_stores",
        "queue:control",
        "queue:sync",
        "queued",
    ]


@pytest.mark.parametrize(
    ("change", "part", "word", "level"),
    [
        (
            {"halted": "moved"},
            "installation",
            "halted (moved): see manage.py resume_after_restore",
            Level.WARNING,
        ),
        ({"beat_s": 31.0}, "scheduler", "late", Level.DOWN),
        ({"beat_s": None}, "scheduler", "never seen", Level.DOWN),
        ({"reaper_s": 61.0}, "reaper", "late", Level.WARNING),
        ({"workers": 0, "slots": 0, "busy": 0, "worker_s": 40.0}, "workers", "none", Level.DOWN),
        (
            {"without_store": 1},
            "worker_stores",
            "not mounted on 1 of 2",
            Level.WARNING,
        ),
        (
            {"without_store": 1, "with_another_store": 1},
            "worker_stores",
            "not mounted on 1 of 2, another store on 1 of 2",
            Level.DOWN,
        ),
        ({"unanswered_s": {"sync": 121.0}}, "queue:sync", "unanswered", Level.DOWN),
        ({"unanswered_s": {"index": 121.0}}, "queue:index", "unanswered", Level.WARNING),
        ({"unanswered_s": {"alerts": 121.0}}, "queue:alerts", "unanswered", Level.WARNING),
        ({"oldest_ready_s": 601.0}, "queued", "stalled", Level.DOWN),
    ],
)
def test_one_part_stands_still(change: dict[str, Any], part: str, word: str, level: Level) -> None:
    assert troubles(replace(WELL, **change)) == {part: (word, level)}


@pytest.mark.parametrize(
    "change",
    [
        {"beat_s": 29.0, "reaper_s": 59.0, "unanswered_s": {"sync": 119.0}},
        {"oldest_ready_s": 599.0},
        {"oldest_ready_s": 9_999.0, "busy": 16},  # it waits its turn
        {"oldest_queued_s": 9_999.0},  # it waits for something with a name
        {"oldest_ready_s": None, "oldest_queued_s": None},
    ],
)
def test_what_is_no_fault(change: dict[str, Any]) -> None:
    assert troubles(replace(WELL, **change)) == {}


def test_a_restored_copy_that_nobody_dispatches_for_is_down() -> None:
    told = troubles(replace(WELL, halted="moved", beat_s=40.0))
    assert told["installation"][1] is Level.DOWN


def test_a_start_has_a_minute() -> None:
    assert {level for _, level in troubles(NEW).values()} == {Level.STARTING}
    assert set(troubles(NEW)) == {"scheduler", "reaper", "workers"}
    late = troubles(replace(NEW, prepared_s=61.0))
    assert late["scheduler"] == ("never seen", Level.DOWN)
    assert late["workers"] == ("none", Level.DOWN)


def test_what_was_seen_before_this_start_says_nothing_of_it() -> None:
    """A stack that was down over night, and is up for five seconds."""
    old = replace(
        WELL,
        prepared_s=5.0,
        beat_s=40_000.0,
        reaper_s=40_000.0,
        worker_s=40_000.0,
        workers=0,
        slots=0,
        busy=0,
        unanswered_s={"sync": 40_000.0},
        oldest_ready_s=40_000.0,
    )
    assert {level for _, level in troubles(old).values()} == {Level.STARTING}
    # What has told of itself since this start and then fell silent is late all the same.
    assert troubles(replace(old, prepared_s=50.0, beat_s=45.0))["scheduler"] == (
        "late",
        Level.DOWN,
    )


def test_without_a_known_start_there_is_no_grace() -> None:
    assert troubles(PartSigns())["scheduler"] == ("never seen", Level.DOWN)


def test_item_10_health_measures_by_the_interval_that_is_set() -> None:
    signs = replace(WELL, reaper_s=250.0)
    seldom = judge_parts(signs, reaped_within_s=allow_between_sweeps_s(300))
    assert not [one for one in seldom if one.level is not Level.FINE]
    often = judge_parts(signs, reaped_within_s=allow_between_sweeps_s(5))
    assert [one.part for one in often if one.level is not Level.FINE] == ["reaper"]
