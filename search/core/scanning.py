"""Decides how the nearest vectors are found: each one in scope is compared, or the graph of the index is walked.

The planner of PostgreSQL decides by cost alone. It walks the graph where one chunk in a hundred is in scope, which is
slower there than to compare all of them, and finds less. To compare them costs less than a microsecond each, and misses
nothing, however alike they are; so a graph is for what is too much for that.
"""

from __future__ import annotations

from enum import Enum

EXACT_ROWS = 50_000


class Scan(Enum):
    EXACT = "exact"
    GRAPH = "graph"


def choose_scan(in_scope: int, *, has_graph: bool) -> Scan:
    """`in_scope` chunks may be hits."""
    return Scan.GRAPH if has_graph and in_scope > EXACT_ROWS else Scan.EXACT
