"""What is done around the filling of generations: cells, the switch to a new one, and the end of old ones."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import structlog

from search.models import DatasetIndex, IndexGeneration, IndexState
from search.vectors.cells import drop_left_cells, needs_cells, tend_cells
from search.vectors.generations import (
    count_chunks,
    drop_retired,
    find_outdated,
    find_wanted_generation,
    is_whole,
    switch_when_whole,
)

log = structlog.get_logger(__name__)


def tend_generation(workspace_id: uuid.UUID, check: Callable[[], None]) -> None:
    """Makes the cells of a workspace's vectors once all are in, and lets a new generation serve then. It may take
    minutes. Raises what `check` raises."""
    target = find_wanted_generation(workspace_id)
    if target is None or not is_whole(workspace_id):
        return
    if needs_cells(target, count_chunks(workspace_id)):
        tend_cells(target, count_chunks(workspace_id), check)
    switch_when_whole(workspace_id)


def tidy_vectors() -> None:
    """Drops generations that nobody goes back to, and cells that few vectors are left for."""
    drop_retired()
    if dropped := drop_left_cells():
        log.info("cells.dropped", count=dropped)
    for generation in IndexGeneration.objects.filter(cell_count__gt=0):
        count = count_chunks(generation.workspace_id)
        if not needs_cells(generation, count):
            tend_cells(generation, count, lambda: None)


def wake_outdated() -> int:
    """Workspaces whose vectors are by other settings than the present ones are looked at by the queue; how many."""
    outdated = find_outdated()
    rows = DatasetIndex.objects.filter(workspace_id__in=outdated, state=IndexState.CURRENT)
    rows.update(state=IndexState.CATCHING_UP, not_before=None)
    return len(outdated)
