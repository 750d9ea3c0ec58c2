"""Checks which jobs run after which: no job may run after itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


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
