"""How many records may run at once: on the installation, in a workspace, from a connector, at a host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from connectors.budget import Obstacle


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
