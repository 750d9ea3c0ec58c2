"""Shows what an edited selection would do to the dataset, before it is saved.

No far end is asked: the new rules are run over the entries that are held.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from datasets.models import Entry, Version
from datasets.reading import find_entries
from farends.names import printable
from syncjobs.core.patterns import InvalidPattern
from syncjobs.core.plans import Held, Plan, judge
from syncjobs.core.selection import LIMITS, Selection
from syncjobs.models import OnDelete, SyncJob
from syncjobs.works.files.order import make_selection

EXAMPLES = 8
PAGE = 5_000

Row = tuple[str, int, int | None]  # path, size in bytes, modified in ns


@dataclass(frozen=True, slots=True)
class SelectionPreview:
    """`leaving` files are not in the next version; `resting` ones stay as they are held, and are not
    brought up to date; `returning` ones are in older versions alone, and come back where the source has
    them still. Paths are in stored form, the first few of each."""

    held: int
    leaving: int
    leaving_paths: tuple[str, ...]
    resting: int
    returning: int
    returning_paths: tuple[str, ...]
    guard: Held | None  # that will hold the next sync
    token: str  # stands for this very selection: who confirms it has seen this

    @property
    def matters(self) -> bool:
        return bool(self.leaving or self.resting or self.returning)

    def sentences(self) -> list[str]:
        said = []
        if self.leaving:
            names = ", ".join(printable(path, 200) for path in self.leaving_paths[:3])
            said.append(
                f"{self.leaving:,} files of {self.held:,} leave the next version, e.g. {names}"
            )
        if self.resting:
            said.append(
                f"{self.resting:,} files of {self.held:,} stay as they are held and are not brought up"
                " to date any more"
            )
        if self.returning:
            names = ", ".join(printable(path, 200) for path in self.returning_paths[:3])
            said.append(
                f"{self.returning:,} files of older versions come back where the source has them"
                f" still, e.g. {names}"
            )
        if self.guard is not None:
            said.append(f"the next sync will be held for a person: {self.guard.reason}")
        return said


def preview_selection(job: SyncJob) -> SelectionPreview | None:
    """Previews the unsaved edits of a job; None if they change nothing that is held.

    Costs a look at every entry of the current version where the new rules leave anything out.
    """
    stored = SyncJob.objects.filter(pk=job.pk).first()
    if stored is None or make_selection(stored) == make_selection(job):
        return None
    version = Version.objects.filter(dataset=stored.dataset_id, is_current=True).first()
    if version is None:
        return None
    with transaction.atomic():  # else the database would first copy what it is to stream
        found = _look(job, make_selection(stored), make_selection(job), version)
    return found if found.matters else None


def _look(job: SyncJob, old: Selection, new: Selection, version: Version) -> SelectionPreview:
    leaving = resting = 0
    paths: list[str] = []
    stays = job.on_delete == OnDelete.IGNORE
    now_ns = time.time_ns()
    if not new.selects_all:
        for row in _stream(find_entries(version.dataset, version.number)):
            rule = _rule(new, row, now_ns)
            if rule is None:
                continue
            if stays or rule in LIMITS:
                resting += 1
                continue
            leaving += 1
            if len(paths) < EXAMPLES:
                paths.append(row[0])
    returning = 0
    back: list[str] = []
    if not old.selects_all and _is_valid(old):
        for row in _stream(_gone(version)):
            if _rule(old, row, now_ns) is not None and _rule(new, row, now_ns) is None:
                returning += 1
                back += [row[0]] if len(back) < EXAMPLES else []
    held = version.file_count
    plan = Plan(held - leaving, held, 0, 0, leaving, held - leaving, 0, 0)
    return SelectionPreview(
        held=held,
        leaving=leaving,
        leaving_paths=tuple(paths),
        resting=resting,
        returning=returning,
        returning_paths=tuple(back),
        guard=judge(plan, listing_complete=True, removals_apply=not stays),
        token=hashlib.sha256(repr((new, stays)).encode()).hexdigest()[:32],
    )


def _is_valid(old: Selection) -> bool:
    """What was stored before its like was refused has taken nothing of late."""
    try:
        old.check()
    except InvalidPattern:
        return False
    return True


def _rule(selection: Selection, row: Row, now_ns: int) -> str | None:
    path, size_bytes, modified_ns = row
    age_s = None if modified_ns is None else (now_ns - modified_ns) / 1e9
    excluded = selection.find_exclusion(path, size_bytes, age_s)
    return excluded.rule if excluded else None


def _gone(version: Version) -> QuerySet[Entry]:
    """The latest entry of each path that only older versions hold."""
    current = Entry.objects.filter(dataset=version.dataset_id, path=OuterRef("path"), until=None)
    ended = Entry.objects.filter(dataset=version.dataset_id).exclude(until=None)
    return ended.filter(~Exists(current)).order_by("path", "-since").distinct("path")


def _stream(entries: QuerySet[Entry]) -> Iterator[Row]:
    rows: Iterator[Row] = entries.values_list("path", "size_bytes", "modified_ns").iterator(
        chunk_size=PAGE
    )
    return rows
