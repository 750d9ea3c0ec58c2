"""How long searches of this process took, by workspace and mode: what the metric `search_duration_seconds` shows."""

from __future__ import annotations

import threading
import uuid
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from search.querying.question import SearchMode
from workspaces.models import Workspace

BOUNDS_S = (0.025, 0.05, 0.1, 0.15, 0.3, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class DurationSums:
    """`counts` are by bound, and one for what took longer than all."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)
    total_s: float = 0.0

    def __add__(self, other: DurationSums) -> DurationSums:
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return DurationSums(counts, self.total_s + other.total_s)


class SearchDurations:
    """For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[tuple[uuid.UUID, SearchMode], DurationSums] = {}
        self._names: dict[uuid.UUID, str] = {}

    def add(self, workspace: Workspace, mode: SearchMode, taken_s: float) -> None:
        place = bisect_left(BOUNDS_S, taken_s)
        counts = tuple(int(n == place) for n in range(len(BOUNDS_S) + 1))
        with self._lock:
            self._names[workspace.pk] = workspace.name
            known = self._sums.get((workspace.pk, mode), DurationSums())
            self._sums[workspace.pk, mode] = known + DurationSums(counts, taken_s)

    def read(self, only: Workspace | None) -> Mapping[tuple[str, SearchMode], DurationSums]:
        """By the workspace's name and mode: of this one, from 0 on; None: of each that was searched."""
        with self._lock:
            names = dict(self._names) if only is None else {only.pk: only.name}
            found = {(name, mode): DurationSums() for name in names.values() for mode in SearchMode}
            for (owner, mode), sums in self._sums.items():
                if owner in names:
                    found[names[owner], mode] += sums  # a deleted one may have had the same name
        return found


search_durations = SearchDurations()
