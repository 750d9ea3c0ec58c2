"""Decides how the nearest vectors are found: each one in scope is compared, or the graph of the index is walked.

The planner of PostgreSQL decides by cost alone. It walks the graph where one chunk in a hundred is in scope, which is
slower there than to compare all of them, and finds less.
"""

from __future__ import annotations

from enum import Enum

EXACT_ROWS = 5_000  # 4 µs each
EXACT_ROWS_OF_FEW = 25_000
FEW = 0.05  # of the table: a walk meets one fit chunk in twenty


class Scan(Enum):
    EXACT = "exact"
    GRAPH = "graph"


def choose_scan(in_scope: int, in_table: int, *, has_graph: bool) -> Scan:
    """`in_scope` chunks may be hits, `in_table` chunks have a vector of the same generation."""
    if not has_graph or in_scope <= EXACT_ROWS:
        return Scan.EXACT
    if in_scope <= EXACT_ROWS_OF_FEW and in_scope <= in_table * FEW:
        return Scan.EXACT
    return Scan.GRAPH
