"""Jobs that run after others: no job may run after itself, and one that follows is due by its parents' ends."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncjobs.core.states import State
from timing.schedules import Condition


@dataclass(frozen=True, slots=True)
class ParentEnd:
    """A parent of a job, with the latest of its records that has ended since the follower was due last."""

    job_id: uuid.UUID  # the follower's
    id: int
    name: str
    record_id: uuid.UUID | None
    state: str


@dataclass(frozen=True, slots=True)
class FollowerDecision:
    """`cause` of a follower that is due, or else `skipped_for` of one that does not run now; neither where it rests.
    `used` are the ends that are answered by this."""

    cause: str = ""
    skipped_for: str = ""
    used: Sequence[ParentEnd] = ()


def decide_follower(condition: Condition, parents: Sequence[ParentEnd]) -> FollowerDecision:
    ended = [parent for parent in parents if parent.record_id is not None]
    if condition is Condition.ANY_FINISHED and ended:
        return FollowerDecision(cause=f"after {_list(ended)}", used=ended)
    failed = [parent for parent in ended if parent.state != State.SUCCEEDED]
    if failed:
        return FollowerDecision(skipped_for=f"it runs after {_list(failed)}", used=failed)
    if ended and len(ended) == len(parents):
        return FollowerDecision(cause=f"after {_list(ended)}", used=ended)
    return FollowerDecision()


def _list(parents: Sequence[ParentEnd]) -> str:
    return ", ".join(f"{p.name} ({p.state}, record {p.record_id})" for p in parents)


def find_cycle(parents: Mapping[str, Sequence[str]], job: str) -> list[str]:
    """A way from a job back to itself, each after the next: [a, b, a]; empty where there is none."""
    path = {job: [job]}
    frontier = [job]
    while frontier:
        following = []
        for name in frontier:
            for parent in parents.get(name, ()):
                if parent == job:
                    return [*path[name], job]
                if parent not in path:
                    path[parent] = [*path[name], parent]
                    following.append(parent)
        frontier = following
    return []
