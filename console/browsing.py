"""The folders and files of one version, a page at a time, as a file manager shows them.

Entries are stored by whole path. A folder is one step of the walk however many files it holds: the
query takes the first entry at or after a place, and goes on behind that file, or behind that folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import OperationalError, connection, transaction

from console.words import path_words
from database.rows import fetch_rows

PAGE = 200
SIZES_WITHIN_S = 2


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A file with its entry's id, or a folder without one. `path` is in stored form, from the root."""

    path: str
    name: str
    entry_id: int | None = None
    size_bytes: int | None = None
    modified_ns: int | None = None
    sha256: bytes | None = None
    since: int | None = None

    @property
    def is_folder(self) -> bool:
        return self.entry_id is None


@dataclass(frozen=True, slots=True)
class FolderPage:
    rows: list[EntryRow]
    next_start: str | None  # where the next page begins; None on the last


# In the C collation '0' follows '/', so `folder0` is behind all that lies in `folder/`; chr(1)
# makes the smallest text behind a path, since no stored path holds NUL.
_ENTRY = """
    SELECT id, path, size_bytes, modified_ns, sha256, since FROM datasets_entry
     WHERE dataset_id = %(dataset)s AND since <= %(version)s
       AND (until IS NULL OR until > %(version)s)
       AND path >= {start} AND (%(end)s::text IS NULL OR path < %(end)s)
     ORDER BY path LIMIT 1
"""
_BEHIND = """
    CASE WHEN strpos(substr(walk.path, %(skip)s), '/') > 0
         THEN %(prefix)s || split_part(substr(walk.path, %(skip)s), '/', 1) || '0'
         ELSE walk.path || chr(1) END
"""
_WALK = f"""
    WITH RECURSIVE walk AS (
        ({_ENTRY.format(start="%(start)s")})
        UNION ALL
        SELECT following.* FROM walk CROSS JOIN LATERAL ({_ENTRY.format(start=_BEHIND)}) following
    )
    SELECT * FROM walk LIMIT %(limit)s
"""  # noqa: S608 — made of constants


def list_folder(
    dataset_id: UUID, version: int, folder: str, *, start: str = "", limit: int = PAGE
) -> FolderPage:
    """What lies directly in `folder` (stored form, empty for the root), from `start` on."""
    prefix = f"{folder}/" if folder else ""
    parameters: dict[str, str | int | UUID | None] = {
        "dataset": dataset_id,
        "version": version,
        "prefix": prefix,
        "skip": len(prefix) + 1,
        "start": max(start, prefix, key=_bytewise),
        "end": f"{folder}0" if folder else None,
        "limit": limit + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(_WALK, parameters)
        found = fetch_rows(cursor, _Entry)
    rows = [_row(prefix, entry) for entry in found[:limit]]
    rows.sort(key=lambda row: not row.is_folder)  # within the page: folders first
    return FolderPage(rows, found[limit].path if len(found) > limit else None)


@dataclass(frozen=True, slots=True)
class _Entry:
    id: int
    path: str
    size_bytes: int
    modified_ns: int | None
    sha256: bytes
    since: int


def _row(prefix: str, entry: _Entry) -> EntryRow:
    name, slash, _ = entry.path[len(prefix) :].partition("/")
    if slash:
        return EntryRow(path=prefix + name, name=path_words(name))
    return EntryRow(
        entry.path,
        path_words(name),
        entry.id,
        entry.size_bytes,
        entry.modified_ns,
        bytes(entry.sha256),
        entry.since,
    )


@dataclass(frozen=True, slots=True)
class FolderSize:
    """What lies in a folder, at any depth."""

    file_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Sized:
    path: str
    files: int
    bytes: int


_SIZES = """
    SELECT f.path, held.files, held.bytes FROM unnest(%(folders)s::text[]) AS f (path)
     CROSS JOIN LATERAL (
           SELECT count(*) AS files, coalesce(sum(e.size_bytes), 0)::bigint AS bytes FROM datasets_entry e
            WHERE e.dataset_id = %(dataset)s AND e.since <= %(version)s
              AND (e.until IS NULL OR e.until > %(version)s)
              AND e.path >= f.path || '/' COLLATE "C" AND e.path < f.path || '0' COLLATE "C") held
"""


def measure_folders(dataset_id: UUID, version: int, folders: list[str]) -> dict[str, FolderSize]:
    """By path. Every file in them is counted; empty where that takes longer than SIZES_WITHIN_S."""
    if not folders:
        return {}
    parameters: dict[str, UUID | int | list[str]] = {
        "dataset": dataset_id,
        "version": version,
        "folders": folders,
    }
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", [f"{SIZES_WITHIN_S}s"]
            )
            cursor.execute(_SIZES, parameters)
            rows = fetch_rows(cursor, _Sized)
    except OperationalError:
        return {}
    return {row.path: FolderSize(row.files, row.bytes) for row in rows}


def crumbs(folder: str) -> list[tuple[str, str]]:
    """(name, path) of the folder and those above it, outermost first."""
    parts = folder.split("/") if folder else []
    return [(path_words(part), "/".join(parts[: depth + 1])) for depth, part in enumerate(parts)]


def _bytewise(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
