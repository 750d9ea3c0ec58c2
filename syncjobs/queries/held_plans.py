"""What a held record would do, file by file, for the page on which a person decides."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, QuerySet

from database.rows import fetch_rows
from syncjobs.core.states import State
from syncjobs.models import ItemAction, PlannedFile, SyncRecord

PAGE = 50
FOLDERS = 12
EARLIER = 20  # records
_FOLDER = "left(path, greatest(0, length(path) - strpos(reverse(path), '/')))"


@dataclass(frozen=True, slots=True)
class PlannedFolder:
    """`path` is empty for the root."""

    path: str
    files: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class RecordRemovals:
    """How many files, or rows, a record of the job removed, or would have removed where it was held."""

    record: SyncRecord
    count: int


def count_planned(record_id: uuid.UUID) -> dict[str, int]:
    """By action; an action that nothing needs is left out."""
    rows = PlannedFile.objects.filter(record=record_id).order_by().values_list("action")
    return dict(rows.annotate(count=Count("pk")))


def list_planned(
    record_id: uuid.UUID, action: str, *, term: str = "", folder: str | None = None, after: str = ""
) -> tuple[list[PlannedFile], str | None]:
    """One page by path, and the path behind which the next one begins. `term` is a part of the path, or a pattern
    with `*`."""
    rows = _choose(record_id, action, term)
    if folder is not None:
        prefix = f"{folder}/" if folder else ""
        rows = rows.filter(path__gte=prefix)
        if folder:
            rows = rows.filter(path__lt=f"{folder}0")  # the character behind the slash
    if after:
        rows = rows.filter(path__gt=after)
    found = list(rows.order_by("path")[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].path if len(found) > PAGE else None


def count_matching(record_id: uuid.UUID, action: str, term: str) -> int:
    return _choose(record_id, action, term).count()


def iter_planned(record_id: uuid.UUID) -> Iterator[PlannedFile]:
    """All of them: what goes first, then what changes and what joins."""
    for action in (ItemAction.REMOVED, ItemAction.CHANGED, ItemAction.ADDED):
        rows = PlannedFile.objects.filter(record=record_id, action=action)
        yield from rows.order_by("path").iterator(chunk_size=2_000)


def list_planned_folders(record_id: uuid.UUID, action: str) -> tuple[list[PlannedFolder], int]:
    """The folders with the most of them, and how many folders there are."""
    with connection.cursor() as cursor:
        cursor.execute(_FOLDERS, [record_id, action, FOLDERS])
        rows = fetch_rows(cursor, _Folder)
    folders = [PlannedFolder(row.path, row.files, row.size_bytes) for row in rows]
    return folders, rows[0].folders if rows else 0


def find_common_folder(record_id: uuid.UUID, action: str) -> str:
    """The deepest folder that holds all of them; empty where that is the root."""
    rows = PlannedFile.objects.filter(record=record_id, action=action).values_list(
        "path", flat=True
    )
    first, last = rows.order_by("path").first(), rows.order_by("-path").first()
    if first is None or last is None:
        return ""
    common: list[str] = []
    for one, other in zip(first.split("/")[:-1], last.split("/")[:-1], strict=False):
        if one != other:
            break
        common.append(one)
    return "/".join(common)


def list_removals(record: SyncRecord) -> Sequence[RecordRemovals]:
    """Of the record and the latest ones before it that removed something or could have, the oldest first."""
    rows = SyncRecord.objects.filter(job=record.job_id, queued_at__lt=record.queued_at)
    recent = rows.order_by("-queued_at").values("pk")[: EARLIER * 5]
    done = (State.SUCCEEDED, State.PARTIAL)
    earlier = SyncRecord.objects.filter(pk__in=recent, state__in=done).order_by("-queued_at")
    told = [RecordRemovals(one, one.rows_removed or one.files_removed) for one in earlier[:EARLIER]]
    return [*reversed(told), RecordRemovals(record, (record.hold or {}).get("files", 0))]


def find_newer_decision(record: SyncRecord) -> SyncRecord | None:
    """A later record of the job that is held too, or has published: the older one asks nobody any more."""
    done = (State.HELD, State.SUCCEEDED, State.PARTIAL)
    rows = SyncRecord.objects.filter(job=record.job_id, queued_at__gt=record.queued_at)
    return rows.filter(state__in=done).order_by("-queued_at").first()


def _choose(record_id: uuid.UUID, action: str, term: str) -> QuerySet[PlannedFile]:
    rows = PlannedFile.objects.filter(record=record_id, action=action)
    if not term:
        return rows
    if "*" in term:
        parts = (re.escape(part) for part in re.split(r"\*+", term))
        return rows.filter(path__iregex=f"(^|/){'.*'.join(parts)}$")
    return rows.filter(path__icontains=term)


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    files: int
    size_bytes: int | None
    folders: int


_FOLDERS = f"""
SELECT {_FOLDER} AS path, count(*) AS files, least(sum(size_bytes), 9223372036854775807)::bigint AS size_bytes,
       (count(*) OVER ())::int AS folders
  FROM syncjobs_plannedfile WHERE record_id = %s AND action = %s GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s
"""  # noqa: S608 — made of constants
