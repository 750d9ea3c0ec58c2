"""Lists what differs between two versions, by path. A page costs what differs, not what is held."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.db import connection

from database.rows import fetch_rows
from datasets.models import Entry

PAGE = 2_000


class EntryChange(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Side:
    """A file as one of the versions holds it."""

    size_bytes: int
    modified_ns: int | None
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` in the text form of `farends.names`; at least one side is there."""

    path: str
    before: Side | None
    after: Side | None

    @property
    def change(self) -> EntryChange:
        if self.before is None:
            return EntryChange.ADDED
        return EntryChange.REMOVED if self.after is None else EntryChange.CHANGED


# A path that differs has an entry that ended or began between the two; the other way round it need not be
# so: a file may have gone and come back.
_TOUCHED = """
SELECT DISTINCT ON (path) path, id FROM datasets_entry
 WHERE dataset_id = %(dataset)s AND {column} > %(low)s AND {column} <= %(high)s AND {sure}
   AND path > %(last)s
 ORDER BY path LIMIT %(limit)s
"""
_SIDE = """
SELECT e.size_bytes, e.modified_ns, e.sha256 FROM datasets_entry e
 WHERE e.dataset_id = %(dataset)s AND e.path = t.path
   AND e.since <= {number} AND (e.until IS NULL OR e.until > {number})
"""
_PAGE = f"""
WITH touched AS (
    SELECT DISTINCT ON (path) path, id
      FROM (({_TOUCHED.format(column="since", sure="since > 1")})
            UNION ALL
            ({_TOUCHED.format(column="until", sure="until IS NOT NULL")})) both_ways
     ORDER BY path LIMIT %(limit)s)
SELECT t.path, t.id, b.size_bytes AS before_bytes, b.modified_ns AS before_ns, b.sha256 AS before_sha256,
       a.size_bytes AS after_bytes, a.modified_ns AS after_ns, a.sha256 AS after_sha256
  FROM touched t
  LEFT JOIN LATERAL ({_SIDE.format(number="%(before)s")}) b ON true
  LEFT JOIN LATERAL ({_SIDE.format(number="%(after)s")}) a ON true
 ORDER BY t.path
"""  # noqa: S608 — made of constants


@dataclass(frozen=True, slots=True)
class _Touched:
    path: str
    id: int
    before_bytes: int | None
    before_ns: int | None
    before_sha256: bytes | None
    after_bytes: int | None
    after_ns: int | None
    after_sha256: bytes | None


def list_differences(
    dataset_id: uuid.UUID, before: int, after: int, *, last: str = "", limit: int = PAGE
) -> tuple[list[Difference], int | None]:
    """Returns those of the next `limit` paths behind `last` that were touched, and the entry with which the next page
    goes on: None on the last one. What was touched and is again as it was is left out, so that a page may be
    short."""
    parameters: dict[str, str | int | uuid.UUID] = {
        "dataset": dataset_id,
        "before": before,
        "after": after,
        "low": min(before, after),
        "high": max(before, after),
        "last": last,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, parameters)
        rows = fetch_rows(cursor, _Touched)
    found = []
    for row in rows:
        was = _side(row.before_bytes, row.before_ns, row.before_sha256)
        now = _side(row.after_bytes, row.after_ns, row.after_sha256)
        if was != now:
            found.append(Difference(row.path, was, now))
    return found, rows[-1].id if len(rows) == limit else None


def _side(size_bytes: int | None, modified_ns: int | None, sha256: bytes | None) -> Side | None:
    if size_bytes is None or sha256 is None:
        return None
    return Side(size_bytes, modified_ns, bytes(sha256))


def iter_differences(dataset_id: uuid.UUID, before: int, after: int) -> Iterator[Difference]:
    """Yields all differences, by path, bytewise."""
    last, entry_id = "", None
    while True:
        found, entry_id = list_differences(dataset_id, before, after, last=last)
        yield from found
        if entry_id is None:
            return
        last = Entry.objects.values_list("path", flat=True).get(pk=entry_id)
