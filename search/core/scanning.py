"""Decides how the nearest vectors are found: each one in scope is compared, or those of the nearest cells are.

The vectors of a large workspace are grouped into cells of vectors that are alike. A question compares those of the cells
whose centres are nearest to it. The planner of PostgreSQL decides by cost alone: it looks into cells where one chunk in a
hundred is in scope, which is slower there than to compare all of them, and finds less. To compare all misses nothing, so
cells are for what is too much for that.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import Enum

EXACT_ROWS = 50_000
EXACT_PART = 7  # or one chunk in so many: to compare them costs no more than the cells do
# Questions are short and chunks are long: the chunks nearest to a question lie in many cells. So cells are as small as the
# memory allows that it takes to make them, and many are looked into.
ROWS_OF_CELL = 300
CELLS_MIN = 10
SAMPLES_OF_CELL = 50  # pgvector chooses a centre by so many vectors, and holds their distances to all centres in memory
SAMPLES_MIN = 10_000
PROBED_ROWS = 50_000
PROBED_PART = 8  # or one cell in so many


class Scan(Enum):
    EXACT = "exact"
    CELLS = "cells"


def choose_scan(in_scope: int, in_all: int, *, has_cells: bool) -> Scan:
    """`in_scope` of the workspace's chunks may be hits."""
    few = max(EXACT_ROWS, in_all // EXACT_PART)
    return Scan.CELLS if has_cells and in_scope > few else Scan.EXACT


def count_cells(vector_count: int, dimensions: int, most_bytes: int) -> int:
    """How many cells so many vectors are grouped into, with no more memory than that."""
    wanted = range(CELLS_MIN, max(vector_count // ROWS_OF_CELL, CELLS_MIN) + 1)
    fit = bisect_right(wanted, most_bytes, key=lambda cells: size_making(cells, dimensions))
    return wanted[max(fit - 1, 0)]


def size_making(cells: int, dimensions: int) -> int:
    """The bytes of memory that it takes to choose the centres: pgvector refuses to begin with less."""
    samples = max(cells * SAMPLES_OF_CELL, SAMPLES_MIN)
    return samples * (dimensions * 2 + 64 + cells * 4) + cells * (cells * 4 + dimensions * 16)


def count_probes(cell_count: int, in_all: int) -> int:
    """How many cells a question looks into."""
    by_rows = -(-cell_count * PROBED_ROWS // max(in_all, 1))
    return min(max(by_rows, cell_count // PROBED_PART, 1), cell_count)
