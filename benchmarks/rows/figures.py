"""What was measured, and the table that says so."""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

MIB = 1 << 20
OURS = "SyncProject"


@dataclass(frozen=True, slots=True)
class Goal:
    """In `case` we may take at most `times` as long as `beside`."""

    case: str
    beside: str
    times: float


@dataclass
class Figures:
    """Seconds by case and by who, one of each round; `memory_bytes` is ours above the idle size."""

    walls: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    memory_bytes: int = 0

    def median(self, case: str, who: str) -> float | None:
        walls = self.walls.get((case, who))
        return statistics.median(walls) if walls else None

    def add(self, case: str, who: str, wall_s: float) -> None:
        self.walls[case, who].append(wall_s)
        print(f"{case} {who}: {wall_s:.2f} s", file=sys.stderr, flush=True)  # noqa: T201 — a command talks

    def add_memory(self, used_bytes: int) -> None:
        self.memory_bytes = max(self.memory_bytes, used_bytes)

    def tell(self, goals: Iterable[Goal]) -> str:
        """Markdown: ours, beside whom, the ratio and its goal."""
        lines = [
            "| case | SyncProject, s | beside | its s | ratio | goal |",
            "|---|---|---|---|---|---|",
        ]
        for goal in goals:
            own, other = self.median(goal.case, OURS), self.median(goal.case, goal.beside)
            if own is not None and other is not None:
                ratio = own / other
                met = "" if ratio <= goal.times else " (missed)"
                lines.append(
                    f"| {goal.case} | {own:.2f} | {goal.beside} | {other:.2f} | {ratio:.2f} | {goal.times}{met} |"
                )
        used = f"memory above the idle size: {self.memory_bytes / MIB:.0f} MiB at most"
        return "\n".join([*lines, "", used, ""])
