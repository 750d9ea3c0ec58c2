"""How many records may run at once: on the installation, in a workspace, from a connector, at a host; and whose
turn it is where workspaces compete for places."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from farends.budget import Obstacle

SHARE = "its fair share"  # what `waiting_for` begins with


@dataclass(frozen=True, slots=True)
class Limit:
    """So many records may run at once within `where`, and so many do."""

    where: str
    running: int
    most: int | None


def decide_limits(limits: Iterable[Limit]) -> Obstacle | None:
    """The first limit that is reached; None: a further record may run."""
    for limit in limits:
        if limit.most is not None and limit.running >= limit.most:
            return Obstacle(f"a free place {limit.where} ({limit.running} of {limit.most} run)")
    return None


@dataclass(frozen=True, slots=True)
class Demand:
    """So many records of another workspace run, and so many more could, now."""

    running: int
    ready: int


def decide_share(ours: int, others: Collection[Demand], slots: int) -> Obstacle | None:
    """Whether a workspace that runs `ours` may begin one more; None: it may.

    The shares are max-min fair: each workspace has what it can use, up to a level that is the same for all.
    Where n of them can use more than there is, the level is ceil(slots / n); what one leaves the others have.
    A place is kept free only for a workspace that has fewer places and could use it now; whoever of these has
    fewest may always take one that is free.
    """
    if not any(other.ready > 0 and other.running < ours for other in others):
        return None
    taken = sum(max(other.running, min(other.running + other.ready, ours)) for other in others)
    if ours + taken < slots:
        return None
    return Obstacle(
        f"{SHARE} (its workspace has {ours} of {slots} places, and others have records to run)"
    )
