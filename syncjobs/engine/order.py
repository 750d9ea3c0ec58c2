"""The values of one attempt at a file sync: what it is asked to do, who watches it, what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from farends.names import printable
from syncjobs.core.comparing import Comparison
from syncjobs.core.deadlines import Allowance
from syncjobs.core.plans import Held, Plan, Waiver
from syncjobs.core.selection import Selection
from syncjobs.engine.progress import Progress


@dataclass(frozen=True, slots=True)
class Order:
    """What must be synced, and under which rules.

    `source` names far end and dataset: bytes that an attempt leaves are continued for the same source
    only.
    """

    source: str
    selection: Selection
    removals_apply: bool
    full: bool
    waiver: Waiver | None
    allowance: Allowance
    settle_s: int = 0
    max_files: int | None = None
    max_bytes: int | None = None
    max_listed: int | None = None  # rows of one listing
    as_listed: bool = False  # a file that is not the listed one any more is not asked for again
    comparison: Comparison = Comparison.MODIFIED
    only: frozenset[str] | None = (
        None  # files and folders, by path; whatever else is listed is let be
    )

    def may_take(self, path: str) -> bool:
        """Whether the order is about this file at all."""
        if self.only is None or path in self.only or "." in self.only:
            return True
        parts = path.split("/")
        return any("/".join(parts[:depth]) in self.only for depth in range(1, len(parts)))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a record, as the engine sees it. `name` keeps its partial files apart from those of
    other attempts; `check` raises a Stop when the work must end."""

    name: str
    progress: Progress
    check: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Unproved:
    """Files of which nobody tells the size: a transfer that was cut would look whole."""

    files: int = 0
    first: str = ""

    @property
    def warning(self) -> str:
        if not self.files:
            return ""
        return (
            f"the source tells no size of {self.files} files, the first {printable(self.first, 200)}:"
            " that they are complete could not be proved"
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the attempt came to. With `held` nothing was fetched and nothing may be published.

    `looked_at_all`: the content of every listed file was read or digested, as far as it could be: what
    fails is told, and would fail again.
    """

    plan: Plan
    held: Held | None
    removals: bool  # whether removals may be published
    listing_complete: bool
    looked_at_all: bool = False
    unproved: Unproved = Unproved()
    waived: Held | None = None  # the guard that would have stopped it, had nobody released that
