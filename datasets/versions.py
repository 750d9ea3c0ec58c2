"""Writing and reading versions. Writers run inside a transaction that their caller owns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from database.rows import fetch_row, fetch_rows
from datasets.catalog import PAGE, Catalog, Listed
from datasets.fencing import check_fence

# What the attempt did with each path. A file that was fetched and proved to be the held one is `same`;
# a removal counts only where the caller says that removals apply.
_OUTCOME = """
CREATE TEMP TABLE outcome AS
SELECT c.path, c.entry_id, c.held_size_bytes,
       CASE WHEN c.action <> 'changed' THEN c.action
            WHEN r.sha256 = c.held_sha256
                 AND (r.modified_ns IS NOT DISTINCT FROM c.held_modified_ns OR NOT %(times)s)
            THEN 'same'
            ELSE 'changed' END AS action,
       r.size_bytes, r.modified_ns, r.etag, r.sha256, r.settled, r.content_type, r.landed, r.source,
       c.held_sha256, c.held_content_type
  FROM change c LEFT JOIN datasets_receipt r
    ON r.dataset_id = %(dataset)s AND r.path = c.path
       AND (r.record_id = %(record)s OR %(receipts)s)
       AND r.listed_size_bytes IS NOT DISTINCT FROM c.size_bytes
       AND r.listed_modified_ns IS NOT DISTINCT FROM c.modified_ns
       AND r.listed_etag IS NOT DISTINCT FROM c.etag
 WHERE (c.action = 'removed' AND %(removals)s)
    OR (c.action IN ('added', 'changed') AND r.path IS NOT NULL)
"""

_END_ENTRIES = """
UPDATE datasets_entry e SET until = %(number)s FROM outcome o
 WHERE e.id = o.entry_id AND o.action IN ('changed', 'removed')
"""

_ADD_ENTRIES = """
INSERT INTO datasets_entry (dataset_id, path, size_bytes, modified_ns, etag, sha256, settled,
    content_type, source, since)
SELECT %(dataset)s, path, size_bytes, modified_ns, etag, sha256, settled, content_type, source, %(number)s
  FROM outcome WHERE action IN ('added', 'changed') ORDER BY path
"""

# The file is what it was; only what later comparisons lean on is newer.
_REFRESH_ENTRIES = """
UPDATE datasets_entry e SET etag = o.etag, settled = o.settled, content_type = o.content_type,
       source = o.source, seen_modified_ns = nullif(o.modified_ns, e.modified_ns) FROM outcome o
 WHERE e.id = o.entry_id AND o.action = 'same'
   AND (e.etag IS DISTINCT FROM o.etag OR e.settled <> o.settled
        OR e.content_type IS DISTINCT FROM o.content_type
        OR e.source IS DISTINCT FROM o.source
        OR e.seen_modified_ns IS DISTINCT FROM nullif(o.modified_ns, e.modified_ns))
"""

# The same for what the far end's digest has proved, without a transfer.
_REFRESH_PROVED = """
UPDATE datasets_entry e SET etag = c.etag, settled = c.told_settled,
       seen_modified_ns = nullif(c.modified_ns, e.modified_ns) FROM change c
 WHERE e.id = c.entry_id AND c.action = 'same' AND c.told_sha256 IS NOT NULL
   AND (e.etag IS DISTINCT FROM c.etag OR e.settled <> c.told_settled
        OR e.seen_modified_ns IS DISTINCT FROM nullif(c.modified_ns, e.modified_ns))
"""

_ADD_VERSION = """
INSERT INTO datasets_version (dataset_id, number, is_current, record_id, created_at, file_count,
    size_bytes, files_added, files_changed, files_removed)
VALUES (%(dataset)s, %(number)s, true, %(record)s, now(), %(file_count)s, %(size_bytes)s,
    %(added)s, %(changed)s, %(removed)s)
"""


# What is listed and is what the current version holds. A file so young that equal times prove nothing is
# not known to be that.
_NOT_FETCHED = """
CREATE TEMP TABLE not_fetched ON COMMIT DROP AS
SELECT c.path FROM change c
 WHERE c.action IN ('added', 'changed') AND NOT EXISTS (SELECT FROM outcome o WHERE o.path = c.path)
"""
_AS_PUBLISHED = """
CREATE TEMP TABLE as_published AS
SELECT DISTINCT ON (e.path) e.path, e.size_bytes,
       coalesce(e.seen_modified_ns, e.modified_ns) AS modified_ns, e.etag, e.sha256
  FROM listing l JOIN datasets_entry e
    ON e.dataset_id = %(dataset)s AND e.until IS NULL AND e.path = l.path
 WHERE e.settled AND NOT l.marker AND NOT l.deferred
   AND NOT EXISTS (SELECT FROM not_fetched n WHERE n.path = l.path)
 ORDER BY e.path
"""


# Many files that become one thing. `odd`: the host says that a page came, and the name says otherwise;
# `stub`: the same of an error in plain text or JSON, which some hosts say of any file, so that only many
# of one content count. A redirect alone is no sign: a host may serve every file from one script elsewhere.
_REPLACED = """
WITH named AS (
    SELECT *, CASE WHEN content_type IN ('text/html', 'application/xhtml+xml', 'application/json',
                                         'application/problem+json', 'text/plain')
                   THEN lower(substring(right(path, 9) from '[.]([A-Za-z0-9]{1,8})$')) END AS ending
      FROM outcome WHERE action IN ('added', 'changed')
), fresh AS (
    SELECT *, coalesce(content_type IN ('text/html', 'application/xhtml+xml')
                       AND ending !~ '^(html?|xhtml|shtml|php[0-9]?|aspx?|jspx?|cgi|cfm)$', false) AS odd,
           coalesce(content_type IN ('application/json', 'application/problem+json', 'text/plain')
                    AND ending !~ '^(.*json.?|txt|text|log|md|rst|ini|cfg|conf|map)$', false) AS stub
      FROM named
)
SELECT 'redirect' AS what, landed AS shown, count(*) AS files, min(path) AS example FROM fresh WHERE landed IS NOT NULL GROUP BY landed
HAVING count(*) >= %(least)s AND (count(DISTINCT sha256) * 2 <= count(*) OR bool_and(odd))
UNION ALL
SELECT 'type', content_type, count(*), min(path) FROM fresh
 WHERE CASE WHEN held_content_type IS NULL THEN odd ELSE content_type <> held_content_type END
 GROUP BY content_type HAVING count(*) >= %(least)s
UNION ALL
SELECT 'type', content_type, count(*), min(path) FROM fresh WHERE stub AND action = 'added'
 GROUP BY content_type, sha256 HAVING count(*) >= %(least)s
UNION ALL
SELECT 'content', '', count(*), min(path) FROM fresh WHERE action = 'changed' GROUP BY sha256
HAVING count(*) >= %(least)s AND count(DISTINCT held_sha256) > 1
"""


REVIVE = "UPDATE datasets_dataset SET deleted_at = NULL WHERE id = %(dataset)s AND deleted_at IS NOT NULL"
_LAST_NUMBER = (
    "SELECT coalesce(max(number), 0) FROM datasets_version WHERE dataset_id = %(dataset)s"
)


@dataclass(frozen=True, slots=True)
class Replaced:
    """Files that would become one thing: `what` is `redirect`, `type` or `content`, `shown` which
    address or type, `example` one of the files."""

    what: str
    shown: str
    files: int
    example: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How many paths the attempt did what with, and by how many bytes the dataset grows."""

    added: int
    changed: int
    removed: int
    same: int
    growth: int


@dataclass(frozen=True, slots=True)
class _Current:
    """The current version; as it stands here, that of a dataset without one."""

    number: int = 0
    file_count: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Kept:
    path: str
    size_bytes: int | None
    modified_ns: int | None
    etag: str | None
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Published:
    """`number` is None where nothing differed and no version was written. `is_held` says whether the dataset has
    a version afterwards."""

    number: int | None
    added: int = 0
    changed: int = 0
    removed: int = 0
    same: int = 0  # fetched, and found to be what is held
    is_held: bool = True


def decide_outcome(cursor: psycopg.Cursor[Any], catalog: Catalog, *, removals: bool) -> None:
    """Makes table `outcome`: what the attempt's receipts would make of each path. Raises Fenced."""
    parameters = catalog.parameters | {"removals": removals}
    check_fence(cursor, parameters)
    cursor.execute("DROP TABLE IF EXISTS outcome")
    cursor.execute(_OUTCOME, parameters)
    catalog.moved()


def find_replaced(cursor: psycopg.Cursor[Any], *, least: int) -> list[Replaced]:
    """Groups of at least so many files of `outcome` that would become one thing."""
    return fetch_rows(cursor.execute(_REPLACED, {"least": least}), Replaced)


def write_version(
    cursor: psycopg.Cursor[Any], catalog: Catalog, *, whole: bool = True
) -> Published:
    """Turns `outcome` into the next version, and leaves it for the ledger. In the transaction of
    `decide_outcome`.

    The first version is written even where it is empty, so that a dataset says that it was synced; but not
    where files failed (not `whole`): the source has some, and an empty version would say that it has none.
    """
    parameters = dict(catalog.parameters)
    cursor.execute(
        "SELECT count(*) FILTER (WHERE action = 'added') AS added,"
        " count(*) FILTER (WHERE action = 'changed') AS changed,"
        " count(*) FILTER (WHERE action = 'removed') AS removed,"
        " count(*) FILTER (WHERE action = 'same') AS same,"
        " coalesce(sum(size_bytes) FILTER (WHERE action IN ('added', 'changed')), 0)::bigint"
        " - coalesce(sum(held_size_bytes) FILTER (WHERE action IN ('changed', 'removed')), 0)::bigint"
        " AS growth FROM outcome"
    )
    [found] = fetch_rows(cursor, _Outcome)
    catalog.moved()
    cursor.execute(
        "SELECT number, file_count, size_bytes FROM datasets_version"
        " WHERE dataset_id = %(dataset)s AND is_current",
        parameters,
    )
    current = fetch_row(cursor, _Current)
    cursor.execute(_REFRESH_ENTRIES)
    catalog.moved()
    cursor.execute(_REFRESH_PROVED)
    catalog.moved()
    published = Published(None, same=found.same, is_held=current is not None)
    if found.added or found.changed or found.removed or (current is None and whole):
        current = current or _Current(_revive(cursor, parameters))
        number = current.number + 1
        published = Published(number, found.added, found.changed, found.removed, found.same)
        parameters |= {
            "number": number,
            "file_count": current.file_count + found.added - found.removed,
            "size_bytes": current.size_bytes + found.growth,
            "added": found.added,
            "changed": found.changed,
            "removed": found.removed,
        }
        cursor.execute(_END_ENTRIES, parameters)
        catalog.moved()
        cursor.execute(_ADD_ENTRIES, parameters)
        catalog.moved()
        cursor.execute(
            "UPDATE datasets_version SET is_current = false"
            " WHERE dataset_id = %(dataset)s AND is_current",
            parameters,
        )
        cursor.execute(_ADD_VERSION, parameters)
    cursor.execute("DELETE FROM datasets_receipt WHERE dataset_id = %(dataset)s", parameters)
    catalog.moved()
    return published


def _revive(cursor: psycopg.Cursor[Any], parameters: dict[str, Any]) -> int:
    """Of a dataset without a current version: it is one that people see from now on. Returns the last number that was given,
    which is 0 for a new one; after a deletion the numbers go on, so that no two versions ever had the same."""
    cursor.execute(REVIVE, parameters)
    row = cursor.execute(_LAST_NUMBER, parameters).fetchone()
    return row[0] if row is not None else 0


def mark_published(cursor: psycopg.Cursor[Any], catalog: Catalog) -> None:
    """Within the transaction of `write_version`: keeps, for this session, which of the listed files the
    current version holds as they are listed."""
    cursor.execute("DROP TABLE IF EXISTS as_published")
    cursor.execute("ANALYZE outcome")  # else the joins are planned as if they were small
    cursor.execute(_NOT_FETCHED)
    cursor.execute("ANALYZE not_fetched")
    catalog.moved()
    cursor.execute(_AS_PUBLISHED, catalog.parameters)
    catalog.moved()
    cursor.execute("CREATE INDEX as_published_path ON as_published (path)")


def iter_published(session: psycopg.Connection[Any]) -> Iterator[tuple[Listed, bytes]]:
    """After the commit: the files that `mark_published` kept, by path, with their digests."""
    last = ""
    while True:
        found = session.execute(
            "SELECT path, size_bytes, modified_ns, etag, sha256 FROM as_published"
            " WHERE path > %s ORDER BY path LIMIT %s",
            [last, PAGE],
        )
        rows = fetch_rows(found, _Kept)
        for row in rows:
            yield Listed(row.path, row.size_bytes, row.modified_ns, row.etag), bytes(row.sha256)
        if len(rows) < PAGE:
            return
        last = rows[-1].path
