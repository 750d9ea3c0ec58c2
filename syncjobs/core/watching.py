"""Decides whether the installation works, from the signs of life of its parts. All spans are seconds.

What stops work from being done is DOWN; what only will, or what heals by itself, is a WARNING. Just
after a start nobody can have told of himself yet: for a minute that is STARTING, and no fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

SEEN_WITHIN_S = 30.0  # a worker or a beat that was not, is taken for dead
REAPED_WITHIN_S = 60.0
RING_AGAIN_S = 30  # for a record that was rung for and not claimed
ANSWERED_WITHIN_S = 120.0
STALLED_AFTER_S = 600.0
START_WITHIN_S = 60.0

OK = "ok"
# Without whoever consumes them, syncs run, search answers, by words and with what it has, and alerts wait.
PUT_OFF = frozenset({"index", "alerts"})


class Level(IntEnum):
    FINE = 0
    WARNING = 1
    STARTING = 2
    DOWN = 3


@dataclass(frozen=True, slots=True)
class PartHealth:
    """The state of one part. `age_s` is None if the part was never seen, or has no age."""

    part: str
    word: str = OK
    level: Level = Level.FINE
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class PartSigns:
    """What the parts have told, as ages by the database's clock. None: never."""

    prepared_s: float | None = None  # since the stack was last prepared for a start
    beat_s: float | None = None
    reaper_s: float | None = None
    unanswered_s: Mapping[str, float] | None = None  # by queue, the oldest bell; 0: all answered
    worker_s: float | None = None  # since any worker was seen
    workers: int = 0  # seen lately
    draining: int = 0  # of these
    silent: int = 0  # that neither took their leave nor were replaced on their host
    slots: int = 0  # of those that take new work: not draining, and with the store
    busy: int = 0  # of these slots
    without_store: int = 0  # of the workers seen lately, those whose store is away
    with_another_store: int = 0  # and those that have another than the installation's
    halted: str = (
        ""  # why some host neither dispatches nor clears sources; see `datasets.installation`
    )
    oldest_queued_s: float | None = None  # of all due records; None: none waits
    oldest_ready_s: float | None = None  # of those that wait for nothing but a worker


def allow_between_sweeps_s(interval_s: float) -> float:
    """How old the latest sweep may be where one comes so often."""
    return max(REAPED_WITHIN_S, 3 * interval_s)


def judge_parts(signs: PartSigns, *, reaped_within_s: float = REAPED_WITHIN_S) -> list[PartHealth]:
    return [
        _judge_installation(signs),
        _judge_age(signs, "scheduler", signs.beat_s, SEEN_WITHIN_S, Level.DOWN),
        _judge_age(signs, "reaper", signs.reaper_s, reaped_within_s, Level.WARNING),
        _judge_workers(signs),
        _judge_stores(signs),
        *(
            _judge_queue(signs, queue, age_s)
            for queue, age_s in sorted((signs.unanswered_s or {}).items())
        ),
        _judge_queued(signs),
    ]


def _judge_age(
    signs: PartSigns, part: str, age_s: float | None, within_s: float, level: Level
) -> PartHealth:
    if age_s is not None and age_s <= within_s:
        return PartHealth(part, age_s=age_s)
    if _may_be_starting(signs, age_s):
        return PartHealth(part, "starting", Level.STARTING, age_s)
    return PartHealth(part, "never seen" if age_s is None else "late", level, age_s)


def _judge_installation(signs: PartSigns) -> PartHealth:
    """A restored copy of the database waits for a person; see `datasets.installation`."""
    if not signs.halted:
        return PartHealth("installation")
    dispatches = signs.beat_s is not None and signs.beat_s <= SEEN_WITHIN_S
    level = Level.WARNING if dispatches else Level.DOWN  # another host's beat
    return PartHealth(
        "installation", f"halted ({signs.halted}): see manage.py resume_after_restore", level
    )


def _judge_workers(signs: PartSigns) -> PartHealth:
    if signs.workers and signs.silent:
        words = f"{signs.silent} of {signs.workers + signs.silent} silent"
        return PartHealth("workers", words, Level.WARNING, signs.worker_s)
    if signs.workers:
        return PartHealth("workers", age_s=signs.worker_s)
    if _may_be_starting(signs, signs.worker_s):
        return PartHealth("workers", "starting", Level.STARTING, signs.worker_s)
    return PartHealth("workers", "none", Level.DOWN, signs.worker_s)


def _judge_stores(signs: PartSigns) -> PartHealth:
    """Whether workers see the store: those that do not take no record."""
    kinds = ("not mounted", signs.without_store), ("another store", signs.with_another_store)
    words = [f"{what} on {count} of {signs.workers}" for what, count in kinds if count]
    if not words:
        return PartHealth("worker_stores")
    lost = signs.without_store + signs.with_another_store
    level = Level.DOWN if lost >= signs.workers else Level.WARNING
    return PartHealth("worker_stores", ", ".join(words), level)


def _judge_queue(signs: PartSigns, queue: str, unanswered_s: float) -> PartHealth:
    part = f"queue:{queue}"
    if unanswered_s <= ANSWERED_WITHIN_S:
        return PartHealth(part, age_s=unanswered_s)
    if _may_be_starting(signs, unanswered_s):
        return PartHealth(part, "starting", Level.STARTING, unanswered_s)
    level = Level.WARNING if queue in PUT_OFF else Level.DOWN
    return PartHealth(part, "unanswered", level, unanswered_s)


def _judge_queued(signs: PartSigns) -> PartHealth:
    """A record that could run and does not, beside free slots: bells do not reach the workers, or they
    cannot claim. Where every slot is taken it waits its turn."""
    age_s = signs.oldest_ready_s
    if age_s is None or age_s <= STALLED_AFTER_S or signs.busy >= signs.slots:
        return PartHealth("queued", age_s=age_s)
    if _may_be_starting(signs, age_s):
        return PartHealth("queued", "starting", Level.STARTING, age_s)
    return PartHealth("queued", "stalled", Level.DOWN, age_s)


def _may_be_starting(signs: PartSigns, age_s: float | None) -> bool:
    """What was seen before this start says nothing of it."""
    if signs.prepared_s is None or signs.prepared_s > START_WITHIN_S:
        return False
    return age_s is None or age_s > signs.prepared_s
