"""A search of the demo over what came from both sample hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cli.chores import DEMO
from cli.hits import print_hit
from search.querying.question import Hit, Question
from search.querying.search import search
from workspaces.lookup import find_workspace

QUERY = '"sample host" data'  # words of a file that both hosts have
DATASETS = 2


def search_samples() -> Sequence[Hit]:
    """One hit of each dataset, once both are indexed; until then nothing."""
    workspace = find_workspace(DEMO)
    if workspace is None:
        return []
    found: dict[Any, Hit] = {}
    for hit in search(workspace, Question(QUERY)).items:
        found.setdefault(hit.dataset_id, hit)
    return list(found.values()) if len(found) == DATASETS else []


def tell_hits(hits: Sequence[Hit], write: Callable[[str], Any]) -> None:
    for hit in hits:
        for line in print_hit(hit):
            write(line)
