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
from datasets import catalog_sql as sql

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
    # Added or changed, and fetched already by an earlier attempt.
    fetched: int = 0
    fetched_bytes: int = 0
    unsized: int = 0  # added or changed, of unknown size


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
    new_bytes: int  # of what is added or changed
    unsized: int  # added or changed, of unknown size


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
        self._execute(sql.LISTING)
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
        self._execute(sql.CHANGE, self.parameters)
        self._execute("CREATE UNIQUE INDEX change_path ON change (path)")
        self._execute("ANALYZE change")
        self._execute(sql.FOLDERS)
        if self._full:
            self._execute("UPDATE change SET action = 'changed' WHERE action = 'compare'")
        else:
            self._compare_pairs(is_equal)

    def keep(self, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Keeps what would be removed of these paths and of what lies below them: (file, the path that it
        is kept for) of each. Call it after `compare`, and take all."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            for query in sql.KEEP:
                yield from cursor.stream(query, {"paths": list(paths)})
                self.moved()

    def keep_beside(self, paths: Sequence[str]) -> Iterator[str]:
        """Keeps what would be removed of the folders of these paths, as far as the paths are new; the
        files that are kept. Call it before publishing, and take all."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            for (path,) in cursor.stream(sql.DOUBTED, {"paths": list(paths)}):
                yield path

    def count_gone_from(self, folder: str) -> int:
        """Files that would be removed because a name that this very folder held is listed no more."""
        ((count,),) = self._rows(sql.GONE_FROM, prefix=f"{folder}/" if folder else "")
        return int(count)

    def defer_conflicts(self, *, removals: bool) -> Iterator[TypeConflict]:
        """Defers files and folders of one name: what is held of them stays, nothing of them is fetched.
        Call it after `compare` and `keep`, and take all."""
        ((may,),) = self._rows(sql.MAY_CONFLICT, removals=removals)
        if not may:
            return
        self._execute(sql.KEPT, self.parameters | {"removals": removals})
        self._execute(sql.CONFLICT)
        for query in sql.DEFER_CONFLICTS:
            self._execute(query)
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            for path, below in cursor.stream(sql.TELL_CONFLICTS):
                yield TypeConflict(path, below)

    def iter_asked(self) -> Iterator[Listed]:
        """Files whose content decides, by path."""
        yield from self._iter_pages(sql.ASKED)

    def take_told(self, told: Sequence[ToldDigest]) -> None:
        """What the far end says of them. Where it cannot tell, a file counts as changed."""
        self._execute(
            sql.TAKE_TOLD,
            {
                "paths": [item.path for item in told],
                "digests": [item.sha256 for item in told],
                "settled": [item.settled for item in told],
            },
        )

    def iter_wanted(self) -> Iterator[Listed]:
        """Files to fetch, by path: added or changed, and not fetched already by an earlier attempt."""
        yield from self._iter_pages(sql.WANTED)

    def measure_wanted(self) -> Wanted:
        """What `iter_wanted` would bring, as far as sizes were listed."""
        [wanted] = self._fetch(Wanted, sql.NEW_BYTES)
        return wanted

    def measure_held(self, workspace_id: uuid.UUID) -> int:
        """The bytes of all contents that the workspace's versions and receipts name, each once."""
        ((size_bytes,),) = self._rows(sql.HELD_BYTES, workspace=workspace_id)
        return int(size_bytes)

    def measure_published(self, workspace_id: uuid.UUID) -> tuple[int, int]:
        """The bytes of all contents that the workspace's versions would name with what this attempt publishes, and
        of those among them that are new. Within the publishing transaction, which others of the workspace that
        ask the same wait for."""
        self._execute(sql.ONE_AFTER_THE_OTHER, {"workspace": workspace_id})
        ((size_bytes, new_bytes),) = self._rows(sql.PUBLISHED_BYTES, workspace=workspace_id)
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
                f"SELECT * FROM ({sql.PLAN}) p WHERE path > %(last)s ORDER BY path LIMIT %(page)s",  # noqa: S608 — made of constants
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
            " count(*) FILTER (WHERE action = 'deferred' AND entry_id IS NULL) AS deferred_new,"
            " least(coalesce(sum(size_bytes) FILTER (WHERE action IN ('added', 'changed')), 0),"
            "  9223372036854775807)::bigint AS new_bytes,"
            " count(*) FILTER (WHERE action IN ('added', 'changed') AND size_bytes IS NULL) AS unsized"
            " FROM change",
        )
        ((wanted, wanted_bytes),) = self._rows(sql.COUNT_WANTED)
        ((listed,),) = self._rows("SELECT count(DISTINCT path) FROM listing WHERE NOT marker")
        held = listed - of.added - of.deferred_new + of.removed + of.kept
        unchanged = held - of.changed - of.removed - of.kept - (of.deferred - of.deferred_new)
        return Counts(
            listed,
            held,
            of.added,
            of.changed,
            of.removed,
            unchanged,
            wanted,
            wanted_bytes,
            fetched=of.added + of.changed - wanted,
            fetched_bytes=of.new_bytes - wanted_bytes,
            unsized=of.unsized,
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
