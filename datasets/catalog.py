"""One attempt's view of a dataset: what it holds, beside what the far end lists.

The listing goes into a temporary table by COPY, is joined with the current entries by PostgreSQL, and
only what differs comes back, so that memory stays flat at a million files and a sync without changes
costs its listing. Nothing here holds a transaction open while the far end is asked.

    listing  (temporary)  the far end's files, as staged
    folder   (temporary)  every folder that a listed file lies in, at any depth
    change   (temporary)  every path that is not plainly the same, with the action decided for it:
                          added, changed, removed, same; deferred (listed, for a later record), kept (held,
                          not listed, and not proved to be gone); compare and ask on the way
    receipt  (durable)    files fetched but not yet published; see `datasets.receipts`
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from database.rows import Row, fetch_rows

PAGE = 2_000

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as listed; `path` in the text form of `farends.names`."""

    path: str
    size_bytes: int | None
    modified_ns: int | None
    etag: str | None
    deferred: bool = False  # seen, but for a later record: neither fetched nor removed
    marker: bool = False  # no data: says that files which need it are complete
    needs: str | None = None  # the path of the marker without which it is deferred
    told_sha256: bytes | None = None  # what the far end says its content is, where it was asked


@dataclass(frozen=True, slots=True)
class Pair:
    """A listed file and the held one of the same path, which differ in what is recorded of them."""

    listed: Listed
    held: Listed
    settled: bool


@dataclass(frozen=True, slots=True)
class ToldDigest:
    """The far end's digest of a listed file; None: it cannot tell. `settled` as of an entry."""

    path: str
    sha256: bytes | None
    settled: bool


@dataclass(frozen=True, slots=True)
class TypeConflict:
    """`path` names a file, and a folder in which `below` lies: no tree can hold both."""

    path: str
    below: str


@dataclass(frozen=True, slots=True)
class Trust:
    """What may spare a file its transfer, and what counts as a change."""

    listing: bool = True  # where all that is recorded is equal, no pair is looked at one by one
    receipts: bool = True  # what an earlier record fetched under the same listing
    times: bool = True  # another time is a change, even of the same content


@dataclass(frozen=True, slots=True)
class Counts:
    listed: int
    held: int
    added: int
    changed: int
    removed: int
    unchanged: int
    wanted: int
    wanted_bytes: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bytes that must be fetched: of content that is new, of all, and of the largest file."""

    new_bytes: int
    all_bytes: int
    largest_bytes: int


@dataclass(frozen=True, slots=True)
class _Compared:
    """A path that is listed and held."""

    path: str
    size_bytes: int | None
    modified_ns: int | None
    etag: str | None
    held_size_bytes: int
    held_modified_ns: int | None
    held_etag: str | None
    held_settled: bool

    def pair(self) -> Pair:
        listed = Listed(self.path, self.size_bytes, self.modified_ns, self.etag)
        held = Listed(self.path, self.held_size_bytes, self.held_modified_ns, self.held_etag)
        return Pair(listed, held, self.held_settled)


@dataclass(frozen=True, slots=True)
class _Changes:
    """How many paths are to be treated how."""

    added: int
    changed: int
    removed: int
    kept: int
    deferred: int
    deferred_new: int  # of these, that are not held


_LISTING = """
CREATE TEMP TABLE listing (path text COLLATE "C" NOT NULL, size_bytes bigint, modified_ns bigint,
                           etag text, deferred boolean NOT NULL, marker boolean NOT NULL, needs text COLLATE "C")
"""

_FOLDERS = """
CREATE TEMP TABLE folder AS
WITH RECURSIVE above AS (
    SELECT path FROM listing_folder WHERE path <> ''
    UNION
    SELECT left(path, length(path) - strpos(reverse(path), '/')) FROM above WHERE strpos(path, '/') > 0
)
SELECT path FROM above
"""

# Everything recorded is equal and proves something: no need to look at the pair one by one. An
# unsettled file, a file without size or time, mode `full` and comparisons that lean on something else
# take the long way. A file whose blob is damaged is fetched again, whatever the far end tells of it.
_DAMAGED = """
e.sha256 IN (SELECT sha256 FROM datasets_damagedblob WHERE workspace_id =
             (SELECT workspace_id FROM datasets_dataset WHERE id = %(dataset)s))
"""
_CHANGE = f"""
CREATE TEMP TABLE change AS
SELECT coalesce(l.path, e.path) AS path,
       CASE WHEN l.deferred THEN 'deferred' WHEN e.id IS NULL THEN 'added' WHEN l.path IS NULL THEN 'removed'
            WHEN {_DAMAGED} THEN 'changed' ELSE 'compare' END
         AS action,
       l.size_bytes, l.modified_ns, l.etag,
       e.id AS entry_id, e.size_bytes AS held_size_bytes,
       coalesce(e.seen_modified_ns, e.modified_ns) AS held_modified_ns,
       e.etag AS held_etag, e.sha256 AS held_sha256, e.settled AS held_settled,
       e.content_type AS held_content_type,
       NULL::bytea AS told_sha256, NULL::boolean AS told_settled
  FROM (SELECT DISTINCT ON (path) * FROM listing WHERE NOT marker ORDER BY path) l
  FULL JOIN (SELECT * FROM datasets_entry WHERE dataset_id = %(dataset)s AND until IS NULL) e
    ON l.path = e.path
 WHERE %(pairwise)s OR l.path IS NULL OR e.id IS NULL OR l.deferred OR NOT (
       e.settled AND l.size_bytes IS NOT DISTINCT FROM e.size_bytes
       AND l.modified_ns IS NOT DISTINCT FROM coalesce(e.seen_modified_ns, e.modified_ns)
       AND l.etag IS NOT DISTINCT FROM e.etag
       AND (e.etag IS NOT NULL OR e.modified_ns IS NOT NULL)) OR {_DAMAGED}
"""  # noqa: S608 — made of constants

_NOT_FETCHED_YET = """
    c.action IN ('added', 'changed') AND NOT EXISTS (SELECT FROM datasets_receipt r WHERE
    r.dataset_id = %(dataset)s AND r.path = c.path
    AND r.listed_size_bytes IS NOT DISTINCT FROM c.size_bytes
    AND r.listed_modified_ns IS NOT DISTINCT FROM c.modified_ns
    AND r.listed_etag IS NOT DISTINCT FROM c.etag
    AND (c.told_sha256 IS NULL OR r.sha256 = c.told_sha256)
    AND (r.record_id = %(record)s
         OR (%(receipts)s AND r.settled AND (c.modified_ns IS NOT NULL OR c.etag IS NOT NULL))))
"""
_WANTED = f"""
SELECT c.path, c.size_bytes, c.modified_ns, c.etag, c.told_sha256 FROM change c
 WHERE c.path > %(last)s AND {_NOT_FETCHED_YET} ORDER BY c.path LIMIT %(page)s
"""  # noqa: S608 — made of constants
_COUNT_WANTED = f"""
SELECT count(*), least(coalesce(sum(c.size_bytes), 0), 9223372036854775807)::bigint FROM change c WHERE {_NOT_FETCHED_YET}
"""  # noqa: S608 — made of constants

# What a sync can be expected to add: a file that is listed as it is held is read again, and proves to be that.
_NEW_BYTES = f"""
SELECT least(coalesce(sum(c.size_bytes) FILTER (WHERE c.entry_id IS NULL
             OR c.size_bytes IS DISTINCT FROM c.held_size_bytes
             OR c.modified_ns IS DISTINCT FROM c.held_modified_ns
             OR c.etag IS DISTINCT FROM c.held_etag), 0), 9223372036854775807)::bigint AS new_bytes,
       least(coalesce(sum(c.size_bytes), 0), 9223372036854775807)::bigint AS all_bytes,
       coalesce(max(c.size_bytes), 0) AS largest_bytes
  FROM change c WHERE {_NOT_FETCHED_YET}
"""  # noqa: S608 — made of constants
# Each content once, however many files and versions have it; also what was fetched and is not published yet.
_HELD_BYTES = """
SELECT coalesce(sum(size_bytes), 0)::bigint FROM (
    SELECT max(size_bytes) AS size_bytes FROM (
        SELECT e.sha256, e.size_bytes FROM datasets_entry e JOIN datasets_dataset d ON d.id = e.dataset_id
         WHERE d.workspace_id = %(workspace)s
         UNION ALL
        SELECT r.sha256, r.size_bytes FROM datasets_receipt r JOIN datasets_dataset d ON d.id = r.dataset_id
         WHERE d.workspace_id = %(workspace)s) named GROUP BY sha256) each
"""

# With what an attempt is about to publish; and how much of it no version names yet.
_PUBLISHED_BYTES = """
SELECT coalesce(sum(size_bytes), 0)::bigint, coalesce(sum(size_bytes) FILTER (WHERE is_new), 0)::bigint FROM (
    SELECT max(size_bytes) AS size_bytes, bool_and(is_new) AS is_new FROM (
        SELECT e.sha256, e.size_bytes, false AS is_new
          FROM datasets_entry e JOIN datasets_dataset d ON d.id = e.dataset_id
         WHERE d.workspace_id = %(workspace)s
         UNION ALL
        SELECT sha256, size_bytes, true FROM outcome WHERE action IN ('added', 'changed')) named
     GROUP BY sha256) each
"""
# Until the transaction ends: who publishes in a workspace sees what the others have published.
_ONE_AFTER_THE_OTHER = "SELECT pg_advisory_xact_lock(hashtextextended(%(workspace)s::text, 1))"


# What would be done, as a person is shown it. A removal counts only where removals apply.
PLAN = """
SELECT path, action,
       CASE WHEN action = 'removed' THEN held_size_bytes ELSE size_bytes END AS size_bytes,
       CASE WHEN action = 'removed' THEN held_modified_ns ELSE modified_ns END AS modified_ns,
       CASE WHEN action = 'removed' THEN held_etag ELSE etag END AS etag
  FROM change
 WHERE action IN ('added', 'changed') OR (action = 'removed' AND %(removals)s)
"""

_ASKED = """
SELECT path, size_bytes, modified_ns, etag, told_sha256 FROM change
 WHERE action = 'ask' AND path > %(last)s ORDER BY path LIMIT %(page)s
"""

# A path and what lies below it: `0` is the character after `/`.
_BELOW = "c.path >= n.path || '/' AND c.path < n.path || '0'"
_NAMES = "unnest(%(paths)s::text[]) AS n (path)"
_KEEP = (
    f"UPDATE change c SET action = 'kept' FROM {_NAMES}"  # noqa: S608 — made of constants
    " WHERE c.action = 'removed' AND c.path = n.path RETURNING c.path, n.path",
    f"UPDATE change c SET action = 'kept' FROM {_NAMES}"  # noqa: S608 — made of constants
    f" WHERE c.action = 'removed' AND {_BELOW} RETURNING c.path, n.path",
)

# What would be removed beside new names that the host lists and does not have.
_FOLDER_OF = "left({0}, greatest(0, length({0}) - strpos(reverse({0}) || '/', '/')))"
_DOUBTED = f"""
UPDATE change c SET action = 'kept'
  FROM (SELECT DISTINCT {_FOLDER_OF.format("path")} AS folder FROM change
         WHERE action = 'added' AND path = ANY(%(paths)s)) n
 WHERE c.action = 'removed' AND {_FOLDER_OF.format("c.path")} = n.folder
RETURNING c.path
"""  # noqa: S608 — made of constants

# By the name in the folder that each removed file is, or lies below; a name that is still listed proves
# that the listing went past it.
_GONE_FROM = """
WITH gone AS (
    SELECT %(prefix)s || split_part(substr(path, length(%(prefix)s) + 1), '/', 1) AS path, count(*) AS files
      FROM change WHERE action = 'removed' AND starts_with(path, %(prefix)s) GROUP BY 1
)
SELECT coalesce(sum(files), 0)::bigint FROM gone g
 WHERE NOT EXISTS (SELECT FROM folder f WHERE f.path = g.path)
"""

# What the next version would hold beside what is listed: files that are kept though they are not listed.
_IS_KEPT = """
entry_id IS NOT NULL AND (action IN ('deferred', 'kept') OR (action = 'removed' AND NOT %(removals)s))
"""
_KEPT = f"CREATE TEMP TABLE kept AS SELECT path FROM change WHERE {_IS_KEPT}"  # noqa: S608 — made of constants
_MAY_CONFLICT = f"""
SELECT EXISTS (SELECT FROM listing JOIN folder USING (path) WHERE NOT marker)
    OR EXISTS (SELECT FROM change WHERE {_IS_KEPT})
"""  # noqa: S608 — made of constants
_CONFLICT = """
CREATE TEMP TABLE conflict AS
WITH RECURSIVE above_kept AS (
    SELECT left(path, length(path) - strpos(reverse(path), '/')) AS path FROM kept WHERE strpos(path, '/') > 0
    UNION
    SELECT left(path, length(path) - strpos(reverse(path), '/')) FROM above_kept WHERE strpos(path, '/') > 0
)
SELECT path FROM listing JOIN folder USING (path) WHERE NOT marker
UNION SELECT path FROM kept JOIN folder USING (path)
UNION SELECT path FROM change JOIN above_kept USING (path) WHERE action = 'added'
"""
_PUT_OFF = "CASE WHEN c.action IN ('removed', 'kept') THEN 'kept' ELSE 'deferred' END"
_DEFER_CONFLICTS = (
    f"UPDATE change c SET action = {_PUT_OFF} FROM conflict n WHERE c.path = n.path",  # noqa: S608 — made of constants
    f"UPDATE change c SET action = {_PUT_OFF} FROM conflict n WHERE {_BELOW}",  # noqa: S608 — made of constants
)
_TELL_CONFLICTS = """
SELECT n.path, (SELECT min(b.path) FROM (SELECT path FROM listing UNION ALL SELECT path FROM change) b
                 WHERE b.path >= n.path || '/' AND b.path < n.path || '0')
  FROM conflict n ORDER BY n.path
"""

_TAKE_TOLD = """
UPDATE change c SET told_sha256 = d.sha256, told_settled = d.settled,
       action = CASE WHEN d.sha256 = c.held_sha256 THEN 'same' ELSE 'changed' END
  FROM unnest(%(paths)s::text[], %(digests)s::bytea[], %(settled)s::boolean[])
       AS d (path, sha256, settled)
 WHERE c.path = d.path
"""


class Catalog:
    """What the engine asks of a dataset during one attempt. Not for several threads at once."""

    def __init__(
        self,
        connection: Connection,
        *,
        dataset_id: uuid.UUID,
        record_id: uuid.UUID,
        token: int,
        full: bool,
        trust: Trust = Trust(),
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """`full`: trust nothing that a listing or an earlier record tells. `moved` is told after each step:
        with a million entries a statement takes its time."""
        self._connection = connection
        self.moved = moved
        self._full = full
        self.parameters: dict[str, Any] = {
            "dataset": dataset_id,
            "record": record_id,
            "token": token,
            "pairwise": full or not trust.listing,
            "receipts": trust.receipts and not full,
            "times": trust.times,
        }
        self._execute(
            "DROP TABLE IF EXISTS listing, listing_folder, folder, change, kept, conflict"
        )
        self._execute(_LISTING)
        self._execute('CREATE TEMP TABLE listing_folder (path text COLLATE "C" NOT NULL)')

    def stage(self, files: Iterable[Listed]) -> None:
        """Adds listed files."""
        folders: list[str] = []  # listings come folder by folder, so each stands here a few times
        with (
            self._connection.cursor() as cursor,
            cursor.copy(
                "COPY listing (path, size_bytes, modified_ns, etag, deferred, marker, needs)"
                " FROM STDIN"
            ) as copy,
        ):
            for file in files:
                copy.write_row(
                    (
                        file.path,
                        file.size_bytes,
                        file.modified_ns,
                        file.etag,
                        file.deferred,
                        file.marker,
                        file.needs,
                    )
                )
                folder = file.path.rpartition("/")[0]
                if not folders or folder != folders[-1]:
                    folders.append(folder)
        with (
            self._connection.cursor() as cursor,
            cursor.copy("COPY listing_folder (path) FROM STDIN") as copy,
        ):
            for folder in folders:
                copy.write_row((folder,))

    def defer_unmarked(self) -> Iterator[tuple[str, str]]:
        """Defers files whose marker is not listed; (path, marker) of each. Call it after the last
        `stage`, and take all."""
        self._execute("ANALYZE listing")
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            yield from cursor.stream(
                "UPDATE listing l SET deferred = true WHERE NOT l.deferred AND l.needs IS NOT NULL"
                " AND NOT EXISTS (SELECT FROM listing m WHERE m.marker AND m.path = l.needs)"
                " RETURNING l.path, l.needs"
            )

    def compare(self, is_equal: Callable[[Pair], bool | None]) -> None:
        """Decides for every path; call once, after the last `stage`. `is_equal` returns None where
        only the content can tell: `iter_asked` and `take_told` go on from there."""
        self._execute("ANALYZE listing")
        self._execute(_CHANGE, self.parameters)
        self._execute("CREATE UNIQUE INDEX change_path ON change (path)")
        self._execute("ANALYZE change")
        self._execute(_FOLDERS)
        if self._full:
            self._execute("UPDATE change SET action = 'changed' WHERE action = 'compare'")
        else:
            self._compare_pairs(is_equal)

    def keep(self, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Keeps what would be removed of these paths and of what lies below them: (file, the path that it
        is kept for) of each. Call it after `compare`, and take all."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            for query in _KEEP:
                yield from cursor.stream(query, {"paths": list(paths)})
                self.moved()

    def keep_beside(self, paths: Sequence[str]) -> Iterator[str]:
        """Keeps what would be removed of the folders of these paths, as far as the paths are new; the
        files that are kept. Call it before publishing, and take all."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            for (path,) in cursor.stream(_DOUBTED, {"paths": list(paths)}):
                yield path

    def count_gone_from(self, folder: str) -> int:
        """Files that would be removed because a name that this very folder held is listed no more."""
        ((count,),) = self._rows(_GONE_FROM, prefix=f"{folder}/" if folder else "")
        return int(count)

    def defer_conflicts(self, *, removals: bool) -> Iterator[TypeConflict]:
        """Defers files and folders of one name: what is held of them stays, nothing of them is fetched.
        Call it after `compare` and `keep`, and take all."""
        ((may,),) = self._rows(_MAY_CONFLICT, removals=removals)
        if not may:
            return
        self._execute(_KEPT, self.parameters | {"removals": removals})
        self._execute(_CONFLICT)
        for query in _DEFER_CONFLICTS:
            self._execute(query)
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            for path, below in cursor.stream(_TELL_CONFLICTS):
                yield TypeConflict(path, below)

    def iter_asked(self) -> Iterator[Listed]:
        """Files whose content decides, by path."""
        yield from self._iter_pages(_ASKED)

    def take_told(self, told: Sequence[ToldDigest]) -> None:
        """What the far end says of them. Where it cannot tell, a file counts as changed."""
        self._execute(
            _TAKE_TOLD,
            {
                "paths": [item.path for item in told],
                "digests": [item.sha256 for item in told],
                "settled": [item.settled for item in told],
            },
        )

    def iter_wanted(self) -> Iterator[Listed]:
        """Files to fetch, by path: added or changed, and not fetched already by an earlier attempt."""
        yield from self._iter_pages(_WANTED)

    def measure_wanted(self) -> Wanted:
        """What `iter_wanted` would bring, as far as sizes were listed."""
        [wanted] = self._fetch(Wanted, _NEW_BYTES)
        return wanted

    def measure_held(self, workspace_id: uuid.UUID) -> int:
        """The bytes of all contents that the workspace's versions and receipts name, each once."""
        ((size_bytes,),) = self._rows(_HELD_BYTES, workspace=workspace_id)
        return int(size_bytes)

    def measure_published(self, workspace_id: uuid.UUID) -> tuple[int, int]:
        """The bytes of all contents that the workspace's versions would name with what this attempt publishes, and
        of those among them that are new. Within the publishing transaction, which others of the workspace that
        ask the same wait for."""
        self._execute(_ONE_AFTER_THE_OTHER, {"workspace": workspace_id})
        ((size_bytes, new_bytes),) = self._rows(_PUBLISHED_BYTES, workspace=workspace_id)
        return int(size_bytes), int(new_bytes)

    def _iter_pages(self, query: str) -> Iterator[Listed]:
        last = ""
        while True:
            rows = self._fetch(Listed, query, last=last, page=PAGE)
            yield from rows
            if len(rows) < PAGE:
                return
            last = rows[-1].path

    def digest_plan(self, *, removals: bool) -> str:
        """One value for every path, action, size, time and ETag of the plan, in order of path."""
        digest = hashlib.sha256()
        last = ""
        while True:
            rows = self._rows(
                f"SELECT * FROM ({PLAN}) p WHERE path > %(last)s ORDER BY path LIMIT %(page)s",  # noqa: S608 — made of constants
                removals=removals,
                last=last,
                page=PAGE,
            )
            for row in rows:
                digest.update(json.dumps(row).encode() + b"\n")
            if len(rows) < PAGE:
                return digest.hexdigest()
            last = rows[-1][0]

    def find_version(self) -> int | None:
        """The version that the listing is compared with."""
        rows = self._rows(
            "SELECT number FROM datasets_version WHERE dataset_id = %(dataset)s AND is_current"
        )
        return rows[0][0] if rows else None

    def _compare_pairs(self, is_equal: Callable[[Pair], bool | None]) -> None:
        last = ""
        while True:
            rows = self._fetch(
                _Compared,
                "SELECT path, size_bytes, modified_ns, etag, held_size_bytes, held_modified_ns,"
                " held_etag, held_settled FROM change"
                " WHERE action = 'compare' AND path > %(last)s ORDER BY path LIMIT %(page)s",
                last=last,
                page=PAGE,
            )
            if not rows:
                return
            actions = {True: "same", False: "changed", None: "ask"}
            self._execute(
                "UPDATE change c SET action = d.action"
                " FROM unnest(%(paths)s::text[], %(actions)s::text[]) AS d (path, action)"
                " WHERE c.path = d.path",
                {
                    "paths": [row.path for row in rows],
                    "actions": [actions[is_equal(row.pair())] for row in rows],
                },
            )
            last = rows[-1].path

    def count(self) -> Counts:
        [of] = self._fetch(
            _Changes,
            "SELECT count(*) FILTER (WHERE action = 'added') AS added,"
            " count(*) FILTER (WHERE action = 'changed') AS changed,"
            " count(*) FILTER (WHERE action = 'removed') AS removed,"
            " count(*) FILTER (WHERE action = 'kept') AS kept,"
            " count(*) FILTER (WHERE action = 'deferred') AS deferred,"
            " count(*) FILTER (WHERE action = 'deferred' AND entry_id IS NULL) AS deferred_new"
            " FROM change",
        )
        ((wanted, wanted_bytes),) = self._rows(_COUNT_WANTED)
        ((listed,),) = self._rows("SELECT count(DISTINCT path) FROM listing WHERE NOT marker")
        held = listed - of.added - of.deferred_new + of.removed + of.kept
        unchanged = held - of.changed - of.removed - of.kept - (of.deferred - of.deferred_new)
        return Counts(
            listed, held, of.added, of.changed, of.removed, unchanged, wanted, wanted_bytes
        )

    def _fetch(self, row_type: Callable[..., Row], query: str, **extra: object) -> list[Row]:
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            rows = fetch_rows(cursor.execute(query, self.parameters | extra), row_type)
        self.moved()
        return rows

    def _rows(self, query: str, **extra: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(query, self.parameters | extra).fetchall()
        self.moved()
        return rows

    def _execute(self, query: str, parameters: dict[str, Any] | None = None) -> None:
        self._connection.execute(query, parameters)
        self.moved()
